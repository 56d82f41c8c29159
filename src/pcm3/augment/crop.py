"""Temporal crop-resize: a stretch of each clip, resampled to a fixed number of frames (PCM³ §3.1, §4.2); pad-crop."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor


def random_crops(
    length: Int[Tensor, " B"], ratio: tuple[float, float], min_frames: int, generator: torch.Generator
) -> tuple[Int[Tensor, " B"], Int[Tensor, " B"]]:
    """Start and length of one random crop for each clip.

    Args:
        length: frames that each clip has.
        ratio: smallest and largest share of the clip that a crop may take, drawn uniformly.
        min_frames: crops are at least this long, where the clip is.
        generator: source of randomness, on the device of `length`.

    Returns:
        start and length, both int64, with start + length ≤ the clip's length.
    """
    low, high = ratio
    share = low + (high - low) * torch.rand(length.shape, generator=generator, device=length.device)
    place = torch.rand(length.shape, generator=generator, device=length.device, dtype=torch.float64)
    return _crops(length, share, place, min_frames)


def centre_crops(length: Int[Tensor, " B"], ratio: float) -> tuple[Int[Tensor, " B"], Int[Tensor, " B"]]:
    """Start and length of the central `ratio` of each clip, the deterministic crop of every test protocol.

    Args:
        length: frames that each clip has.
        ratio: share of the clip to keep; as much is left out before as after.
    """
    start = (length * ((1 - ratio) / 2)).long()
    return start, length - 2 * start


GOLDEN = (5**0.5 - 1) / 2
"""Multiples of it, without their whole part, lie evenly in [0, 1), however many are taken."""


def spread_crops(
    length: Int[Tensor, " B"], ratio: tuple[float, float], min_frames: int, number: int
) -> list[tuple[Int[Tensor, " B"], Int[Tensor, " B"]]]:
    """Start and length of several crops of each clip that are spread over its length and over the shares.

    Args:
        length: frames that each clip has.
        ratio: smallest and largest share of the clip that a crop may take.
        min_frames: crops are at least this long, where the clip is.
        number: K, crops of each clip.

    Returns:
        K times start and length, both int64.
    """
    low, high = ratio
    crops = []
    for k in range(number):
        share = low + (high - low) * (k + 0.5) / number
        place = (k + 0.5) * GOLDEN % 1
        crops.append(_crops(length, share, place, min_frames))
    return crops


def _crops(
    length: Int[Tensor, " B"], share: Tensor | float, place: Tensor | float, min_frames: int
) -> tuple[Int[Tensor, " B"], Int[Tensor, " B"]]:
    """Start and length of crops of a share of each clip, which lie at a place in [0, 1) among all that there are."""
    crop = torch.minimum((length * share).long().clamp(min=min_frames), length)
    return (place * (length - crop + 1)).long(), crop


def crop_resize(
    frames: Num[Tensor, "F M V C"],
    start: Int[Tensor, " B"],
    length: Int[Tensor, " B"],
    size: int,
    gaps: bool = False,
    own: Int[Tensor, " B"] | None = None,
) -> Float[Tensor, "B {size} M V C"]:
    """The crops, each linearly resampled to `size` frames with half-pixel centres.

    The frames of all clips lie behind each other in one tensor (the store's form), so clips of any length are
    cropped in one gather. Equal to `torch.nn.functional.interpolate(..., mode="linear", align_corners=False)`
    of each crop.

    Args:
        frames: (F, M, V, C) frames of all clips, on any device, any float type.
        start: (B,) first frame of each crop, as a row of `frames`.
        length: (B,) frames of each crop, at least 1.
        size: frames to resample to.
        gaps: there are frames from which single joints are absent, as zeros: between one that has a joint and one that
            has not, it is as in the nearer, and not half way to the origin.
        own: (B,) frames that each crop is resampled to instead; the first `size` of them are taken, or, where they are
            fewer, the crop's last frame is repeated.

    Returns:
        (B, size, M, V, C) float32 on the device of `start`.
    """
    scale = length.to(torch.float32).unsqueeze(1) / (size if own is None else own.unsqueeze(1))
    position = ((torch.arange(size, device=start.device) + 0.5) * scale - 0.5).clamp(min=0)
    return frames_at(position, frames, start, length, gaps)


def frames_at(
    position: Float[Tensor, "B T"],
    frames: Num[Tensor, "F M V C"],
    start: Int[Tensor, " B"],
    length: Int[Tensor, " B"],
    gaps: bool,
) -> Float[Tensor, "B T M V C"]:
    """Stretches of clips at any moments, linear in time between two frames, the last frame from its moment on.

    With gaps a joint that one of the two frames has and the other not (zeros) is as in the nearer (the later, where
    both are as near); else it would come from the origin.

    Args:
        position: of each moment in frames from its stretch's first, at least 0.
        frames: of all clips, on any device, any float type.
        start: first frame of each stretch, as a row of `frames`.
        length: frames of each stretch, at least 1.
        gaps: as of `crop_resize`.

    Returns:
        float32 on the device of `start`.
    """
    last = (length - 1).unsqueeze(1)
    before = torch.minimum(position.long(), last)
    after = torch.minimum(before + 1, last)
    weight = (position - before).float()[:, :, None, None, None]
    rows = torch.stack([before, after]) + start.unsqueeze(1)
    taken = frames[rows.to(frames.device)].to(start.device, torch.float32)
    if gaps:
        absent = (taken == 0).all(dim=-1, keepdim=True)
        weight = torch.where(absent[0] ^ absent[1], (weight >= 0.5).float(), weight)
    return torch.lerp(taken[0], taken[1], weight)


def pad_crop(clips: Float[Tensor, "B T M V C"], part: int, generator: torch.Generator) -> Float[Tensor, "B T M V C"]:
    """T frames of each clip, from a random place in it once it is longer by T // part mirrored frames at either end.

    The frame at the end is there twice (CrosSCLR's temporal crop).

    Args:
        clips: of any number of frames.
        part: at least 1; CrosSCLR's 6.
        generator: source of randomness.
    """
    size, frames = clips.shape[:2]
    longest = frames // part
    shift = torch.randint(-longest, longest + 1, (size, 1), generator=generator, device=clips.device)
    place = torch.arange(frames, device=clips.device) + shift
    place = torch.where(place < 0, -1 - place, torch.where(place >= frames, 2 * frames - 1 - place, place))
    return clips[torch.arange(size, device=clips.device)[:, None], place]
