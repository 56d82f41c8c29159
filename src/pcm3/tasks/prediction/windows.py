"""Windows of motion prediction: stretches of clips at 25 frames a second, a seed and what follows it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Num
from numpy.typing import NDArray
from torch import Tensor

from pcm3.augment.crop import frames_at
from pcm3.clips import Feed, frames_on
from pcm3.data.store import ClipStore
from pcm3.errors import DataError
from pcm3.geometry import present_joints
from pcm3.settings.tasks import ScoredWindows
from pcm3.skeleton import StreamName
from pcm3.tasks.prediction.h36m_windows import h36m_windows

RATE = 25.0
"""Frames a second that clips are resampled to."""
CHUNK = 65536
"""Frames looked at in one go, to see which joints are there."""
PUBLISHED = {"h36m-8": 8, "h36m-256": 256}
"""Windows of each action of Human3.6M that are scored."""
ROUNDING = 1e-9
"""Frames by which a moment may miss a recorded frame and still be taken for it."""


@dataclass(frozen=True)
class MotionWindows:
    """B windows of S seed frames and the P frames that follow."""

    seed: Float[Tensor, "B S M V C"]
    """What an encoder sees: the store's coordinates, as its stream."""
    past: Float[Tensor, "B S J C"]
    """Poses of body 0 about its root, metres."""
    future: Float[Tensor, "B P J C"]
    """The poses to be predicted."""


