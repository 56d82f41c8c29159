"""``pcm3 import KIND SOURCE STORE``."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from pcm3.cli.places import check_new_store
from pcm3.cli.proposals import after_import, print_next
from pcm3.limits import MOST, MOST_PROCESSES, check_range, check_ranges
from pcm3.summary import counted


@dataclass
class ImportOptions:
    """How to import."""

    layout: str | None = None
    """npz, agcn, ctrgcn, pyskl, files of your own: the skeleton, a layout's name or TOML file, where it is not told."""
    to: str | None = None
    """Retarget to this layout, a name or TOML file: joints are found by their names, others are approximated or absent,
    and it is told which (docs/LAYOUTS.md). Null for as recorded."""
    all_files: bool = False
    """msr-action3d only: take all 567 clips instead of the published list's 557."""
    track: Literal["slot", "id"] = "slot"
    """ntu60 and ntu120: what makes a body the same from frame to frame, its place in the frame or its body id."""
    fixed_root: bool = False
    """h36m only: leave out where the root goes and turns, as published results on motion prediction do."""
    reach: float | None = None
    """msrc12 only: seconds before and after a tag that belong to its gesture, unless the next one is nearer; null for
    2. Less leaves frames without a gesture between two, as detection needs them."""
    labels: str | None = None
    """Files of your own: a CSV table with the columns file,label[,subject,camera,start,stop], times in seconds.
    utkinect: which file of labels to take, original or modified. kinder-gator: which classes, named or merged."""
    pattern: str | None = None
    """Files of your own: how they are named, {subject}_{label}; {} stands for what does not matter, / for a folder."""
    columns: str | None = None
    """Tables of your own: the columns that tell recordings apart and what is done in them by whom,
    clip=NAME,label=NAME,subject=NAME,camera=NAME; null to find them by their names, label= for none (YOUR_DATA.md)."""
    units: str | None = None
    """Files of your own: metres, centimetres, millimetres, inches, feet, or the metres in one unit; null to tell it by
    the size of the bodies."""
    min_score: float = 0.3
    """Files of your own: a joint of whose place the pose estimator is less sure (0 to 1) is absent."""
    trim: bool = False
    """Cut untrimmed recordings into their labelled actions, each prepared as a clip of its own."""
    skip_list: Path | None = None
    """Text file with the names of clips to skip, one a line (a data set's list of missing skeletons)."""
    normalise: bool = True
    """Centre and turn the clips (docs/DATA.md); false keeps the camera's frame."""
    rule: Literal["released", "upright", "flat"] | None = None
    """How recordings are prepared: released, as published results on NTU RGB+D and its kind need it; upright, for any
    camera or mocap rig; flat, for poses in a picture; null for what suits the kind of data."""
    up: str | None = None
    """Rule upright: which way is up in the recordings, x, y, z, -x, -y, -z or three numbers (0,-1,0); null to find it
    by how people stand."""
    fill: float = 0.5
    """Seconds of the longest gap of a joint that is filled by interpolation; 0 for none."""
    fps: float | None = None
    """Resample the recordings to so many frames a second; null keeps them as they are. For files that do not tell their
    rate: what it is."""
    max_frames: int | Literal["kind"] | None = "kind"
    """Frames after which a clip is cut off; null for never; kind for 300 with NTU RGB+D, PKU-MMD and what others have
    made of them, and never with all else."""
    dtype: Literal["float32", "float16"] = "float32"
    """How coordinates are stored; float16 halves the disk at a precision of about a millimetre."""
    workers: int | None = None
    """Processes; null for as many as there are cores."""
    strict: bool = False
    """Stop at the first file that cannot be read, instead of skipping it."""
    overwrite: bool = False
    """Replace a store that is there already, once the new one is complete."""


def add_arguments(parser: Any, words: list[str]) -> None:
    """Adds the command's arguments."""
    from pcm3.data.datasets import DATASETS

    parser.add_argument("kind", type=str, help="auto " + " ".join(DATASETS))
    parser.add_argument("source", type=Path, help="folder, zip or file with the raw recordings")
    parser.add_argument("store", type=Path, help="folder to write")
    parser.add_class_arguments(ImportOptions)


def run(options: Any) -> tuple[int, dict[str, Any]]:
    """Imports, and says what came of it."""
    from pcm3.data.importer import import_recordings
    from pcm3.data.info import describe, protocol_lines
    from pcm3.data.reasons import reason_lines
    from pcm3.data.retarget_store import retargeting_lines
    from pcm3.data.store import ClipStore

    check_ranges(options, {"workers": MOST_PROCESSES})
    if options.max_frames != "kind":
        check_range("max_frames", options.max_frames, 1, MOST)
    check_new_store(options.source, options.store, overwrite=options.overwrite)
    how = {entry.name: getattr(options, entry.name) for entry in fields(ImportOptions)}
    progress = sys.stderr.isatty() or not options.json
    report = import_recordings(options.kind, options.source, options.store, **how, progress=progress)
    store = ClipStore.open(options.store)
    held = describe(store)
    untrimmed = f" in {held['recordings']:,} untrimmed recordings" if held["untrimmed"] else ""
    print(
        f"{options.store}: {report.clips:,} clips{untrimmed}, {report.frames:,} frames, {held['bytes'] / 1e6:,.1f} MB"
    )
    for note in [*report.notes, *held["labels"], *report.changes]:
        print(f"note: {note}")
    for line in retargeting_lines(store):
        print(f"  {line}")
    for name, counts in protocol_lines(held).items():
        print(f"{name}: {counts}")
    if report.skipped:
        print(
            f"skipped: {counted(len(report.skipped), 'file')} (all of them in {options.store}/store.json under report)"
        )
        for line in reason_lines(report.skipped):
            print(f"  {line}")
    else:
        print("skipped: nothing")
    print(f"{report.seconds:.1f} s, {report.clips_per_s:,.0f} recordings/s")
    print_next(after_import(store, options.store))
    result = {
        "store": str(options.store),
        "clips": report.clips,
        "recordings": report.recordings,
        "frames": report.frames,
        "bytes": held["bytes"],
        "protocols": held["protocols"],
        "notes": [*report.notes, *report.changes],
        "labels": held["labels"],
        "preparation": store.preparation,
        "skipped": [list(entry) for entry in report.skipped],
        "seconds": round(report.seconds, 3),
        "clips_per_s": round(report.clips_per_s, 1),
    }
    return 0, result
