"""From a downloaded data set to a store, on all cores, with an account of every file that did not become a clip."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal

from tqdm import tqdm

from pcm3.data.contents import Contents, Options
from pcm3.data.forms import mistaken
from pcm3.data.kinds import KINDS, Kind, find_kind
from pcm3.data.prepare import MISSING, Recipe, outcome, prepare_chunk
from pcm3.data.reasons import account, nothing
from pcm3.data.recording import Recording, metres
from pcm3.data.source_units import PROBED, check_units, probe
from pcm3.data.sources import LeftOut, walk
from pcm3.data.store import FORMAT
from pcm3.data.store_writer import StoreWriter, store_writer
from pcm3.errors import ConfigError, DataError
from pcm3.ordered_map import cores, ordered_map
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
    left_out: list[LeftOut]
    """Every file that could have become a clip and did not, and why."""
    seconds: float
    recordings: int
    """Untrimmed recordings in the store; as many as clips where they are trimmed."""
    read: int
    """Recordings that this import read: fewer than there are, where it went on from one that was killed."""
    notes: list[str]
    """What a user must know: whether the data set is whole, what is missing."""

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
    labels: str | None = None,
    trim: bool = False,
    leave_out: str | Path | None = None,
    normalise: bool = True,
    max_frames: int | None = 300,
    overwrite: bool = False,
    progress: bool = True,
) -> Report:
    """Reads a data set and writes it as a store; the same store to the byte, however many processes read.

    An import that was killed, stopped or had no room goes on where it was when it is run again.

    Args:
        kind: one of `pcm3.data.kinds.KINDS`.
        source: the folder, zip or file as it was downloaded.
        store_path: the folder to write.
        workers: processes that read; default: one a core, or none but this one for a small source.
        strict: stop at the first file that cannot become a clip, instead of leaving it out.
        dtype: ``float32``, or ``float16`` for half the disk at a precision of a millimetre.
        layout: name, file or `Layout` of the skeleton, for a kind that does not fix it (npz, agcn,
            ctrgcn, pyskl).
        all_files: take also files that the kind's usual list leaves out (msr-action3d).
        track: what makes a body the same from frame to frame: its ``slot`` in the file, as in the released scripts, or
            the ``id`` that the recorder gave it (ntu60, ntu120).
        labels: which of several files of labels to take (utkinect).
        trim: cut untrimmed recordings into their labelled actions, each prepared as a clip of its own.
        leave_out: text file with the names of clips to leave out, one a line, as data sets publish their lists of
            missing skeletons.
        normalise: centre and turn each clip as `pcm3.geometry.normalise` says; off: the camera's frame.
        max_frames: cut clips after so many frames; None: never. Untrimmed recordings stay whole.
        overwrite: replace a store that is there already, when the new one is complete.
        progress: show a progress bar on stderr.

    Raises:
        DataError: nothing to import, an unreadable source, a store in the way, a full disk; when strict, also the first
            file that cannot be read. Nothing is written then.
        ConfigError: a layout for a kind that has one, no or a negative number of workers or frames.
    """
    began = time.perf_counter()
    found = find_kind(kind)
    _check_settings(kind, found, layout, workers, max_frames)
    chosen = load_layout(layout) if isinstance(layout, str | Path) else layout
    wrong = mistaken(kind, Path(source))
    if wrong is not None:
        raise DataError(wrong)
    contents = found.read(Path(source), Options(chosen, all_files, track, labels))
    there = len(contents.clips) + len(contents.unusable)
    if leave_out is not None:
        contents = _without(contents, Path(leave_out))
    if strict and contents.unusable:
        file, reason = contents.unusable[0]
        raise DataError(f"{file}: {reason}")
    recipe, description = _plan(kind, found, contents, normalise, max_frames, trim)
    looks = check_units(str(source), probe(contents), contents.layout) if contents.layout else []
    fingerprint = _fingerprint(contents, recipe, description | {"dtype": dtype}, Path(source))
    with store_writer(
        Path(store_path), dtype=dtype, overwrite=overwrite, fingerprint=fingerprint, **description
    ) as writer:
        _write(writer, contents, recipe, _processes(workers, contents), strict, progress)
        left_out = account([*contents.unusable, *writer.lost], contents.left_out, Path(source))
        if len(writer) == 0:
            raise DataError(nothing(kind, Path(source), left_out))
        notes = [*looks, *contents.notes, *_completeness(found, contents, there, len(writer), leave_out is not None)]
        writer.report = {"clips": len(writer), "left_out": [list(pair) for pair in left_out], "notes": notes}
    return Report(
        len(writer),
        writer.frames,
        left_out,
        time.perf_counter() - began,
        writer.recordings or len(writer),
        len(contents.clips) - writer.done,
        notes,
    )


def store_recordings(
    recordings: Iterable[Recording],
    store_path: str | Path,
    *,
    layout: str | Path | Layout,
    fps: float,
    classes: Sequence[str] = (),
    protocols: dict[str, Any] | None = None,
    bodies: int = 1,
    kind: str = "own",
    normalise: bool = True,
    max_frames: int | None = 300,
    trim: bool = False,
    dtype: str = "float32",
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
        bodies: M, the bodies kept of each recording.
        kind: what the store calls itself.
        normalise: centre and turn each clip as `pcm3.geometry.normalise` says.
        max_frames: cut clips after so many frames; None: never.
        trim: cut untrimmed recordings into their labelled actions.
        dtype: ``float32`` or ``float16``.
        overwrite: replace a store that is there already, when the new one is complete.

    Raises:
        DataError: two recordings of one id, frames that do not fit the layout or are not metres, no clip at all.
    """
    began = time.perf_counter()
    chosen = layout if isinstance(layout, Layout) else load_layout(layout)
    recipe = Recipe(chosen, bodies, normalise, max_frames, trim=trim)
    about: dict[str, Any] = {"layout": chosen, "fps": fps, "bodies": bodies, "kind": kind, "classes": classes}
    about |= {"protocols": protocols, "normalised": normalise, "dtype": dtype, "overwrite": overwrite}
    taken: set[str] = set()
    incoming = iter(recordings)
    first = list(islice(incoming, PROBED))
    notes = check_units(first[0].id if first else kind, [recording.frames for recording in first], chosen)
    with store_writer(store_path, **about) as writer:
        for recording in chain(first, incoming):
            if recording.id in taken:
                raise DataError(f"{recording.id}: expected an id for each recording, no two alike, got it twice")
            taken.add(recording.id)
            checked = replace(recording, frames=metres(recording.id, recording.frames))
            _append(writer, recording.id, outcome(checked, recipe), strict=True)
        left_out = [list(pair) for pair in writer.lost]
        writer.report = {"clips": len(writer), "left_out": left_out, "notes": notes}
    made = len(writer)
    seconds = time.perf_counter() - began
    return Report(made, writer.frames, writer.lost, seconds, writer.recordings or made, len(taken), notes)


