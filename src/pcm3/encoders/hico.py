"""HiCo's encoder (Dong et al., AAAI 2023): a clip as a sequence of frames and as one of joints, finer and coarser."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from pcm3.encoders.encoder import Encoder
from pcm3.encoders.flatten import unflatten
from pcm3.encoders.gru import DualGRULayer
from pcm3.encoders.lengths import own_frames, reversed_in_place
from pcm3.encoders.network import Network, NetworkSize
from pcm3.encoders.transformer import attend
from pcm3.errors import ConfigError
from pcm3.settings.encoder import SequenceKind

GRANULARITIES = 4
"""G: as it is, and three times half as fine."""
TAPS = 5
"""Neighbours that are mixed before every second place is left out."""


def build(size: NetworkSize) -> Network:
    """Both domains, each with layers of its own of width 2H; a frame's feature has 2 · G · 2H values."""
    if size.hidden_size < 1 or size.layers < 1 or size.frames < 1 or not 0 <= size.dropout < 1:
        raise ConfigError(
            "expected at least one layer, unit and frame and a dropout from 0 to below 1 for kind hico, got "
            f"{size.layers} layers, hidden_size {size.hidden_size}, {size.frames} frames, dropout {size.dropout}"
        )
    layers = TwoDomains(size)
    for parameter in layers.parameters():
        if parameter.dim() == 2:
            nn.init.xavier_uniform_(parameter)
    return Network([layers], 2 * GRANULARITIES * 2 * size.hidden_size, norm=nn.Identity())


class TwoDomains(nn.Module):
    """Flat inputs (B, T, I) → features of every frame (B, T, 2 · G · W).

    First those of the temporal domain, from the finest granularity to the coarsest, of which each stands for the frames
    that it spans; then those of the spatial domain, the same in every frame: the maximum over all joints. So the
    maximum over the frames is HiCo's feature of the clip.
    """

    def __init__(self, size: NetworkSize) -> None:
        super().__init__()
        self.frames, self.features, self.bodies, self.joints = size.frames, size.features, size.bodies, size.joints
        self.temporal = Domain(size.in_features, size)
        self.spatial = Domain(size.frames * size.joint_values, size)

    def forward(
        self, inputs: Float[Tensor, "B T I"], lengths: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B T W"]:
        """Padding changes nothing; joints are compared over as many frames as the encoder was made for."""
        by_time, by_joint = self.granular(inputs, lengths)
        frames = inputs.shape[1]
        each = [spread(features, lengths, frames, 2**finer) for finer, features in enumerate(by_time)]
        over_joints = torch.cat([features.amax(dim=1) for features in by_joint], dim=-1)
        return torch.cat([*each, over_joints.unsqueeze(1).expand(-1, frames, -1)], dim=-1)

    def granular(
        self, inputs: Float[Tensor, "B T I"], lengths: Int[Tensor, " B"] | None = None
    ) -> tuple[list[Float[Tensor, "B _ W"]], list[Float[Tensor, "B _ W"]]]:
        """The features of the temporal and of the spatial domain at each granularity, the finest first."""
        return self.temporal(inputs, lengths), self.spatial(self._by_joint(inputs, lengths))

    def _by_joint(self, inputs: Float[Tensor, "B T I"], lengths: Int[Tensor, " B"] | None) -> Float[Tensor, "B J K"]:
        """A row for every joint of every body, of its values in all frames."""
        if lengths is not None or inputs.shape[1] != self.frames:
            inputs = resampled(inputs, lengths, self.frames)
        each = [unflatten(part, self.bodies, self.joints) for part in inputs.chunk(self.features, dim=-1)]
        return torch.cat(each, dim=-1).permute(0, 2, 3, 1, 4).flatten(3).flatten(1, 2)


def maxima(encoder: Encoder, clips: Float[Tensor, "B T M V C"]) -> Float[Tensor, "B 2 G W"]:
    """The feature of each clip by domain and granularity, of an encoder of kind hico that pools by the maximum.

    They are what `Encoder.pool` makes of `Encoder.frames`, without the features of every frame, which cost a tenth of a
    training step.
    """
    (layers,) = encoder.layers
    assert isinstance(layers, TwoDomains)
    domains = layers.granular(encoder.build_inputs(clips))
    return torch.stack([torch.stack([features.amax(dim=1) for features in each], dim=1) for each in domains], dim=1)


class Domain(nn.Module):
    """A sequence (B, S, I), of frames or of joints → its features at every granularity, [(B, ⌊S / 2^g⌋ or 1, W)].

    The layers are the same at all of them.
    """

    def __init__(self, inputs: int, size: NetworkSize) -> None:
        super().__init__()
        width = 2 * size.hidden_size
        self.embed = nn.Sequential(nn.Linear(inputs, width), nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, width))
        self.coarsen = Coarsen(width)
        self.layers = nn.ModuleList(SEQUENCES[size.sequence](width, size.dropout) for _ in range(size.layers))

    def forward(
        self, sequence: Float[Tensor, "B S I"], lengths: Int[Tensor, " B"] | None = None
    ) -> list[Float[Tensor, "B _ W"]]:
        """The finest first."""
        places, outputs = self.embed(sequence), []
        for granularity in range(GRANULARITIES):
            if granularity:
                places = self.coarsen(places, lengths)
                lengths = None if lengths is None else halved(lengths)
            features = places
            for layer in self.layers:
                features = layer(features, lengths)
            outputs.append(features)
        return outputs


