"""HaLP: momentum contrast, and further positives that are made up from a clip's key in the space of embeddings.

Shah et al., HaLP: Hallucinating Latent Positives for Skeleton-based Self-Supervised Learning of Actions (CVPR 2023).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from pcm3.clips import ClipBatch
from pcm3.methods.moco import MomentumBranch
from pcm3.methods.protocol import EncoderMaker, Exported, Progress, StepOutput
from pcm3.methods.views import CropMaker, TwoViews
from pcm3.nn.fresh_weights import fresh_weights
from pcm3.nn.optimiser import build_optimiser
from pcm3.nn.spherical_kmeans import spherical_kmeans
from pcm3.settings.halp import HallucinationSettings, HaLPSettings
from pcm3.settings.optimiser import OptimiserSettings
from pcm3.settings.pretrain import PretrainSettings
from pcm3.skeleton import Layout, StreamName


class Hallucinated(NamedTuple):
    """Positives that were made for each clip."""

    positives: Float[Tensor, "B N E"]
    """Of unit length."""
    kept: Bool[Tensor, "B N"]
    """Those to which no other prototype is nearer than the one nearest to the key."""


class HaLP(nn.Module):
    """One branch on one stream, and the prototypes of its queue (docs/FIDELITY.md, HaLP)."""

    prototypes: Float[Tensor, "P E"]
    """Of unit length, once there was a step."""

    def __init__(
        self, branch: MomentumBranch, settings: HallucinationSettings, maker: CropMaker, stream: StreamName
    ) -> None:
        """The method on views that become this stream."""
        super().__init__()
        self.branch, self.maker, self.stream = branch, maker, stream
        self.settings = settings
        self.register_buffer("prototypes", branch.queue.keys.new_zeros(settings.prototypes, branch.queue.keys.shape[1]))

    def views(self, batch: ClipBatch, generator: torch.Generator) -> TwoViews:
        """Two crops of each clip, each sheared or jittered."""
        return self.maker.two_views(batch, generator, self.stream)

    def forward(self, views: TwoViews, progress: Progress, generator: torch.Generator) -> StepOutput:
        """Every query against its key and the queue; later in the run it is drawn to the hallucinated ones, too."""
        query, key = self.branch.embed_queries(views.query), self.branch.embed_keys(views.key)
        with torch.autocast(key.device.type, enabled=False):
            contrast = self.branch.contrast(query, key, self.branch.relations(query))
            loss, hallucination, share = contrast, torch.zeros_like(contrast), torch.zeros_like(contrast)
            if progress.share >= self.settings.begin:
                made = self.hallucinate(key, generator)
                hallucination = attraction(query, made, self.branch.temperature)
                share = made.kept.to(loss.dtype).mean()
                loss = contrast + self.settings.weight * hallucination
        terms = {"contrast": contrast.detach(), "hallucination": hallucination.detach(), "kept": share}
        return StepOutput({"all": loss}, terms, {"keys": key})

    @torch.no_grad()
    def hallucinate(self, key: Float[Tensor, "B E"], generator: torch.Generator) -> Hallucinated:
        """Positives from each key towards other prototypes than its own, by some of the way to where it would change.

        Both are drawn for every positive: which of the others, and how far before that boundary it lies.
        """
        chosen, size = self.settings, (len(key), self.settings.positives)
        own = (key @ self.prototypes.T).argmax(dim=1, keepdim=True)
        other = torch.randint(chosen.prototypes - 1, size, generator=generator, device=key.device)
        other = other + (other >= own)
        short = chosen.ease * torch.rand(size, generator=generator, device=key.device, dtype=key.dtype)
        positives = between(key, self.prototypes[own], self.prototypes[other], 1 - short)
        # The boundary is that between these two prototypes; a third may be nearer before it is reached.
        kept = (positives @ self.prototypes.T).argmax(dim=-1) == own
        return Hallucinated(positives, kept)

    def after_step(self, state: dict[str, Shaped[Tensor, "B ..."]], progress: Progress) -> None:
        """Key network and queue follow; now and then its newest keys are clustered, before it counts, too."""
        self.branch.follow(state["keys"])
        if progress.step % self.settings.every == 0:
            keys, end = self.branch.queue.keys, self.branch.queue.next
            back = torch.arange(1, min(self.settings.newest, len(keys)) + 1, device=keys.device)
            self.prototypes.copy_(spherical_kmeans(keys[(end - back) % len(keys)], self.settings.prototypes))

    def optimisers(self, settings: OptimiserSettings) -> dict[str, torch.optim.Optimizer]:
        """One, of everything that learns."""
        return {"all": build_optimiser(self, settings)}

    def encoders(self) -> dict[str, Exported]:
        """The one of its stream."""
        return {"encoder": Exported(self.branch.exported, self.stream)}


def between(
    key: Float[Tensor, "B E"],
    own: Float[Tensor, "B 1 E"],
    other: Float[Tensor, "B N E"],
    share: Float[Tensor, "B N"],
) -> Float[Tensor, "B N E"]:
    """Points on the great circle from a key to other prototypes, by a share of the way to the boundary of its own.

    The circle is cos θ · key + sin θ · way, with way ⟂ key. On the boundary, own and other have the same cosine with
    it, which gives tan θ in closed form.
    """
    key = key[:, None]
    way = F.normalize(other - (other * key).sum(dim=-1, keepdim=True) * key, dim=-1)
    apart = own - other
    boundary = torch.atan2((key * apart).sum(dim=-1), -(way * apart).sum(dim=-1))
    angle = (share * boundary)[..., None]
    return F.normalize(angle.cos() * key + angle.sin() * way, dim=-1)


def attraction(query: Float[Tensor, "B E"], made: Hallucinated, temperature: float) -> Float[Tensor, ""]:
    """−(query · positive) / τ, the mean over all positives that were kept; 0 where there are none."""
    cosines = torch.einsum("be,bne->bn", query, made.positives)
    return -(cosines * made.kept).sum() / made.kept.sum().clamp(min=1) / temperature


def build(make_encoder: EncoderMaker, layout: Layout, settings: PretrainSettings) -> HaLP:
    """HaLP with fresh weights, which follow from the seed.

    Raises:
        ConfigError: the layout does not have what the views need.
    """
    method = settings.method
    assert isinstance(method, HaLPSettings)
    maker = CropMaker(layout, settings.frames, method.views)
    encoder = make_encoder(settings.seed)
    with fresh_weights(settings.seed):
        branch = MomentumBranch(encoder, method.objective)
    return HaLP(branch, method.hallucination, maker, settings.stream)