def _without(contents: Contents, file: Path) -> Contents:
    """The contents less the clips that a file names, which are left out for that reason."""
    try:
        named = {Path(line.strip()).stem for line in file.read_text(encoding="utf-8").splitlines()}
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: expected a text file with the names of clips to leave out ({error})") from error
    kept = [clip for clip in contents.clips if clip.id not in named]
    dropped = [(clip.file, f"named in {file.name}") for clip in contents.clips if clip.id in named]
    return replace(contents, clips=kept, left_out=contents.left_out + dropped)


def _check_settings(kind: str, found: Kind, layout: Any, workers: int | None, max_frames: int | None) -> None:
    """Raises ConfigError for settings that make no sense."""
    if layout is not None and found.layout is not None:
        free = ", ".join(name for name, other in KINDS.items() if other.layout is None)
        raise ConfigError(f"{kind} has the layout {found.layout}; a layout can be given for {free}")
    if workers is not None and workers < 1:
        raise ConfigError(f"expected at least 1 worker, got {workers}")
    if max_frames is not None and max_frames < 1:
        raise ConfigError(f"expected at least 1 frame to keep, got max_frames {max_frames}")


def _plan(
    kind: str, found: Kind, contents: Contents, normalise: bool, max_frames: int | None, trim: bool
) -> tuple[Recipe, dict[str, Any]]:
    """How the clips are prepared and how the store describes them: the kind's word, unless the files have theirs."""
    layout = contents.layout or load_layout(str(found.layout))
    bodies = contents.bodies or found.bodies or 1
    description = {
        "kind": contents.kind or kind,
        "layout": layout,
        "bodies": bodies,
        "fps": contents.fps or found.fps,
        "classes": found.classes if contents.classes is None else contents.classes,
        "protocols": found.protocols if contents.protocols is None else contents.protocols,
        "normalised": normalise or contents.normalised,
    }
    turn = normalise and not contents.normalised
    return Recipe(layout, bodies, turn, max_frames, contents.chosen, trim), description


