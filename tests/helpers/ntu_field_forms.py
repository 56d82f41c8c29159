"""Recordings of NTU RGB+D in the forms in which the field keeps them, written from the descriptions of these."""

from __future__ import annotations

import pickle

import numpy as np
from ntu_file_text import walkers

LENGTH = 300


def name(number, subject=1, camera=1, action=1):
    """The name of a recording."""
    return f"S001C{camera:03d}P{subject:03d}R{number:03d}A{action:03d}"


def crowd(seed, frames, bodies=2, gaps=()):
    """Bodies (T, M, V, C) that stand apart and move differently much; each gap is (body, first, stop)."""
    recording = walkers(seed, frames, bodies)
    recording *= np.linspace(1, 0.6, bodies, dtype=np.float32)[:, None, None]
    recording += np.arange(bodies, dtype=np.float32)[:, None, None] * np.float32(0.7)
    for body, first, stop in gaps:
        recording[first:stop, body] = 0
    return recording


def spread(body):
    """How much a body (T, V, C) moves, by 2s-AGCN's measure: over the frames in which it is there."""
    there = body[[frame.any() for frame in body]]
    return sum(there[:, :, axis].std() for axis in range(3)) if len(there) else 0


def rotation(source, target):
    """By the angle between two directions, about the axis across them."""
    axis = np.cross(source, target)
    if np.abs(axis).sum() < 1e-6 or np.abs(source).sum() < 1e-6:
        return np.eye(3)
    cosine = source @ target / np.linalg.norm(source) / np.linalg.norm(target)
    half = np.arccos(np.clip(cosine, -1, 1)) / 2
    a = np.cos(half)
    b, c, d = -axis / np.linalg.norm(axis) * np.sin(half)
    return np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c + a * d), 2 * (b * d - a * c)],
            [2 * (b * c - a * d), a * a + c * c - b * b - d * d, 2 * (c * d + a * b)],
            [2 * (b * d + a * c), 2 * (c * d - a * b), a * a + d * d - b * b - c * c],
        ]
    )


def agcn_clip(recording, length=LENGTH, normalise=True):
    """What 2s-AGCN makes of a recording (T, M, V, C): (C, length, V, 2) in single precision.

    The two bodies that move most; each filled by repetition to the end; body 0's spine to the origin in every frame;
    one rotation by body 0's first frame: spine upright, then shoulders along x.
    """
    bodies = [recording[:, body].astype(np.float64) for body in range(recording.shape[1])]
    bodies.sort(key=spread, reverse=True)
    clip = np.zeros((2, length, 25, 3), np.float32)
    for body, frames in enumerate(bodies[:2]):
        clip[body, : len(frames)] = frames[:length]
    for body in range(2):
        there = [bool(frame.any()) for frame in clip[body]]
        if not any(there):
            continue
        if not there[0]:
            moved = clip[body][there].copy()
            clip[body] = 0
            clip[body, : len(moved)] = moved
            there = [bool(frame.any()) for frame in clip[body]]
        last = max(frame for frame in range(length) if there[frame]) + 1
        for frame in range(last, length):
            clip[body, frame] = clip[body, (frame - last) % last]
    if not normalise:
        return clip.transpose(3, 1, 2, 0)
    centre = clip[0, :, 1:2].copy()
    for body in range(2):
        clip[body] = (clip[body] - centre) * (clip[body].sum(-1, keepdims=True) != 0)
    for first, second, target in ((0, 1, [0, 0, 1.0]), (8, 4, [1.0, 0, 0])):
        start, end = (first, second) if first == 0 else (second, first)
        turn = rotation((clip[0, 0, end] - clip[0, 0, start]).astype(np.float64), np.array(target))
        clip = np.einsum("ij,mtvj->mtvi", turn, clip).astype(np.float32)
    return clip.transpose(3, 1, 2, 0)


def write_agcn(folder, part, clips, names, labels, lengths=None, stem="data_joint"):
    """The files of one part."""
    np.save(folder / f"{part}_{stem}.npy", np.stack(clips))
    (folder / f"{part}_label.pkl").write_bytes(pickle.dumps((names, labels)))
    if lengths is not None:
        np.save(folder / f"{part}_num_frame.npy", np.array(lengths))


def ctr_clip(recording, length=LENGTH):
    """What CTR-GCN makes of a recording (T, 1 or 2, V, C) that needs no denoising: (length, 150).

    All is moved so that body 0's spine is at the origin in its first frame; in a recording of two bodies, one that is
    absent from a frame stays zero there, in a recording of one it is moved all the same.
    """
    flat = recording.reshape(len(recording), -1).astype(np.float32).copy()
    bodies = recording.shape[1]
    first = next(frame for frame in range(len(flat)) if flat[frame, :75].any())
    origin = flat[first, 3:6].copy()
    absent = [
        [not flat[frame, 75 * body : 75 * body + 75].any() for body in range(bodies)] for frame in range(len(flat))
    ]
    for frame in range(len(flat)):
        flat[frame] -= np.tile(origin, 25 * bodies)
        for body in range(bodies):
            if bodies == 2 and absent[frame][body]:
                flat[frame, 75 * body : 75 * body + 75] = 0
    clip = np.zeros((length, 150), np.float32)
    clip[: len(flat), : 75 * bodies] = flat[:length]
    return clip


def one_hot(labels, classes=60):
    """A row for each label."""
    return np.eye(classes)[labels]


def annotation(id, recording, label, dtype=np.float16):
    """PYSKL's annotation of a recording (T, M, V, C)."""
    keypoint = recording.transpose(1, 0, 2, 3).astype(dtype)
    return {"frame_dir": id, "label": label, "keypoint": keypoint, "total_frames": keypoint.shape[1]}
