"""The data sets that can be imported: one visible table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

from pcm3.data.formats.index import index as index_files
from pcm3.data.formats.table import FORMATS
from pcm3.data.prepare import RuleName
from pcm3.data.readers import (
    agcn,
    ctr_gcn,
    h36m,
    kinder_gator,
    msr_action3d,
    msrc12,
    npz,
    ntu,
    nw_ucla,
    pku_mmd,
    pyskl,
    sbu,
    utd_mhad,
    utkinect,
)
from pcm3.data.readers.class_names import class_names
from pcm3.data.source_index import Options, SourceIndex
from pcm3.errors import ConfigError, DataError, not_one_of


@dataclass(frozen=True)
class PublishedCounts:
    """How much a complete data set is, so that an import can say whether it got it."""

    name: str
    recordings: int
    clips: int
    """Those of the recordings that published results use."""
    splits: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Protocol → training and test clips in published results."""


@dataclass(frozen=True)
class Dataset:
    """What is known of a data set before its files are seen; what is None or empty, the files say."""

    read: Callable[[Path, Options], SourceIndex]
    layout: str | None = None
    fps: float | None = None
    bodies: int | None = None
    """M, the bodies kept of each recording."""
    classes: tuple[str, ...] = ()
    protocols: dict[str, Any] = field(default_factory=dict)
    published: PublishedCounts | None = None
    rule: RuleName = "released"
    """How its recordings are prepared unless the user says otherwise: as published results on it need it."""
    max_frames: int | None = None
    """Frames after which its clips are cut unless the user says otherwise."""
    options: tuple[str, ...] = ()
    """Those of `Options` that its reader looks at, beside layout (where it has none) and fps."""


NTU_FRAMES = 300
"""Where the scripts for NTU RGB+D and their descendants cut clips."""

ODD_SUBJECTS = {"xsub": {"by": "subject", "train": [1, 3, 5, 7, 9]}}
OWN_FILES = ("labels", "pattern", "units", "min_score")
"""What may be said of files of one's own."""

DATASETS: dict[str, Dataset] = {
    "ntu60": Dataset(
        ntu.index_60, "kinect_v2", 30.0, 2, class_names("ntu")[:60], ntu.PROTOCOLS_60,
        PublishedCounts("NTU RGB+D 60", 56_880, 56_578, {"xsub": (40_091, 16_487), "xview": (37_646, 18_932)}),
        max_frames=NTU_FRAMES, options=("track",),
    ),
    "ntu120": Dataset(
        ntu.index_120, "kinect_v2", 30.0, 2, class_names("ntu"), ntu.PROTOCOLS_120,
        PublishedCounts("NTU RGB+D 120", 114_480, 113_945, {"xsub": (63_026, 50_919), "xset": (54_468, 59_477)}),
        max_frames=NTU_FRAMES, options=("track",),
    ),
    "nw-ucla": Dataset(
        nw_ucla.index, "kinect_v1", 30.0, 1, class_names("nw-ucla"), {"xview": {"by": "camera", "train": [1, 2]}}
    ),
    "utd-mhad": Dataset(
        utd_mhad.index, "kinect_v1", 30.0, 1, class_names("utd-mhad"), ODD_SUBJECTS,
        PublishedCounts("UTD-MHAD", 861, 861, {"xsub": (431, 430)}),
    ),
    "msr-action3d": Dataset(
        msr_action3d.index, "kinect_v1", 15.0, 1, class_names("msr-action3d"), ODD_SUBJECTS,
        PublishedCounts("MSR-Action3D", 557, 557, {"xsub": (284, 273)}), options=("all_files",),
    ),
    "pkummd1": Dataset(pku_mmd.index_1, "kinect_v2", 30.0, 2, class_names("pku-mmd"), max_frames=NTU_FRAMES),
    "pkummd2": Dataset(pku_mmd.index_2, "kinect_v2", 30.0, 2, class_names("pku-mmd"), max_frames=NTU_FRAMES),
    "utkinect": Dataset(
        utkinect.index, "kinect_v1", 15.0, 1, class_names("utkinect"), utkinect.PROTOCOLS,
        PublishedCounts("UTKinect-Action3D", 20, 199), options=("labels",),
    ),
    "sbu": Dataset(
        sbu.index, "sbu15", 15.0, 2, class_names("sbu"), sbu.PROTOCOLS,
        PublishedCounts("SBU Kinect Interaction", 282, 282),
    ),
    "kinder-gator": Dataset(
        kinder_gator.index, "kinect_v1", 30.0, 1, kinder_gator.CLASSES, kinder_gator.PROTOCOLS,
        PublishedCounts("Kinder-Gator", 1159, 1159), rule="upright", options=("labels",),
    ),
    "msrc12": Dataset(
        msrc12.index, "kinect_v1", 30.0, 1, msrc12.CLASSES, msrc12.PROTOCOLS,
        PublishedCounts("MSRC-12", 594, 6243), rule="upright", options=("reach",),
    ),
    "h36m": Dataset(
        h36m.index, h36m.LAYOUT, 50.0, 1, h36m.SCENARIOS, h36m.PROTOCOLS, PublishedCounts("Human3.6M", 210, 210),
        rule="upright", options=("labels", "fixed_root"),
    ),
    "agcn": Dataset(agcn.index, fps=30.0, max_frames=NTU_FRAMES),
    "ctrgcn": Dataset(ctr_gcn.index, fps=30.0, max_frames=NTU_FRAMES),
    "pyskl": Dataset(pyskl.index, fps=30.0, max_frames=NTU_FRAMES),
    "npz": Dataset(npz.index, rule="upright"),
    **{
        name: Dataset(
            partial(index_files, form=form), rule="upright", options=(*OWN_FILES, *(["columns"] if form.table else []))
        )
        for name, form in FORMATS.items()
    },
}  # fmt: skip
"""The data sets, and below them the formats of users' own files."""


def find_dataset(name: str) -> Dataset:
    """The kind of that name.

    Raises:
        DataError: there is none.
    """
    if name not in DATASETS:
        raise DataError(not_one_of("a kind of data set", name, DATASETS))
    return DATASETS[name]


def check_options(kind: str, options: Options) -> None:
    """Raises ConfigError for what the user says and the kind's reader does not look at."""
    usual = Options()
    for name in (entry.name for entry in fields(Options) if entry.name not in ("layout", "fps")):
        if getattr(options, name) != getattr(usual, name) and name not in find_dataset(kind).options:
            others = [other for other, dataset in DATASETS.items() if name in dataset.options]
            if set(FORMATS) <= set(others):
                others = [*(other for other in others if other not in FORMATS), "files of your own (bvh, csv, …)"]
            raise ConfigError(f"setting {name}: expected it with {', '.join(others)}; {kind} has no use for it")
