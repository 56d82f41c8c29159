"""Northwestern-UCLA: one JSON file a clip, ``aAA_sSS_eEE_vVV.json``, 20 Kinect v1 joints in the SDK's order."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from pcm3.data.recording import Recording, metres
from pcm3.data.source_index import Options, SourceIndex, list_clips, name_numbers
from pcm3.errors import DataError

NAME = r"a(\d{1,3})_s(\d{1,3})_e(\d{1,3})_v(\d{1,3})\.json"
JOINTS = 20

ACTIONS = (1, 2, 3, 4, 5, 6, 8, 9, 11, 12)
"""The action numbers in use, in the order of the labels: 7 and 10 do not occur."""


def index(source: Path, options: Options) -> SourceIndex:
    """The clips under the source."""
    clips, _, unusable = list_clips(source, ".json", parse)
    return SourceIndex(clips, unusable=unusable)


def parse(name: str, data: bytes) -> Recording:
    """The recording in one file.

    Raises:
        DataError: the name or the content is not that of an NW-UCLA skeleton.
    """
    action, subject, _take, camera = name_numbers(name, NAME, "aAA_sSS_eEE_vVV.json")
    if action not in ACTIONS:
        raise DataError(f"{name}: expected an action of {', '.join(map(str, ACTIONS))}, got {action}")
    try:
        frames = np.array(json.loads(data)["skeletons"], np.float64)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise DataError(f"{name}: expected JSON with 'skeletons' [T][{JOINTS}][3]: {error}") from error
    if frames.ndim != 3 or frames.shape[1:] != (JOINTS, 3):
        raise DataError(f"{name}: expected 'skeletons' of shape (T, {JOINTS}, 3), got {frames.shape}")
    return Recording(
        id=name.removesuffix(".json"),
        frames=metres(name, frames[:, None]),
        label=ACTIONS.index(action),
        subject=subject,
        camera=camera,
    )
