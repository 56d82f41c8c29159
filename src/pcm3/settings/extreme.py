"""Settings of the extreme augmentations (`pcm3.augment.extreme`); the defaults are AimCLR's released ones."""

from __future__ import annotations

from dataclasses import dataclass

from pcm3.settings.rules import Rule


@dataclass
class ExtremeSettings:
    """What is done to an extreme view beyond the augmentations of every view, in this order."""

    flip_prob: float = 0.5
    """Probability that the joints of the left and the right are exchanged, 0 to 1."""
    rotation: float = 30.0
    """A view is rotated about one of the three axes by U[0, rotation] degrees, 0 to 180."""
    tilt: float = 1.0
    """It is also rotated about each of the two other axes by U[0, tilt] degrees, 0 to 180."""
    noise: float = 0.01
    """Metres: deviation of the normal noise on every coordinate of bodies that are there; 0 to 1."""
    noise_prob: float = 0.5
    """Probability that a view has noise, 0 to 1."""
    blur: tuple[float, float] = (0.1, 2.0)
    """Smallest and largest deviation, in frames, of the Gaussian over 15 frames by which a view is weighted over time;
    0.01, which is no blur, <= smallest <= largest."""
    blur_prob: float = 0.5
    """Probability that a view is blurred, 0 to 1."""
    axis_mask_prob: float = 0.5
    """Probability that one of the three coordinates is 0 in the whole view, 0 to 1."""
    reverse_prob: float = 0.0
    """Probability that a view runs backwards, 0 to 1."""

    def rules(self, group: str = "extreme.") -> list[Rule]:
        """What the values must keep to."""
        low, high = self.blur
        shares = ("flip_prob", "noise_prob", "blur_prob", "axis_mask_prob", "reverse_prob")
        degrees = ("rotation", "tilt")
        return [
            *((0 <= getattr(self, name) <= 1, f"{group}{name}", "between 0 and 1") for name in shares),
            *((0 <= getattr(self, name) <= 180, f"{group}{name}", "degrees, between 0 and 180") for name in degrees),
            (0 <= self.noise <= 1, f"{group}noise", "metres, between 0 and 1"),
            (0.01 <= low <= high, f"{group}blur", "two deviations in frames, 0.01 <= smallest <= largest"),
        ]
