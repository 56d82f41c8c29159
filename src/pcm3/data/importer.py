"""From a downloaded data set to a store, on all cores, with an account of every file that did not become a clip."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from tqdm import tqdm

from pcm3.data.archives import Skipped, walk
from pcm3.data.changes import change_lines
from pcm3.data.datasets import check_options, find_dataset
from pcm3.data.forms import mistaken
from pcm3.data.gravity import given_up
from pcm3.data.import_plan import (
    MaxFrames,
    check_settings,
    completeness,
    oriented,
    plan,
    precision_notes,
    retargeted_recipe,
    rule_for,
    sample,
)
from pcm3.data.own_recordings import PreparedRecordings
from pcm3.data.picture import FLAT
from pcm3.data.prepare import FILL_SECONDS, MISSING, Recipe, RuleName, prepare_chunk
from pcm3.data.reasons import account, nothing
from pcm3.data.recognise import AUTO, recognise
from pcm3.data.recording import Recording
from pcm3.data.source_index import MIN_SCORE, Options, SourceIndex
from pcm3.data.source_units import check_units
from pcm3.data.store import FORMAT, ClipStore
from pcm3.data.store_writer import StoreWriter, store_writer
from pcm3.errors import DataError
from pcm3.parallel import cores, worker_processes
from pcm3.skeleton import Layout, load_layout

CHUNK = 16
"""Clips that a process takes at a time: small enough for a steady progress bar, large enough to hide the transfer."""

SAVE_SECONDS = 10.0
"""Work that a killed import loses at most."""

WORTH_PROCESSES = 2000
"""Clips below which starting processes costs more time than they save."""


@dataclass(frozen=True)
class Report:
    """What an import did."""

    clips: int
    """Clips in the store."""
    frames: int
    skipped: list[Skipped]
    """Every file that could have become a clip and did not, and why."""
    seconds: float
    recordings: int
    """Untrimmed recordings in the store; as many as clips where they are trimmed."""
    read: int
    """Recordings that this import read: fewer than there are, where it went on from one that was killed."""
    notes: list[str]
    """What a user must know: whether the data set is whole, what is missing."""
    changes: list[str]
    """What was not kept as it was, or made up: frames cut off, bodies dropped, joints absent and filled."""

    @property
    def clips_per_s(self) -> float:
        """Recordings read a second, from the first look at the source to the finished store."""
        return self.read / max(self.seconds, 1e-9)


def import_recordings(
    kind: str,
    source: str | Path,
    store_path: str | Path,
    *,
    workers: int | None = None,
    strict: bool = False,
    dtype: str = "float32",
    layout: str | Path | Layout | None = None,
    all_files: bool = False,
    track: Literal["slot", "id"] = "slot",
    fixed_root: bool = False,
    reach: float | None = None,
    labels: str | None = None,
    pattern: str | None = None,
    columns: str | None = None,
    units: str | None = None,
    min_score: float = MIN_SCORE,
    trim: bool = False,
    skip_list: str | Path | None = None,
    to: str | Path | Layout | None = None,
    normalise: bool = True,
    rule: RuleName | None = None,
    up: str | None = None,
    fill: float = FILL_SECONDS,
    fps: float | None = None,
    max_frames: MaxFrames = "kind",
    overwrite: bool = False,
    progress: bool = True,
) -> Report:
    """Reads a data set and writes it as a store; the same store to the byte, however many processes read.

    An import that was killed, stopped or had no room goes on where it was when it is run again.

    Args:
        kind: one of `pcm3.data.datasets.DATASETS`, or ``auto``: recognised from the files.
        source: the folder, zip or file as it was downloaded.
        store_path: the folder to write.
        workers: processes that read; default: one a core, or none but this one for a small source.
        strict: stop at the first file that cannot become a clip, instead of skipping it.
        dtype: ``float32``, or ``float16`` for half the disk at a precision of a millimetre.
        layout: name, file or `Layout` of the skeleton, for a kind that does not fix it (npz, agcn,
            ctrgcn, pyskl, files of one's own).
        all_files: take also files that the kind's usual list skips (msr-action3d).
        track: what makes a body the same from frame to frame: its ``slot`` in the file, as in the released scripts, or
            the ``id`` that the recorder gave it (ntu60, ntu120).
        fixed_root: leave out where the root goes and turns, as published results on motion prediction do (h36m).
        reach: seconds before and after a tag that belong to its gesture (msrc12); None: 2.
        labels: which of several files of labels to take (utkinect), or which classes (kinder-gator); for files of one's
            own, a table with the columns file, label and perhaps subject, start, stop.
        pattern: how files of one's own are named, ``{subject}_{label}``.
        columns: of tables of one's own: which columns tell what, ``clip=take,label=action,subject=who``; None: found by
            their names.
        units: of files of one's own, where it shall not be told from the bodies' size.
        min_score: a joint of files of one's own of whose place the source is less sure is absent.
        trim: cut untrimmed recordings into their labelled actions, each prepared as a clip of its own.
        skip_list: text file with the names of clips to skip, one a line, as data sets publish their lists of
            missing skeletons.
        to: name, file or `Layout` to retarget to (`pcm3.retarget`); the plan is kept in the store. None: as recorded.
        normalise: centre and turn each clip as the rule says; off: the camera's frame.
        rule: how recordings are prepared, one of `pcm3.data.prepare.RULES`; None: as published results on the kind need
            it, and ``upright`` where there are none; poses in a picture, of two coordinates, always by ``flat``.
        up: which way is up in the recordings, for the rule ``upright``: an axis (``y``, ``-y`` …) or three numbers with
            commas; None: found by how people stand.
        fill: seconds of the longest gap of a joint that is filled by interpolation; longer ones stay absent.
        fps: resample the recordings to so many frames a second; None: as they are. The rate of files that do not tell
            theirs.
        max_frames: cut clips after so many frames, see `MaxFrames`. Untrimmed recordings stay whole.
        overwrite: replace a store that is there already, when the new one is complete.
        progress: show a progress bar on stderr.

    Raises:
        DataError: nothing to import, an unreadable source, a store in the way, a full disk; when strict, also the first
            file that cannot be read. Nothing is written then.
        ConfigError: a layout for a kind that has one, no or a negative number of workers or frames.
    """
    began = time.perf_counter()
    believed: list[str] = []
    if kind == AUTO:
        belief = recognise(Path(source))
        kind, believed = belief.kind, [belief.why]
    dataset = find_dataset(kind)
    most = dataset.max_frames if max_frames == "kind" else max_frames
    check_settings(kind, dataset, layout, workers, most, fill, fps)
    direction = None if up is None else given_up(up)
    chosen = load_layout(layout) if isinstance(layout, str | Path) else layout
    wrong = mistaken(kind, Path(source))
    if wrong is not None:
        raise DataError(wrong)
    options = Options(
        chosen,
        all_files,
        track,
        labels,
        fps,
        units,
        min_score,
        pattern,
        fixed_root=fixed_root,
        reach=reach,
        columns=columns,
    )
    check_options(kind, options)
    index = dataset.read(Path(source), options)
    there = len(index.clips) + len(index.unusable)
    if skip_list is not None:
        index = _without(index, Path(skip_list))
    if strict and index.unusable:
        file, reason = index.unusable[0]
        raise DataError(f"{file}: {reason}")
    recipe, description = plan(kind, dataset, index, normalise, most, trim, fill, fps)
    probed = sample(index, rule or dataset.rule)
    frames = [recording.frames for recording in probed]
    recipe = replace(recipe, rule=rule_for(rule, dataset.rule, frames))
    notes: list[str] = []
    if recipe.rule != FLAT:
        notes = check_units(str(source), frames, recipe.layout) + precision_notes(dtype, recipe.normalise, frames)
    target = load_layout(to) if isinstance(to, str | Path) else to
    recipe, oriented_notes = retargeted_recipe(*oriented(recipe, direction, probed), target)
    description |= {"layout": recipe.made_layout, "preparation": recipe.to_dict()}
    about = description | {"dtype": dtype, "options": replace(options, layout=None)}
    fingerprint = _fingerprint(index, recipe, about, [Path(source), *([Path(labels)] if labels else [])])
    with store_writer(
        Path(store_path), dtype=dtype, overwrite=overwrite, fingerprint=fingerprint, **description
    ) as writer:
        _write(writer, index, recipe, _processes(workers, index), strict, progress)
        skipped = account([*index.unusable, *writer.lost], index.skipped, Path(source))
        if len(writer) == 0:
            raise DataError(nothing(kind, Path(source), skipped, there or len(skipped)))
        notes = [*believed, *notes, *oriented_notes, *index.notes, *index.missing]
        notes += completeness(dataset, index, there, len(writer), skip_list is not None)
        writer.report = {"clips": len(writer), "left_out": [list(pair) for pair in skipped], "notes": notes}
    return Report(
        len(writer),
        writer.frames,
        skipped,
        time.perf_counter() - began,
        writer.recordings or len(writer),
        len(index.clips) - writer.done,
        notes,
        change_lines(ClipStore.open(store_path)),
    )


def store_recordings(
    recordings: Iterable[Recording],
    store_path: str | Path,
    *,
    layout: str | Path | Layout,
    fps: float,
    classes: Sequence[str] = (),
    protocols: dict[str, Any] | None = None,
    bodies: int | None = None,
    kind: str = "own",
    to: str | Path | Layout | None = None,
    normalise: bool = True,
    rule: RuleName | None = None,
    up: str | None = None,
    fill: float = FILL_SECONDS,
    max_frames: int | None = None,
    trim: bool = False,
    dtype: str = "float32",
    strict: bool = False,
    overwrite: bool = False,
) -> Report:
    """Prepares recordings that a reader of yours yields, and writes them as a store (docs/YOUR_DATA.md).

    Args:
        recordings: read one by one, so that they need not fit into memory; ids must differ.
        store_path: the folder to write.
        layout: name, file or `Layout` of the skeleton.
        fps: frames a second.
        classes: the class names, in the order of the labels.
        protocols: which clips train, see `pcm3.data.protocol`.
        bodies: M, the bodies kept of each recording; None: as many as the first `PROBED` recordings have at most.
        kind: what the store calls itself.
        to: the layout to retarget to, see `import_recordings`.
        normalise: centre and turn each clip as the rule says.
        rule: one of `pcm3.data.prepare.RULES`; None: ``upright``, and ``flat`` for poses in a picture.
        up: which way is up in the recordings, see `import_recordings`; None: found in the first `PROBED` recordings.
        fill: seconds of the longest gap of a joint that is filled by interpolation.
        max_frames: cut clips after so many frames; None: never.
        trim: cut untrimmed recordings into their labelled actions.
        dtype: ``float32`` or ``float16``.
        strict: stop at the first recording that cannot become a clip, instead of skipping it.
        overwrite: replace a store that is there already, when the new one is complete.

    Raises:
        DataError: two recordings of one id, more bodies than `bodies` found, no clip at all; when strict, also frames
            that do not fit the layout or are not metres.
        ConfigError: a setting that makes no sense.
    """
    began = time.perf_counter()
    chosen = layout if isinstance(layout, Layout) else load_layout(layout)
    prepared = PreparedRecordings.of(
        recordings,
        chosen,
        fps,
        bodies,
        kind,
        normalise=normalise,
        rule=rule,
        up=up,
        fill=fill,
        max_frames=max_frames,
        trim=trim,
        to=load_layout(to) if isinstance(to, str | Path) else to,
    )
    notes = prepared.notes + precision_notes(dtype, normalise, prepared.probed)
    recipe = prepared.recipe
    about: dict[str, Any] = {"layout": recipe.made_layout, "fps": fps, "bodies": recipe.bodies, "kind": kind}
    about |= {"classes": classes, "protocols": protocols, "normalised": normalise}
    about |= {"dtype": dtype, "overwrite": overwrite, "preparation": recipe.to_dict()}
    read = 0
    with store_writer(store_path, **about) as writer:
        for name, results in prepared:
            _append(writer, name, results, strict)
            read += 1
        if len(writer) == 0 and writer.lost:
            raise DataError(nothing(kind, Path(store_path), writer.lost, read))
        writer.report = {"clips": len(writer), "left_out": [list(pair) for pair in writer.lost], "notes": notes}
    made = len(writer)
    seconds = time.perf_counter() - began
    changed = change_lines(ClipStore.open(store_path))
    return Report(made, writer.frames, writer.lost, seconds, writer.recordings or made, read, notes, changed)


def _without(index: SourceIndex, file: Path) -> SourceIndex:
    """The contents less the clips that a file names, which are skipped for that reason."""
    try:
        named = {Path(line.strip()).stem for line in file.read_text(encoding="utf-8").splitlines()}
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: expected a text file with the names of clips to skip ({error})") from error
    kept = [clip for clip in index.clips if clip.id not in named]
    dropped = [(clip.file, f"named in {file.name}") for clip in index.clips if clip.id in named]
    return replace(index, clips=kept, skipped=index.skipped + dropped)


def _fingerprint(index: SourceIndex, recipe: Recipe, description: dict[str, Any], sources: Sequence[Path]) -> str:
    """What is made of what: equal for two imports that write the same store, as far as names, sizes and times tell."""
    clips = [(clip.id, clip.file) for clip in index.clips]
    files = [file for source in sources for file in ([source] if source.is_file() else sorted(walk(source)))]
    status = [(str(file), file.stat()) for file in files]
    stamps = [(file, of.st_size, of.st_mtime_ns) for file, of in status]
    content = repr((FORMAT, clips, stamps, recipe, sorted(description.items(), key=lambda item: item[0])))
    return hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()


def _processes(workers: int | None, index: SourceIndex) -> int:
    """The number of processes that are worth their start."""
    if index.in_process or (workers is None and len(index.clips) < WORTH_PROCESSES):
        return 1
    return cores() if workers is None else workers


def _write(
    writer: StoreWriter, index: SourceIndex, recipe: Recipe, processes: int, strict: bool, progress: bool
) -> None:
    """Reads, prepares and appends all clips in their order, from where an earlier process stopped."""
    clips = index.clips[writer.done :]
    chunks = [clips[start : start + CHUNK] for start in range(0, len(clips), CHUNK)]
    bar = tqdm(total=len(index.clips), initial=writer.done, unit="clip", desc="import", disable=not progress, delay=1)
    done, saved = writer.done, time.monotonic()
    with worker_processes(processes) as map_fn, closing(map_fn(prepare_chunk, chunks, recipe)) as outcomes, bar:
        for chunk, outcome in zip(chunks, outcomes, strict=True):
            for clip, results in zip(chunk, outcome, strict=True):
                _append(writer, clip.file, results, strict)
            bar.update(len(chunk))
            done += len(chunk)
            if time.monotonic() - saved > SAVE_SECONDS:
                writer.save(done)
                saved = time.monotonic()


def _append(writer: StoreWriter, file: str, results: Sequence[Recording | Skipped], strict: bool) -> None:
    """Appends what a file became, and notes what it did not become."""
    for result in results:
        if isinstance(result, Recording):
            writer.add(result)
            continue
        name, reason = result
        if strict and reason != MISSING:
            raise DataError(f"{file}: {reason}")
        writer.lost.append((f"{file} ({name})" if name else file, reason))