@dataclass(frozen=True)
class MotionBank:
    """A store's windows on a device, ready to be gathered.

    A window is a stretch of S + P frames of its clip at 25 fps in which body 0 has every joint that it has in most
    frames of the store. Other bodies are seen by the encoder and not predicted. Clips without such a stretch, the
    shorter ones above all, have no window.
    """

    store: ClipStore
    stream: StreamName
    seed_frames: int
    """S."""
    predicted_frames: int
    """P."""
    joints: tuple[int, ...]
    """The J joints that are predicted: those that body 0 mostly has, but for the root, whose error about itself
    is 0."""
    frames: Num[Tensor, "F M V C"]
    start: Int[Tensor, " N"]
    """First frame of each clip."""
    length: Int[Tensor, " N"]
    """Frames of each clip, at the store's rate."""
    clip: Int[Tensor, " W"]
    """The clip of each window, ascending."""
    offset: Int[Tensor, " W"]
    """The frame of its clip, at 25 fps, with which each window begins; ascending in each clip."""
    first: Int[Tensor, " N"]
    """The first of each clip's windows."""
    count: Int[Tensor, " N"]
    """The number of windows of each clip."""
    scored_windows: ScoredWindows = "centre"
    """Which of the windows of test clips are scored."""

    @classmethod
    def of(
        cls,
        store: ClipStore,
        stream: StreamName,
        seed_frames: int,
        predicted_frames: int,
        device: torch.device,
        scored_windows: ScoredWindows = "centre",
    ) -> MotionBank:
        """All windows of all clips.

        Raises:
            DataError: body 0 has no root, or nothing but a root.
        """
        present = _present(store)
        used: NDArray[np.bool_] = 2 * present.sum(axis=0) > present.any(axis=1).sum()
        joints = tuple(int(joint) for joint in np.flatnonzero(used) if joint != store.layout.root)
        if not used[store.layout.root] or not joints:
            raise DataError(
                f"{store.path}: expected body 0 to have a root ({store.layout.joints[store.layout.root]}) and other "
                "joints about it in most frames where it is, and it has not"
            )
        clip, offset = _windows(store, np.asarray(present[:, used].all(axis=1)), seed_frames + predicted_frames)
        count = np.bincount(clip, minlength=len(store))

        def on_device(column: NDArray[np.integer]) -> Tensor:
            return torch.from_numpy(column.astype(np.int64)).to(device)

        return cls(
            store,
            stream,
            seed_frames,
            predicted_frames,
            joints,
            frames_on(store.frames, device),
            start=on_device(store.start),
            length=on_device(store.length),
            clip=on_device(clip),
            offset=on_device(offset),
            first=on_device(np.cumsum(count) - count),
            count=on_device(count),
            scored_windows=scored_windows,
        )

    def with_windows(self, indices: Int[np.ndarray, " N"]) -> Int[np.ndarray, " K"]:
        """Those of the clips that have a window, in their order.

        Raises:
            DataError: none has.
        """
        there: NDArray[np.int64] = indices[self.count.cpu().numpy()[indices] > 0]
        if len(there) == 0:
            size = self.seed_frames + self.predicted_frames
            raise DataError(
                f"{self.store.path}: expected clips with {size} frames at {RATE:g} fps ({size / RATE:g} s) in which "
                f"body 0 is whole, found none among {len(indices)}: motion prediction needs longer clips"
            )
        return there

    def centre(self, indices: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
        """The middle one of the windows of each clip: the one that every test sees."""
        return self.first[indices] + (self.count[indices] - 1) // 2

    def scored(self, indices: Int[Tensor, " B"]) -> Int[Tensor, " W"]:
        """The windows of these test clips that are scored, each a window of one of them.

        Raises:
            DataError: those of Human3.6M, and they are not there.
        """
        if self.scored_windows == "centre":
            return self.centre(indices)
        chosen = indices.cpu().numpy()
        names = [str(self.store.ids[clip]) for clip in chosen]
        frames = frames_at_rate(self.store.length[chosen], self.store.fps)
        per_action = PUBLISHED[self.scored_windows]
        place, offset = (torch.from_numpy(of) for of in h36m_windows(names, frames, per_action, self.seed_frames))
        clip = indices[place.to(indices.device)]
        # Clip and offset ascend over all windows, so that they can be looked up as one number.
        span = int(self.offset.max()) + 1
        known, wanted = self.clip * span + self.offset, clip * span + offset.to(clip.device)
        rows = torch.searchsorted(known, wanted).clamp(max=len(known) - 1)
        if not torch.equal(known[rows], wanted):
            raise DataError(f"{self.store.path}: expected body 0 to be whole in the published windows, and it is not")
        return rows

    @property
    def counted(self) -> float:
        """Joints that move over joints in a mean: published figures of Human3.6M count the root, whose error is 0."""
        return 1.0 if self.scored_windows == "centre" else len(self.joints) / (len(self.joints) + 1)

    @property
    def joints_in_words(self) -> str:
        """Over which joints an error is a mean."""
        if self.scored_windows == "centre":
            return "mean over all joints but the root, about which they are"
        return "mean over all joints, the root's 0 among them, as published figures of Human3.6M are"

    @property
    def feed(self) -> Feed:
        """How its clips are fed to encoders."""
        return Feed.of(self.store, self.stream)

    def random(self, indices: Int[Tensor, "*shape"], generator: torch.Generator) -> Int[Tensor, "*shape"]:
        """One of the windows of each clip, all as likely."""
        place = torch.rand(indices.shape, generator=generator, device=indices.device, dtype=torch.float64)
        return self.first[indices] + (place * self.count[indices]).long()

    def take(self, windows: Int[Tensor, " B"]) -> MotionWindows:
        """What is in these windows."""
        clip, size = self.clip[windows], self.seed_frames + self.predicted_frames
        start, length, offset = self.start[clip], self.length[clip], self.offset[windows]
        clips = resample(self.frames, start, length, offset, size, self.store.fps, self.feed.gaps)
        body, root = clips[:, :, 0], self.store.layout.root
        poses = body[:, :, list(self.joints)] - body[:, :, root : root + 1]
        seed = self.feed.streamed(clips[:, : self.seed_frames])
        return MotionWindows(seed, poses[:, : self.seed_frames], poses[:, self.seed_frames :])

    def bodies(self, poses: Float[np.ndarray, "*shape J C"]) -> Float[np.ndarray, "*shape V C"]:
        """Poses as whole bodies: the root at 0, and NaN for joints that are never there."""
        layout = self.store.layout
        bodies = np.full((*poses.shape[:-2], len(layout.joints), poses.shape[-1]), np.nan, poses.dtype)
        bodies[..., list(self.joints), :] = poses
        bodies[..., layout.root, :] = 0
        return bodies


def resample(
    frames: Num[Tensor, "F M V C"],
    start: Int[Tensor, " B"],
    length: Int[Tensor, " B"],
    offset: Int[Tensor, " B"],
    size: int,
    fps: float,
    gaps: bool = False,
) -> Float[Tensor, "B T M V C"]:
    """Stretches of clips at `RATE`, linear in time between the recorded frames.

    Frame k of a clip at 25 fps is its moment k / 25 s, that is k · fps / 25 in recorded frames; at a store of 25 fps
    frames come out as they are, to the bit.

    Args:
        frames: of all clips, on any device, any float type.
        start: first frame of each clip, as a row of `frames`.
        length: recorded frames of each clip.
        offset: frame at 25 fps with which the stretch begins.
        size: frames at 25 fps to take.
        fps: of the store.
        gaps: as of `crop_resize`.

    Returns:
        float32 on the device of `start`.
    """
    moment = offset.unsqueeze(1) + torch.arange(size, device=start.device)
    # Multiplied first: whole numbers then give whole frames, where there are any.
    position = moment.double() * fps / RATE
    return frames_at(position, frames, start, length, gaps)


def frames_at_rate(length: Int[np.ndarray, " N"], fps: float) -> Int[np.ndarray, " N"]:
    """Frames at `RATE` that clips of so many recorded frames have."""
    at_rate: NDArray[np.int64] = np.floor((length - 1) * RATE / fps + ROUNDING).astype(np.int64) + 1
    return at_rate


def _present(store: ClipStore) -> Bool[np.ndarray, "F V"]:
    """True where body 0 has the joint."""
    present = np.empty((len(store.frames), store.frames.shape[2]), np.bool_)
    for begin in range(0, len(present), CHUNK):
        chunk = slice(begin, begin + CHUNK)
        present[chunk] = present_joints(store.frames[chunk, :1])[:, 0]
    if store.normalised:  # the joint at the origin looks as if it were absent
        for joint in store.layout.at_origin:
            present[:, joint] = present.any(axis=1)
    elif store.preparation.get("origin") is not None:
        present[:, int(store.preparation["origin"])] = present.any(axis=1)
    return present


def _windows(
    store: ClipStore, complete: Bool[np.ndarray, " F"], size: int
) -> tuple[Int[np.ndarray, " W"], Int[np.ndarray, " W"]]:
    """Clip and offset of all stretches of `size` frames at 25 fps that touch only rows that are whole."""
    start, length = store.start.astype(np.int64), store.length.astype(np.int64)
    possible = np.maximum(frames_at_rate(length, store.fps) - size + 1, 0)
    clip = np.repeat(np.arange(len(store)), possible)
    offset = np.arange(len(clip)) - np.repeat(np.cumsum(possible) - possible, possible)
    begin = start[clip] + np.floor(offset * store.fps / RATE).astype(np.int64)
    reach = np.ceil((offset + size - 1) * store.fps / RATE - ROUNDING).astype(np.int64)
    end = start[clip] + np.minimum(reach, length[clip] - 1) + 1
    broken = np.concatenate([[0], np.cumsum(~complete)])  # rows before each row that are not whole
    fine = broken[begin] == broken[end]
    return clip[fine], offset[fine]
