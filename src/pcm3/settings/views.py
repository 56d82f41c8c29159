"""Settings of the augmented crops that several methods learn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pcm3.settings.rules import Rule

SpatialChoice = Literal["either", "both"]


@dataclass
class ViewSettings:
    """How crops of a clip are taken and augmented."""

    crop: tuple[float, float] = (0.1, 1.0)
    """Smallest and largest share of a clip's frames that a crop takes, 0 < smallest <= largest <= 1."""
    min_frames: int = 64
    """A crop has at least this many frames, where the clip has them; at least 1."""
    spatial: SpatialChoice = "either"
    """Spatial augmentation of query and key: either shear or joint jitter (released), or both (paper)."""
    shear: float = 1.0
    """Off-diagonal entries of the shear matrix are drawn from U[-shear, shear]; at least 0."""
    jitter_joint_ratio: float = 0.6
    """Share of the joints that joint jitter displaces, 0 to 1."""
    jitter_prob: float = 0.5
    """Probability that a view is jittered where spatial is either; it is sheared otherwise. 0 to 1; where spatial is
    both, all views have both."""
    yaw: float = 0.0
    """Each view is rotated about the vertical by U[-yaw, yaw] degrees, 0 to 180."""
    tilt: float = 0.0
    """Each view is rotated about the three axes, one after the other, by U[-tilt, tilt] degrees each, 0 to 180."""
    bone_scale: float = 0.0
    """Each bone of each view is scaled in length by U[1 - bone_scale, 1 + bone_scale], as people differ; at least 0
    and less than 1."""
    flip_prob: float = 0.0
    """Probability that a clip is mirrored, left and right exchanged, in all its views alike; 0 to 1."""
    noise: float = 0.0
    """Metres: each distorted view has normal noise on its coordinates, of a deviation U[0, noise]; 0 to 1."""
    flicker: float = 0.0
    """In each distorted view a share U[0, flicker] of all joints and frames is absent, each by itself; 0 to 1."""
    pad_crop: int = 0
    """A crop, once resampled, is made longer at both ends by a pad_crop-th of its frames, mirrored, and moved within
    that at random; the larger, the less. At least 0, where 0 is not at all."""

    def rules(self) -> list[Rule]:
        """What the values must keep to."""
        low, high = self.crop
        shares = ("jitter_joint_ratio", "jitter_prob", "flip_prob", "flicker")
        return [
            (0 < low <= high <= 1, "views.crop", "two shares, 0 < smallest <= largest <= 1"),
            (self.min_frames >= 1, "views.min_frames", "at least 1"),
            (self.pad_crop >= 0, "views.pad_crop", "not negative"),
            (self.shear >= 0, "views.shear", "not negative"),
            *((0 <= getattr(self, name) <= 1, f"views.{name}", "between 0 and 1") for name in shares),
            (0 <= self.yaw <= 180, "views.yaw", "degrees, between 0 and 180"),
            (0 <= self.tilt <= 180, "views.tilt", "degrees, between 0 and 180"),
            (0 <= self.bone_scale < 1, "views.bone_scale", "at least 0 and less than 1"),
            (0 <= self.noise <= 1, "views.noise", "metres, between 0 and 1"),
        ]


def whole_clips() -> ViewSettings:
    """Views that are the clips as they are."""
    return ViewSettings(crop=(1.0, 1.0), shear=0.0, jitter_prob=0.0)


def padded_views() -> ViewSettings:
    """Views of CrosSCLR and its followers: whole clips, padded and cropped, all sheared by up to a half."""
    return ViewSettings(crop=(1.0, 1.0), shear=0.5, jitter_prob=0.0, pad_crop=6)
