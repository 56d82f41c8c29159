"""Kinder-Gator: children and adults before a Kinect v1, one CSV file a clip, 58 actions once by each of 20 people.

The number in a file's name is the place of the action in the order of performing, not its class: the class is its name.
Time stamps are 33 ms apart (30.0 frames a second in the median of the files); 88 of 193,364 steps do not increase.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from pcm3.data.readers.text_table import coordinates, printable
from pcm3.data.recording import Recording
from pcm3.data.source_index import Options, SourceIndex, list_clips
from pcm3.errors import DataError, not_one_of

NAME = r"POSE-p(\d{1,6})_(\d{1,3})-([A-Za-z-]{1,100}?)-*-(\d{1,15})\.csv"
FORM = "POSE-pID_ORDER-Action-TIME.csv"
JOINTS = (
    "HipCenter", "Spine", "ShoulderCenter", "Head",
    "ShoulderLeft", "ElbowLeft", "WristLeft", "HandLeft", "ShoulderRight", "ElbowRight", "WristRight", "HandRight",
    "HipLeft", "KneeLeft", "AnkleLeft", "FootLeft", "HipRight", "KneeRight", "AnkleRight", "FootRight",
)  # fmt: skip
"""In the order of kinect_v1."""
HEADER = ["Timestamp", *(joint + axis for joint in JOINTS for axis in "XYZ"), "User-ID", "Action"]
COLUMNS = len(HEADER) - 2
"""Those that are numbers."""

PAIRS = {
    "bend your other knee while raising your leg": "bend your knee while raising your leg",
    "kick a ball as far as you can with the other leg": "kick a ball as far as you can",
    "kick a ball with the other leg": "kick a ball",
    "lift your leg to the other side": "lift your leg to one side",
    "put your hands on your hips and lean to the other side": "put your hands on your hips and lean to the side",
    "raise your arm to the other side": "raise your arm to one side",
    "raise your other hand": "raise your hand",
    "throw a ball as far as you can with the other arm": "throw a ball as far as you can",
    "throw a ball with your other arm": "throw a ball",
    "wave your other hand": "wave your hand",
}
"""Actions that differ from another one by the side alone, which each performer chose: without knowing the person the
two cannot be told apart."""
MERGED = tuple(sorted([
    *PAIRS.values(), "bow", "climb an imaginary ladder", "do a forward lunge", "do two jumping jacks", "draw a circle",
    "draw a square", "draw a triangle", *(f"draw the letter {letter}" for letter in "ACKMX"), "fly like a bird",
    "fly like an airplane", "jump", "jump as high as you can", *(f"make the letter {letter}" for letter in "ACKMPTXY"),
    "point at the camera", "punch", "push an imaginary button in front of you",
    "put your hands on your hips and twist", "run in place", "run in place as fast as you can",
    "signal someone to come here", "signal someone to stop", "swim",
    "swipe across an imaginary screen in front of you from left to right",
    "swipe across an imaginary screen in front of you from right to left", "touch your toes", "walk in place",
    "walk in place as fast as you can",
]))  # fmt: skip
CLASSES = tuple(sorted([*MERGED, *PAIRS]))
"""As the files are named, in plain words."""
SPELLINGS = {"climb and imaginary ladder": "climb an imaginary ladder"}
LABELS = {"named": CLASSES, "merged": MERGED}
"""What ``--labels`` may say: all actions, or each with its other side."""

CHILDREN = (103, 106, 169, 290, 337, 342, 474, 595, 644, 723)
ADULTS = (565, 577, 604, 734, 876, 888, 921, 934, 970, 976)
PROTOCOLS: dict[str, Any] = {
    "xsub": {"by": "subject", "train": [103, 169, 337, 474, 644, 565, 604, 876, 921, 970]},
    "adults_to_children": {"by": "subject", "train": list(ADULTS)},
    "children_to_adults": {"by": "subject", "train": list(CHILDREN)},
}
"""None is published. Ours: every second child and every second adult by number; all adults; all children."""


def index(source: Path, options: Options) -> SourceIndex:
    """The clips under the source, with the classes that the options name.

    Raises:
        DataError: no such classes.
    """
    wanted = options.labels or "named"
    if wanted not in LABELS:
        raise DataError(not_one_of("labels of kinder-gator", wanted, LABELS))
    clips, _, unusable = list_clips(source, ".csv", parse_merged if wanted == "merged" else parse)
    notes = [
        "labels as named; --labels merged takes actions of one or the other side for one, since performers chose it"
    ]
    return SourceIndex(clips, unusable=unusable, classes=LABELS[wanted], notes=notes if wanted == "named" else [])


def parse(name: str, data: bytes, classes: tuple[str, ...] = CLASSES) -> Recording:
    """The recording in one file.

    Raises:
        DataError: the name or the content is not that of a Kinder-Gator recording; the error names the line.
    """
    match = re.fullmatch(NAME, name, re.ASCII)
    if match is None:
        raise DataError(f"{name}: expected a name like {FORM}")
    words = match[3].replace("-", " ")
    action = words[:1].lower() + words[1:]
    action = SPELLINGS.get(action, action)
    if action not in CLASSES:
        raise DataError(f"{name}: expected one of the {len(CLASSES)} actions, got '{words}'")
    lines = data.rstrip().splitlines()
    if not lines or lines[0].decode("latin-1").rstrip(",").split(",") != HEADER:
        raise DataError(f"{name}: line 1: expected the names of the columns, Timestamp,HipCenterX,…,User-ID,Action")
    rows = [line.split(b",")[:COLUMNS] for line in lines[1:]]
    for number, row in enumerate(rows, 2):
        if len(row) != COLUMNS:
            got = printable(lines[number - 1])
            raise DataError(f"{name}: line {number}: expected a time and {COLUMNS - 1} coordinates, got {got}")
    if not rows:
        raise DataError(f"{name}: line 2: expected a time and {COLUMNS - 1} coordinates, got the end of the file")
    points = coordinates(name, [field for row in rows for field in row[1:]], lambda row: row // len(JOINTS) + 2)
    label = PAIRS.get(action, action) if classes == MERGED else action
    return Recording(
        name.removesuffix(".csv"),
        points.reshape(-1, 1, len(JOINTS), 3).astype(np.float32),
        classes.index(label),
        subject=int(match[1]),
    )


def parse_merged(name: str, data: bytes) -> Recording:
    """As `parse`, an action of the other side being the same as of the one."""
    return parse(name, data, MERGED)
