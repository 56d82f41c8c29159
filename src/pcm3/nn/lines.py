"""What a masked joint's path looks like to one who knows nothing of motion: straight from where it was last seen."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def straight_lines(clips: Float[Tensor, "B T M V C"], masked: Bool[Tensor, "B T M V"]) -> Float[Tensor, "B T M V C"]:
    """The clips with masked joints on a straight line between the frames in which they were visible.

    Before the first and after the last of these frames a joint rests; one that is masked all through a clip is where
    it is in the mean over the batch's visible frames. Nothing of what is masked is looked at.
    """
    frames = clips.shape[1]
    time = torch.arange(frames, device=clips.device)[:, None, None].expand_as(masked)
    before = time.masked_fill(masked, -1).cummax(dim=1).values
    after = time.masked_fill(masked, frames).flip(1).cummin(dim=1).values.flip(1)
    first, last = torch.where(before < 0, after, before), torch.where(after == frames, before, after)
    share = (time - first).to(clips.dtype) / (last - first).clamp(min=1)
    start, end = (clips.gather(1, at.clamp(0, frames - 1).unsqueeze(-1).expand_as(clips)) for at in (first, last))
    lines = torch.lerp(start, end, share.unsqueeze(-1).expand_as(clips))
    visible = (~masked).unsqueeze(-1).to(clips.dtype)
    mean = (clips * visible).sum(dim=(0, 1)) / visible.sum(dim=(0, 1)).clamp(min=1)
    return torch.where(masked.all(dim=1, keepdim=True).unsqueeze(-1), mean, lines)