class Coarsen(nn.Module):
    """(B, S, W) → (B, ⌊S / 2⌋ or 1, W): five neighbours mixed, each value by itself, then the larger of every two.

    Of an odd number of places the last is dropped, but for an only one.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Conv1d(width, width, TAPS, padding=TAPS // 2, groups=width)
        self.norm = nn.LayerNorm(width)

    def forward(
        self, places: Float[Tensor, "B S W"], lengths: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B _ W"]:
        """What lies beyond the ends of a clip's own is 0, before the mixing and after it, where nothing is less."""
        own = None if lengths is None else own_frames(lengths, places.shape[1]).unsqueeze(-1)
        if own is not None:
            places = places.masked_fill(~own, 0)
        mixed = F.relu(self.norm(self._mixed(places)))
        if own is not None:
            mixed = mixed.masked_fill(~own, 0)
        count = places.shape[1]
        larger: Tensor = F.pad(mixed, (0, 0, 0, count % 2)).unflatten(1, (-1, 2)).amax(dim=2)
        return larger[:, : max(count // 2, 1)]

    def _mixed(self, places: Float[Tensor, "B S W"]) -> Float[Tensor, "B S W"]:
        """What `mix` computes; written out, as torch's convolution takes three times as long on a CPU."""
        count, around = places.shape[1], F.pad(places, (0, 0, TAPS // 2, TAPS // 2))
        mixed = self.mix.bias
        assert mixed is not None
        for tap, weight in enumerate(self.mix.weight[:, 0].unbind(dim=1)):
            mixed = torch.addcmul(mixed, around[:, tap : tap + count], weight)
        return mixed


def halved(lengths: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
    """Own places of clips after `Coarsen`."""
    return (lengths // 2).clamp(min=1)


def spread(
    features: Float[Tensor, "B S W"], lengths: Int[Tensor, " B"] | None, frames: int, span: int
) -> Float[Tensor, "B T W"]:
    """Features that span so many frames each, at every frame; the last ones stand for what was dropped behind them."""
    if lengths is None:
        every = features.repeat_interleave(span, dim=1)[:, :frames]
        missing = frames - every.shape[1]
        return torch.cat([every, every[:, -1:].expand(-1, missing, -1)], dim=1) if missing else every
    last = (lengths // span).clamp(min=1) - 1
    place = (torch.arange(frames, device=lengths.device) // span).minimum(last.unsqueeze(1))
    return features.gather(1, place.unsqueeze(-1).expand(-1, -1, features.shape[-1]))


def resampled(inputs: Float[Tensor, "B T I"], lengths: Int[Tensor, " B"] | None, frames: int) -> Float[Tensor, "B F I"]:
    """The own frames of each clip as so many, linearly, at half-pixel centres."""
    exact = torch.promote_types(inputs.dtype, torch.float32)
    own = torch.full_like(inputs[:, 0, 0], inputs.shape[1], dtype=exact) if lengths is None else lengths.to(exact)
    centre = torch.arange(frames, device=inputs.device, dtype=exact) + 0.5
    place = (centre * own.unsqueeze(1) / frames - 0.5).clamp(min=0).minimum(own.unsqueeze(1) - 1)
    before = place.long()
    after = (before + 1).minimum(own.long().unsqueeze(1) - 1)
    clip = torch.arange(inputs.shape[0], device=inputs.device).unsqueeze(1)
    share = (place - before).unsqueeze(-1).to(inputs.dtype)
    return torch.lerp(inputs[clip, before], inputs[clip, after], share)


class DualLSTMLayer(nn.Module):
    """Two LSTMs over the same places, one of them backward, outputs side by side: (B, S, W) → (B, S, W)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.halves = nn.ModuleList(nn.LSTM(width, width // 2, batch_first=True) for _ in range(2))

    def forward(
        self, places: Float[Tensor, "B S W"], lengths: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B S W"]:
        """The second begins at a clip's last own place."""

        def turned(values: Tensor) -> Tensor:
            return values.flip(1) if lengths is None else reversed_in_place(values, lengths)

        ahead, behind = self.halves
        return torch.cat([ahead(places)[0], turned(behind(turned(places))[0])], dim=-1)


class PostNormLayer(nn.Module):
    """A Transformer layer as it was first published (Vaswani et al. 2017), without positions: (B, S, W) → (B, S, W)."""

    def __init__(self, width: int, dropout: float, heads: int = 4) -> None:
        super().__init__()
        if width % heads:
            raise ConfigError(f"expected a width that is a multiple of the {heads} heads, got {width}")
        self.heads = heads
        self.project, self.gather = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, width), nn.Linear(width, width)
        self.attention_norm, self.norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, places: Float[Tensor, "B S W"], lengths: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B S W"]:
        """Nobody attends to places beyond a clip's own."""
        own = None if lengths is None else own_frames(lengths, places.shape[1])
        attended = self.gather(attend(self.project(places), self.heads, own, self.dropout))
        places = self.attention_norm(places + self.dropout(attended))
        added = self.narrow(self.dropout(F.relu(self.widen(places))))
        normed: Tensor = self.norm(places + self.dropout(added))
        return normed


SEQUENCES: dict[SequenceKind, Callable[[int, float], nn.Module]] = {
    "gru": lambda width, dropout: DualGRULayer(width, width // 2, backward=True),
    "lstm": lambda width, dropout: DualLSTMLayer(width),
    "transformer": PostNormLayer,
}
"""By the name in the settings: (width, dropout) → a layer."""
