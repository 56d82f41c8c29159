"""What an encoder makes of clips before its layers see them: input features side by side, flat."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pcm3.encoders.flatten import flatten
from pcm3.geometry import STRIDES, input_feature, other_end
from pcm3.skeleton import InputFeature


def build_inputs(
    clips: Float[Tensor, "B T M V C"],
    features: Sequence[InputFeature],
    parents: Sequence[int],
    masked: Bool[Tensor, "B T M V"] | None = None,
    *,
    gaps: bool = False,
    back: bool = False,
    at_origin: Sequence[int] | None = None,
) -> Float[Tensor, "B T I"]:
    """The features of clips, flat; zeros where a joint is masked, or a bone or a motion leads to or from one that is.

    `back`: no frame knows a later one, as a causal encoder must have it; `gaps` and `at_origin`: see
    `pcm3.geometry.input_feature`.
    """
    inputs = []
    for name in features:
        values = input_feature(clips, name, parents, gaps, back, at_origin)
        if masked is not None:
            involved = masked
            if name != "joint":
                involved = masked | other_end(masked, name, parents, back, coordinates=False)
            values = values.masked_fill(involved.unsqueeze(-1), 0)
        inputs.append(flatten(values))
    return inputs[0] if len(inputs) == 1 else torch.cat(inputs, dim=-1)


def first_past(frame: Float[Tensor, "B M V C"], features: Sequence[InputFeature]) -> Float[Tensor, "B P M V C"]:
    """What `build_step_inputs` must remember before the first frame.

    Ones where a joint has ever been, so none yet; then as many frames as the longest motion goes over, all like the
    first, so that nothing has moved.
    """
    frames = max((STRIDES[name] for name in features if name in STRIDES), default=0)
    return torch.cat([torch.zeros_like(frame).unsqueeze(1), frame.unsqueeze(1).expand(-1, frames, -1, -1, -1)], dim=1)


def build_step_inputs(
    frame: Float[Tensor, "B M V C"],
    past: Float[Tensor, "B P M V C"],
    features: Sequence[InputFeature],
    parents: Sequence[int],
    gaps: bool,
    at_origin: Sequence[int] | None,
) -> tuple[Float[Tensor, "B I"], Float[Tensor, "B P M V C"]]:
    """The inputs of one more frame, as `build_inputs` gives them looking back; and the past of the next."""
    recent = torch.cat([past, frame.unsqueeze(1)], dim=1)
    inputs = build_inputs(recent, features, parents, gaps=gaps, back=True, at_origin=at_origin)[:, -1]
    there = (frame != 0).any(dim=-1, keepdim=True).to(frame.dtype)
    return inputs, torch.cat([torch.maximum(past[:, :1], there.unsqueeze(1)), recent[:, 2:]], dim=1)