def _fingerprint(contents: Contents, recipe: Recipe, description: dict[str, Any], source: Path) -> str:
    """What is made of what: equal for two imports that write the same store, as far as names, sizes and times tell."""
    clips = [(clip.id, clip.file) for clip in contents.clips]
    files = [source] if source.is_file() else sorted(walk(source))
    status = [(str(file), file.stat()) for file in files]
    stamps = [(file, of.st_size, of.st_mtime_ns) for file, of in status]
    content = repr((FORMAT, clips, stamps, recipe, sorted(description.items(), key=lambda item: item[0])))
    return hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()


def _completeness(found: Kind, contents: Contents, recordings: int, clips: int, listed: bool) -> list[str]:
    """Whether so many recordings and clips are the whole data set, where it is known how much that is."""
    whole = found.whole
    if whole is None or contents.kind is not None:
        return []
    if recordings < whole.recordings:
        return [f"a part of {whole.name}: {recordings:,} of its {whole.recordings:,} recordings"]
    if clips == whole.clips:
        return [f"the whole of {whole.name}: {clips:,} clips, as published"]
    unlisted = whole.clips < whole.recordings and not listed
    hint = "; published results leave out the authors' list of missing skeletons (--leave_out FILE)" if unlisted else ""
    return [f"{whole.name} has {whole.clips:,} clips in published results, this store {clips:,}{hint}"]


def _processes(workers: int | None, contents: Contents) -> int:
    """The number of processes that are worth their start."""
    if contents.in_process or (workers is None and len(contents.clips) < WORTH_PROCESSES):
        return 1
    return cores() if workers is None else workers


def _write(
    writer: StoreWriter, contents: Contents, recipe: Recipe, processes: int, strict: bool, progress: bool
) -> None:
    """Reads, prepares and appends all clips in their order, from where an earlier process stopped."""
    clips = contents.clips[writer.done :]
    chunks = [clips[start : start + CHUNK] for start in range(0, len(clips), CHUNK)]
    outcomes = ordered_map(prepare_chunk, chunks, recipe, processes)
    bar = tqdm(
        total=len(contents.clips), initial=writer.done, unit="clip", desc="import", disable=not progress, delay=1
    )
    done, saved = writer.done, time.monotonic()
    with closing(outcomes), bar:
        for chunk, outcome in zip(chunks, outcomes, strict=True):
            for clip, results in zip(chunk, outcome, strict=True):
                _append(writer, clip.file, results, strict)
            bar.update(len(chunk))
            done += len(chunk)
            if time.monotonic() - saved > SAVE_SECONDS:
                writer.save(done)
                saved = time.monotonic()


def _append(writer: StoreWriter, file: str, results: Sequence[Recording | LeftOut], strict: bool) -> None:
    """Appends what a file became, and notes what it did not become."""
    for result in results:
        if isinstance(result, Recording):
            writer.add(result)
            continue
        name, reason = result
        if strict and reason != MISSING:
            raise DataError(f"{file}: {reason}")
        writer.lost.append((f"{file} ({name})" if name else file, reason))
