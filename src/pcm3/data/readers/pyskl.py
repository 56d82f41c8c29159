"""The pickle of PYSKL and MMAction2: a list of annotations, one a clip, and lists of names for each side of a split.

An annotation holds ``keypoint`` (M, T, V, C), ``frame_dir`` (the name), ``label`` and ``total_frames``, and perhaps
``keypoint_score`` (M, T, V): a joint whose score is 0 or NaN is absent. Skeletons of two dimensions, in pixels, are
poses in a picture (`pcm3.data.picture`): of 17 joints they are COCO's, unless another layout is given.
The file is read whole, and costs its own size in memory; `safe_pickle` reads it.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.data.archives import Skipped
from pcm3.data.names import is_name, printable
from pcm3.data.picture import with_third, without_nan
from pcm3.data.readers.class_names import numbered_classes
from pcm3.data.readers.ntu_names import NtuName, classes_and_protocols, ntu_name, wrong_name
from pcm3.data.readers.pyskl_split import Split, compare, read_split
from pcm3.data.readers.safe_pickle import load
from pcm3.data.recording import CLASSES_LIMIT, Recording, metres
from pcm3.data.source_index import Options, SourceClip, SourceIndex
from pcm3.data.store import BY_SPLIT
from pcm3.errors import DataError
from pcm3.skeleton import Layout, load_layout

SUFFIXES = (".pkl", ".pickle", ".pkl.gz", ".pickle.gz")
FORM = "expected a dict with 'split' and a list 'annotations', as PYSKL writes it"
IN_PICTURES = {17: "coco17", 18: "openpose18", 25: "openpose25"}
"""Joints of skeletons of two coordinates → the layout that they usually are."""
BODIES = 4
"""Bodies of a clip that are kept at most, the most moving ones."""


def index(source: Path, options: Options) -> SourceIndex:
    """The annotated clips, in the order of the file.

    Raises:
        DataError: it is no such file.
    """
    file = _find(source)
    held = load(file)
    annotations = _annotations(file, held)
    coordinates, usual = _skeleton(annotations)
    layout = options.layout or load_layout(usual)
    taken, unusable = _usable(file, annotations, layout, coordinates)
    named = {id: name for id in taken if (name := ntu_name(id)) is not None}
    if named:
        unusable += _leave_wrong(file, taken, named)
    known = [
        str(name)
        for annotation in annotations
        if isinstance(annotation, dict) and (name := annotation.get("frame_dir")) is not None
    ]
    split = read_split(file, held.get("split", {}) if isinstance(held, dict) else {}, taken, {*taken, *known})
    if named:
        classes, protocols = classes_and_protocols(named.values())
    else:
        classes, protocols = numbered_classes(max((int(held["label"]) for held in taken.values()), default=-1) + 1), {}
    return SourceIndex(
        [_clip(file, id, annotation, named.get(id), split) for id, annotation in taken.items()],
        skipped=split.missing,
        unusable=unusable,
        layout=layout,
        bodies=min(BODIES, max((len(annotation["keypoint"]) for annotation in taken.values()), default=1)),
        classes=classes,
        protocols=protocols | dict.fromkeys(split.protocols, BY_SPLIT),
        notes=_score_notes(taken) + split.notes + compare(split, named, protocols),
        in_process=True,
    )


def _find(source: Path) -> Path:
    """The pickle: the source itself, or the only one in it."""
    if not source.is_dir():
        return source
    files = sorted(file for file in source.iterdir() if file.name.endswith(SUFFIXES))
    if len(files) != 1:
        names = ", ".join(file.name for file in files[:6]) or "none"
        raise DataError(f"{source}: expected one pickle like ntu60_3danno.pkl, got {names}; name the file")
    return files[0]


def _annotations(file: Path, held: Any) -> list[Any]:
    """The annotations, when there are any and they hold skeletons."""
    annotations = held.get("annotations", [held] if "keypoint" in held else None) if isinstance(held, dict) else held
    if not isinstance(annotations, (list, tuple)) or not annotations:
        got = f"a dict with {_some(held)}" if isinstance(held, dict) else f"a {type(held).__name__}"
        raise DataError(f"{file}: {FORM}, got {got if annotations is None or annotations is held else 'none'}")
    dicts = [annotation for annotation in annotations if isinstance(annotation, dict)]
    if dicts and not any("keypoint" in annotation for annotation in dicts):
        raise DataError(
            f"{file}: its annotations hold no skeletons, only {_some(dicts[0])}: it is a list of videos or of other "
            "files; pcm3 needs 'keypoint', as in ntu60_3danno.pkl or ntu60_hrnet.pkl"
        )
    return list(annotations)


def _some(held: dict[Any, Any]) -> str:
    """The first keys of a dict."""
    return ", ".join(printable(str(key), 30) for key in list(held)[:6]) + (", …" if len(held) > 6 else "")


def _usable(
    file: Path, annotations: list[Any], layout: Layout, coordinates: int
) -> tuple[dict[str, dict[str, Any]], list[Skipped]]:
    """Id → annotation of those that can become clips; and the others, with the reason."""
    taken: dict[str, dict[str, Any]] = {}
    unusable: list[Skipped] = []
    for index, annotation in enumerate(annotations):
        wrong = _wrong(annotation, layout, coordinates)
        if wrong is None and annotation["frame_dir"] in taken:
            wrong = "the name is taken by an annotation before it"
        if wrong is None:
            taken[str(annotation["frame_dir"])] = annotation
        else:
            name = annotation.get("frame_dir") if isinstance(annotation, dict) else None
            unusable.append((f"{file}: annotation {index}" + (f" ({name})" if is_name(name) else ""), wrong))
    return taken, unusable


def _skeleton(annotations: list[Any]) -> tuple[int, str]:
    """How many coordinates a joint of the first skeleton has, and the layout that it usually is."""
    skeletons = (annotation.get("keypoint") for annotation in annotations if isinstance(annotation, dict))
    shapes = (keypoint.shape[2:] for keypoint in skeletons if isinstance(keypoint, np.ndarray) and keypoint.ndim == 4)
    joints, coordinates = next(shapes, (0, 3))
    return (2, IN_PICTURES.get(joints, "coco17")) if coordinates == 2 else (3, "kinect_v2")


def _wrong(annotation: Any, layout: Layout, coordinates: int) -> str | None:
    """What is wrong with an annotation; None if it can become a clip."""
    if not isinstance(annotation, dict):
        return f"expected a dict, got a {type(annotation).__name__}"
    missing = [name for name in ("frame_dir", "label", "keypoint") if name not in annotation]
    if missing:
        return f"'{missing[0]}' is missing"
    name, label, keypoint = annotation["frame_dir"], annotation["label"], annotation["keypoint"]
    if not is_name(name):
        return f"expected a name as frame_dir, got '{printable(str(name), 40)}'"
    if not isinstance(label, (int, np.integer)) or not 0 <= label < CLASSES_LIMIT:
        return f"expected a label from 0 to {CLASSES_LIMIT - 1}, got '{printable(str(label), 40)}'"
    wanted = f"expected keypoint (M, T, {len(layout.joints)}, {coordinates}) of floats for layout '{layout.name}'"
    if not isinstance(keypoint, np.ndarray):
        return f"{wanted}, got a {type(keypoint).__name__}"
    if keypoint.ndim != 4 or keypoint.shape[2:] != (len(layout.joints), coordinates) or keypoint.dtype.kind != "f":
        return f"{wanted}, got {keypoint.shape} of {keypoint.dtype}"
    frames = annotation.get("total_frames", keypoint.shape[1])
    if not isinstance(frames, (int, np.integer)) or frames != keypoint.shape[1] or not keypoint.size:
        return f"total_frames says '{printable(str(frames), 40)}', keypoint has shape {keypoint.shape}"
    return _wrong_score(annotation.get("keypoint_score"), keypoint.shape[:3])


def _wrong_score(score: Any, shape: tuple[int, ...]) -> str | None:
    """What is wrong with the scores of an annotation; None if they fit, or there are none."""
    if score is None or (isinstance(score, np.ndarray) and score.dtype.kind in "fiu" and score.shape == shape):
        return None
    got = f"{score.shape} of {score.dtype}" if isinstance(score, np.ndarray) else f"a {type(score).__name__}"
    return f"expected keypoint_score {shape} of numbers, as many as joints, got {got}"


def _score_notes(taken: dict[str, dict[str, Any]]) -> list[str]:
    """What became of the scores."""
    scores = [score for annotation in taken.values() if (score := annotation.get("keypoint_score")) is not None]
    if not scores:
        return []
    absent = sum(int((~(score > 0)).sum()) for score in scores)
    share = absent / sum(score.size for score in scores)
    return [f"keypoint_score is kept beside the frames, and tells absent joints ({share:.1%}: those of score 0)."]


def _leave_wrong(file: Path, taken: dict[str, dict[str, Any]], named: dict[str, NtuName]) -> list[Skipped]:
    """Takes out what has no name of NTU RGB+D where others have, or a label that is not its action's."""
    unusable: list[Skipped] = []
    for id in list(taken):
        wrong = wrong_name(named.get(id), int(taken[id]["label"]))
        if wrong is not None:
            unusable.append((f"{file}: {id}", wrong))
            del taken[id]
            named.pop(id, None)
    return unusable


def _clip(file: Path, id: str, annotation: dict[str, Any], name: NtuName | None, split: Split) -> SourceClip:
    """One clip, whose numbers are here already."""
    splits, who = split.splits.get(id, {}), name.who if name else {}
    read = partial(
        _read, annotation["keypoint"], annotation.get("keypoint_score"), id, int(annotation["label"]), splits, **who
    )
    return SourceClip(id, f"{file}: {id}", read)


def _read(
    keypoint: NDArray[Any], score: NDArray[Any] | None, id: str, label: int, splits: dict[str, int], **who: Any
) -> Recording:
    """The recording, frames first; zeros where a score says that the joint is absent."""
    if score is not None:
        keypoint = np.where((score > 0)[..., None], keypoint, keypoint.dtype.type(0))
    bodies = keypoint.transpose(1, 0, 2, 3)
    flat = bodies.shape[-1] == 2
    frames = np.ascontiguousarray(with_third(without_nan(id, bodies)) if flat else metres(id, bodies))
    scores = None if score is None else np.clip(np.nan_to_num(score.transpose(1, 0, 2)), 0, 1e4)
    return Recording(id, frames, label, splits=splits, scores=scores, **who)
