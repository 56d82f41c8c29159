"""Arrays in the form of ST-GCN and 2s-AGCN, as CMD, ISC, AimCLR and most of their kin keep them: ``(N, C, T, V, M)``.

A folder holds for each part (``train``, ``val`` or ``test``) the joints, ``PART_data_joint.npy`` or another of `STEMS`;
``PART_label.pkl`` with names and labels, or ``PART_label.npy`` with labels; and perhaps ``PART_num_frame.npy``. The
joints are read clip by clip, in any process, with one clip in memory; padding is undone (`padding`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.data.archives import Skipped
from pcm3.data.readers import agcn_files
from pcm3.data.readers.class_names import numbered_classes
from pcm3.data.readers.ntu_names import classes_and_protocols, ntu_name, wrong_name
from pcm3.data.readers.padding import SINGLE, is_padding, unpadded
from pcm3.data.recording import TEST, TRAIN, Recording, metres
from pcm3.data.source_index import Options, SourceClip, SourceIndex
from pcm3.data.store import BY_SPLIT
from pcm3.errors import DataError
from pcm3.geometry import present_joints
from pcm3.normalisation import DEGENERATE
from pcm3.skeleton import Layout, load_layout

STEMS = ("data_joint", "data_joint_pad", "data", "position")
"""How files of joints are called after their part: by 2s-AGCN, MS-G3D, CMD, ISC; AS-GCN; ST-GCN; CrosSCLR, AimCLR."""
PARTS = ("train", "val", "test")
PROTOCOL, PROTOCOL_VAL = "split", "split-val"
"""What the parts make: train against test, and, where there are both, train against val."""

USUAL_FRAMES = 300
PROBED = 16
"""Clips of a part that are looked at to tell whether it is normalised already."""
FAR = 1.5
"""Metres from its centre that a body has its mean in no pose."""
UNCENTRED = (
    "In some frames the joint at the centre was absent, so that the script did not centre them: they stay where the "
    "camera saw them, which pcm3 check shows as jumps."
)
TURNED = 1e-3
"""Sine of the angle to the x axis below which shoulders have been turned onto it."""


@dataclass(frozen=True)
class _Part:
    """A file of joints, and what is known of its clips."""

    name: str
    file: Path
    joints: agcn_files.Mapped
    """(N, C, T, V, M)."""
    names: list[str] | None
    labels: NDArray[np.int64]
    recorded: NDArray[np.int64] | None
    """(N,) the frames of each recording, where the folder tells."""


def index(source: Path, options: Options) -> SourceIndex:
    """The clips of all parts, in the order of the files.

    Raises:
        DataError: there are no such arrays, two for the same part, or arrays that do not fit together.
    """
    layout = options.layout or load_layout("kinect_v2")
    every = [_part(name, file, layout) for name, file in _find(source).items()]
    parts = [part for part in every if len(part.joints)]
    if not parts:
        raise DataError(f"{source}: its arrays hold no clip")
    bodies = {part.joints.shape[4] for part in parts}
    made = {_making(part, layout) for part in parts}
    if len(bodies) > 1 or len(made) > 1:
        raise DataError(
            f"{source}: the parts do not belong together: they differ in bodies, or in centring and turning"
        )
    names = [ntu_name(name) for part in parts for name in part.names or ()]
    known = [name for name in names if name is not None]
    centred, turned = made.pop()
    origin = layout.centre if centred else None
    clips, unusable = _clips(parts, layout, origin, ntu=bool(known))
    classes, protocols = (
        classes_and_protocols(known)
        if known
        else (numbered_classes(max(int(part.labels.max()) for part in parts) + 1), {})
    )
    return SourceIndex(
        clips,
        unusable=unusable,
        layout=layout,
        bodies=bodies.pop(),
        classes=classes,
        protocols={**dict.fromkeys(_protocols([part.name for part in parts]), BY_SPLIT), **protocols},
        notes=[f"{part.name} has no clip." for part in every if not len(part.joints)] + _notes(parts, centred),
        chosen=centred,
        normalised=centred and turned,
    )


def _find(source: Path) -> dict[str, Path]:
    """Part → its file of joints."""
    if source.is_file():
        parts = [part for part in PARTS for stem in STEMS if source.name == f"{part}_{stem}.npy"]
        if not parts:
            raise DataError(f"{source}: expected a folder with train_data_joint.npy and the like, or one such file")
        return {parts[0]: source}
    arrays: dict[str, Path] = {}
    for part in PARTS:
        files = [file for stem in STEMS if (file := source / f"{part}_{stem}.npy").is_file()]
        if len(files) > 1:
            names = " and ".join(file.name for file in files)
            raise DataError(f"{source}: expected one file of joints for {part}, got {names}; move the others away")
        arrays |= dict.fromkeys([part], files[0]) if files else {}
    if not arrays:
        below = sorted({file.parent.name for stem in STEMS for file in source.glob(f"*/*_{stem}.npy")})
        hint = f"; import one of the folders in it ({', '.join(below[:8])})" if below else ""
        raise DataError(f"{source}: expected train_data_joint.npy, val_data_joint.npy or the like, got none{hint}")
    return arrays


def _part(name: str, file: Path, layout: Layout) -> _Part:
    """The part with its labels, when they fit each other and the layout."""
    joints = agcn_files.mapped(file)
    wanted = len(layout.joints)
    shape = joints.shape
    if len(shape) != 5 or shape[1] != 3 or shape[3] != wanted or 0 in shape[1:] or joints.dtype.kind != "f":
        raise DataError(
            f"{file}: expected joints (N, 3, T, {wanted}, M) of floats for layout '{layout.name}', "
            f"got {shape} of {joints.dtype}"
        )
    if not joints.flags.c_contiguous:
        raise DataError(f"{file}: expected one clip after the other; save it again as np.ascontiguousarray(joints)")
    names, labels = agcn_files.names_and_labels(file.parent, name, len(joints))
    return _Part(name, file, joints, names, labels, agcn_files.recorded_frames(file.parent, name, len(joints)))


def _probed(part: _Part) -> list[NDArray[np.float64]]:
    """The first body (T, V, C) of some clips."""
    places = np.unique(np.linspace(0, len(part.joints) - 1, PROBED).astype(int))
    return [part.joints[index, ..., 0].transpose(1, 2, 0).astype(np.float64) for index in places]


def far_off(body: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """The frames (T) in which a body (T, V, C) that should be centred is not: its mean is `FAR` or more off."""
    count = np.maximum(body.any(axis=2).sum(axis=1), 1)[:, None]
    return np.asarray(np.linalg.norm(body.sum(axis=1) / count, axis=1) > FAR)


def _making(part: _Part, layout: Layout) -> tuple[bool, bool]:
    """Whether most clips were centred, and whether they were turned, as `normalisation.normalise` does it."""
    bodies = [body for body in _probed(part) if body[0].any()]
    centred = [not body[:, layout.centre].any() for body in bodies]  # nothing else makes a joint exactly 0
    turned = [_is_turned(body[0], layout) for body in bodies]
    return 2 * sum(centred) > len(bodies), 2 * sum(turned) > len(bodies)


def _is_turned(pose: NDArray[np.float64], layout: Layout) -> bool:
    """Whether the shoulders of the pose (V, C) lie along x."""
    across = pose[layout.across[1]] - pose[layout.across[0]]
    length = float(np.linalg.norm(across))
    return length < DEGENERATE or float(np.linalg.norm(across[1:])) < TURNED * length


def _protocols(parts: list[str]) -> list[str]:
    """The protocols that these parts make."""
    if "train" not in parts or len(parts) < 2:
        return []
    return [PROTOCOL, PROTOCOL_VAL] if len(parts) == 3 else [PROTOCOL]


def _splits(part: str, parts: list[str]) -> dict[str, int]:
    """The side of each protocol on which the clips of a part are."""
    if part == "train":
        return dict.fromkeys(_protocols(parts), TRAIN)
    own = PROTOCOL_VAL if part == "val" and "test" in parts else PROTOCOL
    return {own: TEST} if own in _protocols(parts) else {}


def _clips(
    parts: list[_Part], layout: Layout, origin: int | None, *, ntu: bool
) -> tuple[list[SourceClip], list[Skipped]]:
    """The clips, and those whose name, label or uniqueness is not right where some have the names of NTU RGB+D.

    Others go by the names they have, where these are different, or else by part and number.
    """
    names = [name for part in parts for name in part.names or [""]]
    unique = len(set(names)) == len(names) and all(names)
    clips: dict[str, SourceClip] = {}
    unusable: list[Skipped] = []
    for part in parts:
        splits = _splits(part.name, [other.name for other in parts])
        if ntu and part.names is None:
            unusable.append((str(part.file), "its clips have no names, and those of the other part have NTU's"))
            continue
        for index, label in enumerate(part.labels.tolist()):
            written = part.names[index] if part.names else ""
            name, wrong = ntu_name(written) if ntu else None, None
            id = written.removesuffix(".skeleton") if ntu else written if unique else f"{part.name}-{index:06d}"
            if id in clips:
                wrong = f"the name '{written}' is taken by '{clips[id].file}'"
            elif ntu:
                wrong = wrong_name(name, label)
            if wrong is not None:
                unusable.append((f"{part.file}: clip {index} ({written})", wrong))
            else:
                clips[id] = _clip(part, index, id, layout, origin, splits=splits, **(name.who if name else {}))
    return list(clips.values()), unusable


def _clip(part: _Part, index: int, id: str, layout: Layout, origin: int | None, **facts: Any) -> SourceClip:
    """One clip, not read yet; ``origin`` is the joint of the first body that lies at the origin in every frame."""
    recorded = None if part.recorded is None else int(part.recorded[index])
    facts |= {"label": int(part.labels[index]), "recorded": recorded, "origin": origin}
    joints = partial(
        agcn_files.read_row, part.file, index, part.joints.offset, part.joints.shape[1:], part.joints.dtype
    )
    return SourceClip(id, f"{part.file}: clip {index}", partial(_read, joints, id, **facts))


def _read(
    joints_of: Callable[[], NDArray[Any]],
    id: str,
    *,
    label: int,
    recorded: int | None,
    origin: int | None,
    splits: dict[str, int],
    **who: Any,
) -> Recording:
    """The clip without its padding."""
    joints = joints_of()
    frames = metres(id, joints.transpose(1, 3, 2, 0))
    if recorded is None:
        frames = unpadded(frames, max(SINGLE, float(np.finfo(joints.dtype).eps)))
    else:
        frames = _cut(id, frames, recorded)
    present = present_joints(frames)
    if origin is not None:
        present[:, 0, origin] = present[:, 0].any(axis=1) & ~far_off(frames[:, 0])
    return Recording(id, np.ascontiguousarray(frames), label, splits=splits, present=present, **who)


def _cut(id: str, frames: NDArray[np.float32], recorded: int) -> NDArray[np.float32]:
    """The frames that were recorded, when what follows them is padding."""
    if recorded < 1:
        raise DataError(f"{id}: expected at least 1 frame, its num_frame says {recorded}")
    if recorded < len(frames) and not is_padding(frames, recorded):
        raise DataError(
            f"{id}: num_frame says {recorded} frames, but more than padding follows them: is it the file of this array?"
        )
    return frames[:recorded]


def _notes(parts: list[_Part], centred: bool) -> list[str]:
    """What a user must know of arrays that are not of the usual length, or in which joints were absent."""
    frames = sorted({part.joints.shape[2] for part in parts})
    uncentred = centred and any(far_off(body).any() for part in parts for body in _probed(part))
    notes = [UNCENTRED] if uncentred else []
    if frames == [USUAL_FRAMES]:
        return notes
    lengths = " and ".join(map(str, frames))
    return [
        *notes,
        f"The arrays have {lengths} frames a clip: where clips were resampled to that, their speed is not as recorded.",
    ]
