"""The same motion by somebody else: with longer or shorter limbs, or left for right (ours, docs/FIDELITY.md 38, 39)."""

from __future__ import annotations

from functools import lru_cache

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pcm3.augment.sensor import absent_as_in
from pcm3.augment.spatial import uniform
from pcm3.geometry import bone
from pcm3.skeleton import Layout


def scale_bones(
    clips: Float[Tensor, "B T M V C"], layout: Layout, amount: float, generator: torch.Generator, gaps: bool = False
) -> Float[Tensor, "B T M V C"]:
    """The clips with each bone longer or shorter by its own factor U[1 - amount, 1 + amount].

    The factors of a clip are the same in all its frames and bodies, and on the left and the right, as people are.
    Bones keep their directions. In every frame the centre joint of body 0 stays where it was, and the other bodies'
    roots stay where they were from body 0's; a body that is absent stays all zeros.

    Args:
        clips: of three coordinates.
        layout: the tree of the bones, and which joints mirror each other.
        amount: largest change of a bone, as a part of its length, less than 1.
        generator: source of randomness.
        gaps: single joints are absent from some frames, as zeros: they stay so, and no bone leads to or from them.
    """
    size, joints, corner = len(clips), clips.shape[3], 3 * layout.centre
    first_of_pair = torch.minimum(other_side(layout, clips.device), torch.arange(joints, device=clips.device))
    longer = uniform((size, joints), amount, clips, generator)[:, first_of_pair]
    # How far each joint goes, not where to, so that nothing is rounded where nothing changes; (B, T, M, 3V), as rows
    # of three numbers are slow.
    change = bone(clips, layout, gaps).flatten(-2).mul_(longer.repeat_interleave(3, dim=1)[:, None, None])
    moved = change @ _ways(layout, clips.device)
    moved -= moved[:, :, :1, corner : corner + 3].repeat(1, 1, 1, joints)
    flat = clips.flatten(-2)
    moved *= flat.any(dim=-1, keepdim=True)
    varied: Tensor = moved.add_(flat).unflatten(-1, (joints, 3))
    return absent_as_in(clips, varied) if gaps else varied


def mirror(clips: Float[Tensor, "B T M V C"], layout: Layout, chosen: Bool[Tensor, " B"]) -> Float[Tensor, "B T M V C"]:
    """The clips, the chosen ones as in a mirror: x negated, and the joints of the left are those of the right.

    In a normalised clip x goes from the left to the right shoulder, so who is mirrored still faces along y.
    """
    mirrored = clips[..., other_side(layout, clips.device), :]
    mirrored[..., 0].neg_()
    return torch.where(chosen[:, None, None, None, None], mirrored, clips)


# Both are kept, as a GPU would have to wait for such numbers in every step; not to be written to.


@lru_cache(maxsize=32)
def other_side(layout: Layout, device: torch.device) -> Int[Tensor, " V"]:
    """For each joint the one that mirrors it; not to be written to."""
    with torch.inference_mode(False):  # what is made there cannot be used in training later
        return torch.tensor(layout.mirrored, device=device)


@lru_cache(maxsize=32)
def _ways(layout: Layout, device: torch.device) -> Float[Tensor, "W W"]:
    """(3V, 3V) what sums, from flat bones, each joint's own and all those between it and the root."""
    joints = range(len(layout.joints))
    with torch.inference_mode(False):
        way = torch.zeros(len(joints), len(joints))
        for joint in joints:
            above = joint
            while above != layout.root:
                way[above, joint] = 1
                above = layout.parents[above]
        return torch.kron(way, torch.eye(3)).to(device)
