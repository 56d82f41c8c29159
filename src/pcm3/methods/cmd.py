"""CMD: three streams learn by momentum contrast, and each from how the others see the neighbourhood of a clip.

Mao et al., CMD: Self-supervised 3D Action Representation Learning with Cross-modal Mutual Distillation (ECCV 2022).
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from pcm3.clips import ClipBatch
from pcm3.geometry import stream
from pcm3.losses import relational_distillation
from pcm3.methods.moco import MomentumBranch
from pcm3.methods.protocol import EncoderMaker, Exported, Progress, StepOutput
from pcm3.methods.views import CropMaker, TwoViews
from pcm3.nn.optimiser import build_optimiser
from pcm3.settings.cmd import CMDSettings, DistillationSettings
from pcm3.settings.optimiser import OptimiserSettings
from pcm3.settings.pretrain import PretrainSettings
from pcm3.skeleton import Layout, StreamName

STREAMS: tuple[StreamName, ...] = ("joint", "motion", "bone")


class CMD(nn.Module):
    """A branch for each stream, and six distillation terms between them (docs/FIDELITY.md, CMD)."""

    def __init__(
        self, branches: dict[StreamName, MomentumBranch], settings: DistillationSettings, maker: CropMaker
    ) -> None:
        """The method: a branch for each of `STREAMS`, what they learn from each other, and what makes the views."""
        super().__init__()
        self.branches = nn.ModuleDict({str(name): branch for name, branch in branches.items()})
        self.settings, self.maker = settings, maker

    def views(self, batch: ClipBatch, generator: torch.Generator) -> dict[StreamName, TwoViews]:
        """Two crops of each clip, each sheared or jittered; motion and bone are taken of these."""
        views, layout = self.maker.two_views(batch, generator), self.maker.layout
        return {name: TwoViews(*(stream(view, name, layout, batch.gaps) for view in views)) for name in STREAMS}

    def forward(self, views: dict[StreamName, TwoViews], progress: Progress, generator: torch.Generator) -> StepOutput:
        """The contrast of every stream, and what each learns from the others."""
        query = {name: self.branch(name).embed_queries(views[name].query) for name in STREAMS}
        key = {name: self.branch(name).embed_keys(views[name].key) for name in STREAMS}
        with torch.autocast(key["joint"].device.type, enabled=False):
            student = {name: self.branch(name).relations(query[name]) for name in STREAMS}
            teacher = {name: self.branch(name).relations(key[name]) for name in STREAMS}
            contrast = {name: self.branch(name).contrast(query[name], key[name], student[name]) for name in STREAMS}
            distilled = self.distil(student, teacher)
            distillation = torch.stack([*distilled.values()]).sum()
            loss = torch.stack([*contrast.values()]).sum() + self.settings.weight * distillation
        terms = {f"contrast/{name}": term.detach() for name, term in contrast.items()}
        terms |= {f"distillation/{name}": term.detach() for name, term in distilled.items()}
        return StepOutput({"all": loss}, terms, {f"keys/{name}": of for name, of in key.items()})

    def distil(
        self, student: dict[StreamName, Float[Tensor, "B K"]], teacher: dict[StreamName, Float[Tensor, "B K"]]
    ) -> dict[str, Float[Tensor, ""]]:
        """From every stream to every other: how the student sees those that are nearest to the teacher's key.

        A row of the queue is the same earlier clip in every stream, so a teacher's nearest are chosen by their rows.
        """
        chosen, terms = self.settings, {}
        for name, relations in teacher.items():
            nearest, rows = relations.topk(min(chosen.neighbours, relations.shape[1]), dim=1)
            for other in STREAMS:
                if other != name:
                    (term,) = relational_distillation(
                        student[other].gather(1, rows)[None],
                        nearest[None],
                        chosen.student_temperature,
                        chosen.teacher_temperature,
                    )
                    terms[f"{name}-{other}"] = term
        return terms

    def branch(self, name: StreamName) -> MomentumBranch:
        """That of a stream."""
        branch = self.branches[name]
        assert isinstance(branch, MomentumBranch)
        return branch

    def after_step(self, state: dict[str, Shaped[Tensor, "B ..."]], progress: Progress) -> None:
        """Key networks and queues follow, all queues by the same rows."""
        for name in STREAMS:
            self.branch(name).follow(state[f"keys/{name}"])

    def optimisers(self, settings: OptimiserSettings) -> dict[str, torch.optim.Optimizer]:
        """One, of everything that learns."""
        return {"all": build_optimiser(self, settings)}

    def encoders(self) -> dict[str, Exported]:
        """That of the joint stream is the run's model; those of motion and bone lie beside it."""
        return {name: Exported(self.branch(name).exported, name) for name in STREAMS}


def build(make_encoder: EncoderMaker, layout: Layout, settings: PretrainSettings) -> CMD:
    """CMD with fresh weights, which follow from the seed.

    Raises:
        ConfigError: the layout does not have what the views need.
    """
    method = settings.method
    assert isinstance(method, CMDSettings)
    maker = CropMaker(layout, settings.frames, method.views)
    encoders = {name: make_encoder(settings.seed + (number << 32)) for number, name in enumerate(STREAMS)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        branches = {name: MomentumBranch(encoder, method.objective) for name, encoder in encoders.items()}
    return CMD(branches, method.distillation, maker)
