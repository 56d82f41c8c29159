"""CMD: three streams learn by momentum contrast, and each from how the others see the neighbourhood of a clip.

Mao et al., CMD: Self-supervised 3D Action Representation Learning with Cross-modal Mutual Distillation (ECCV 2022).
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from pcm3.clips import ClipBatch
from pcm3.losses import relational_distillation
from pcm3.methods.protocol import EncoderMaker, Exported, Progress, StepOutput
from pcm3.methods.streams import STREAMS, StreamBranches, StreamViews, build_branches, stream_views
from pcm3.methods.views import CropMaker
from pcm3.nn.optimiser import build_optimiser
from pcm3.settings.cmd import CMDSettings, DistillationSettings
from pcm3.settings.optimiser import OptimiserSettings
from pcm3.settings.pretrain import PretrainSettings
from pcm3.skeleton import Layout, StreamName


class CMD(nn.Module):
    """A branch for each stream, and six distillation terms between them (docs/FIDELITY.md, CMD)."""

    def __init__(self, branches: StreamBranches, settings: DistillationSettings, maker: CropMaker) -> None:
        """The method: the branches, what they learn from each other, and what makes the views."""
        super().__init__()
        self.branches, self.settings, self.maker = branches, settings, maker

    def views(self, batch: ClipBatch, generator: torch.Generator) -> StreamViews:
        """Two crops of each clip, each sheared or jittered; motion and bone are taken of these."""
        return stream_views(self.maker, batch, generator)

    def forward(self, views: StreamViews, progress: Progress, generator: torch.Generator) -> StepOutput:
        """The contrast of every stream, and what each learns from the others."""
        query, key = self.branches.embed_queries(views), self.branches.embed_keys(views)
        with torch.autocast(key["joint"].device.type, enabled=False):
            student, teacher = self.branches.relations(query), self.branches.relations(key)
            contrast = {name: self.branches.of(name).contrast(query[name], key[name], student[name]) for name in query}
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

    def after_step(self, state: dict[str, Shaped[Tensor, "B ..."]], progress: Progress) -> None:
        """Key networks and queues follow."""
        self.branches.follow(state)

    def optimisers(self, settings: OptimiserSettings) -> dict[str, torch.optim.Optimizer]:
        """One, of everything that learns."""
        return {"all": build_optimiser(self, settings)}

    def encoders(self) -> dict[str, Exported]:
        """That of the joint stream is the run's model; those of motion and bone lie beside it."""
        return self.branches.exported()


def build(make_encoder: EncoderMaker, layout: Layout, settings: PretrainSettings) -> CMD:
    """CMD with fresh weights, which follow from the seed.

    Raises:
        ConfigError: the layout does not have what the views need.
    """
    method = settings.method
    assert isinstance(method, CMDSettings)
    maker = CropMaker(layout, settings.frames, method.views)
    return CMD(build_branches(make_encoder, settings.seed, method.objective), method.distillation, maker)
