"""PCM³: contrast and masked prediction that help each other, told apart by prompts (paper §3, in its order)."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from pcm3.encoders.encoder import Encoder
from pcm3.encoders.flatten import unflatten
from pcm3.losses import PredictionError, info_nce, masked_prediction, relational_distillation
from pcm3.methods.pcm3_views import Views
from pcm3.nn.heads import Decoder, Projector
from pcm3.nn.momentum import key_copy, momentum_update
from pcm3.nn.prompt import Prompt, PromptPlace, TaskPrompt
from pcm3.nn.queue import KeyQueue

Positive = Literal["intra", "inter", "mask", "predict"]
"""A view whose embedding is drawn to its key (eq. 5)."""
POSITIVES: tuple[Positive, ...] = ("intra", "inter", "mask", "predict")
PromptKind = Literal["none", "domain", "both"]
DomainPlace = Literal["before_norm", "after_norm"]
PredictedView = Literal["filled", "whole"]
Negatives = Literal["queue", "batch"]
EXCLUDED = -1e4
"""In place of the cosine with what is no negative: nothing is left of it after a softmax, at a temperature below 50."""


class Step(NamedTuple):
    """What one training step gives."""

    loss: Tensor
    """Scalar, eq. 7: the weighted sum of the terms."""
    terms: dict[str, Tensor]
    """Each term before its weight, detached: ``contrast/<view>``, ``distillation/<view>``, ``prediction``."""
    keys: Tensor
    """(B, E) the plain keys, for the queue."""


class PCM3(nn.Module):
    """The query network, its slow key copy, the queue, the decoder and the prompts.

    A part of the method is switched off by leaving its view out of `positives` or by a weight of 0; what then is
    not needed is not computed. Switches and their sources: docs/FIDELITY.md.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        embedding: int = 128,
        projector_norm: bool = False,
        decoder_hidden: int = 512,
        positives: tuple[Positive, ...] = POSITIVES,
        queue: int = 16384,
        negatives: Negatives = "queue",
        momentum: float = 0.999,
        temperature: float = 0.07,
        student_temperature: float = 0.1,
        teacher_temperature: float = 0.05,
        contrast_weight: float = 1.0,
        distillation_weight: float = 1.0,
        prediction_weight: float = 40.0,
        prediction_error: PredictionError = "squared",
        predicted_view: PredictedView = "filled",
        decoder_gradient: bool = True,
        prompts: PromptKind = "both",
        domain_place: DomainPlace = "before_norm",
        prompt_width: int = 128,
        prompt_place: PromptPlace = "window",
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.projector = Projector(encoder.width, embedding, projector_norm)
        self.decoder = Decoder(encoder.frame_width, encoder.inputs, decoder_hidden)
        self.key_encoder = key_copy(self.encoder)
        self.key_projector = key_copy(self.projector)
        self.queue = KeyQueue(queue, embedding)
        self.domain_prompts = nn.ModuleDict(
            {view: Prompt(encoder.in_features) for view in POSITIVES} if prompts != "none" else {}
        )
        self.domain_place = domain_place
        self.task_prompts = nn.ModuleDict(
            {
                task: TaskPrompt(width, prompt_width, prompt_place)
                for task, width in (("contrast", encoder.width), ("prediction", encoder.frame_width))
            }
            if prompts == "both"
            else {}
        )
        self.positives, self.negatives = positives, negatives
        self.momentum = momentum
        self.temperature = temperature
        self.student_temperature, self.teacher_temperature = student_temperature, teacher_temperature
        self.contrast_weight = contrast_weight
        self.distillation_weight = distillation_weight
        self.prediction_weight, self.prediction_error = prediction_weight, prediction_error
        self.predicted_view, self.decoder_gradient = predicted_view, decoder_gradient

    def forward(self, views: Views, generator: torch.Generator, first: bool = True) -> Step:
        """The losses of one step; the caller steps the optimiser and pushes `keys` to the queue.

        Args:
            views: of B clips.
            generator: draws the places of the task prompts.
            first: of the parts that a step's batch is worked through in; the key networks move once a step, then.
        """
        if self.training and first:
            momentum_update(self.key_encoder, self.encoder, self.momentum)
            momentum_update(self.key_projector, self.projector, self.momentum)
        queries: dict[Positive, Tensor] = {}
        terms: dict[str, Tensor] = {}

        # Views that do not depend on each other share one pass of the encoder (§3.1, §3.2).
        features = self._encode(self._inputs(views))
        for view in ("intra", "inter", "mask"):
            if view in self.positives:
                queries[view] = self._embed(self.encoder.pool(features[view]), generator)
        if "mask" in features and ("predict" in self.positives or self.prediction_weight):
            predicted, filled = self._predict(features["mask"], views, generator)
            if self.prediction_weight:
                terms["prediction"] = masked_prediction(predicted, views.source, views.hidden, self.prediction_error)
            if "predict" in self.positives:
                again = self._encode({"predict": self.encoder.build_inputs(filled)})["predict"]
                queries["predict"] = self._embed(self.encoder.pool(again), generator)

        keys = self._keys(views.key, generator)
        with torch.autocast(keys.device.type, enabled=False):
            terms |= self._contrast(queries, keys, views)
            loss = sum((self._weight(name) * term for name, term in terms.items()), start=keys.new_zeros(()))
        return Step(loss, {name: term.detach() for name, term in terms.items()}, keys)

    def _inputs(self, views: Views) -> dict[Positive, Tensor]:
        """Flat inputs (B, T, I) of the views that are needed and exist before the encoder runs."""
        inputs: dict[Positive, Tensor] = {}
        if "intra" in self.positives:
            inputs["intra"] = self.encoder.build_inputs(views.query)
        if "inter" in self.positives:
            inputs["inter"] = self.encoder.build_inputs(views.mixed.clips)
        if self.prediction_weight or "mask" in self.positives or "predict" in self.positives:
            inputs["mask"] = self.encoder.build_inputs(views.source, views.hidden)
        return inputs

    def _encode(self, inputs: dict[Positive, Tensor], encoder: Encoder | None = None) -> dict[Positive, Tensor]:
        """Frame features (B, T, D) of flat inputs, each with its view's domain prompt added (eq. 6).

        A vector that is added to all frames before a BatchNorm in training mode has no effect on its output: where
        the prompts stand as released, `before_norm`, they reach nothing but the running statistics
        (docs/FIDELITY.md 9; so does the prediction's task prompt, which meets the decoder's BatchNorm). `after_norm`
        gives them the effect that the paper describes.
        """
        if not inputs:
            return {}
        encoder = encoder or self.encoder
        prompts = [self.domain_prompts[view] for view in inputs] if self.domain_prompts else None
        flat = list(inputs.values())
        if prompts and self.domain_place == "before_norm":
            flat, prompts = [prompt(view) for prompt, view in zip(prompts, flat, strict=True)], None
        features = encoder.encode_views(*flat, prompts=prompts)  # type: ignore[arg-type]
        return dict(zip(inputs, features, strict=True))

    def _embed(self, features: Tensor, generator: torch.Generator) -> Tensor:
        """Clip features (B, D) → query embeddings (B, E), the contrast's task prompt added before."""
        projected: Tensor = self.projector(self._prompted("contrast", features, generator))
        return projected

    def _prompted(self, task: str, features: Tensor, generator: torch.Generator) -> Tensor:
        """The features with the task's prompt, where there are task prompts."""
        if task not in self.task_prompts:
            return features
        prompted: Tensor = self.task_prompts[task](features, generator)
        return prompted

    def _predict(self, features: Tensor, views: Views, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """What the decoder makes of the masked view, as (B, T, M, V, C): for its own loss, and as a new view.

        The gradient of the contrast reaches the decoder through the new view, but not the masked encoding under
        the decoder (§3.3, 2): the features are detached there, so the decoder runs over them twice.
        """
        features = self._prompted("prediction", features, generator)
        bodies, joints = self.encoder.bodies, self.encoder.joints
        if not self.prediction_weight:
            (flat,) = self.decoder(features.detach())
            flat_for_view = flat if self.decoder_gradient else flat.detach()
        elif "predict" in self.positives and self.decoder_gradient:
            flat, flat_for_view = self.decoder(features, features.detach())
        else:
            (flat,) = self.decoder(features)
            flat_for_view = flat.detach()
        predicted, view = unflatten(flat, bodies, joints), unflatten(flat_for_view, bodies, joints)
        if self.predicted_view == "filled":
            view = torch.where(views.hidden.unsqueeze(-1), view, views.source)
        return predicted, view

    @torch.no_grad()
    def _keys(self, clips: Tensor, generator: torch.Generator) -> Tensor:
        """Clips (B, T, M, V, C) → keys (B, E), by the momentum networks; the prompts are the query's."""
        features = self._encode({"intra": self.key_encoder.build_inputs(clips)}, self.key_encoder)["intra"]
        pooled = self.key_encoder.pool(features)
        keys: Tensor = self.key_projector(self._prompted("contrast", pooled, generator))
        return keys

    def _contrast(self, queries: dict[Positive, Tensor], keys: Tensor, views: Views) -> dict[str, Tensor]:
        """InfoNCE and distillation of every positive pair (eq. 5), all against the same negatives."""
        if not queries or not (self.contrast_weight or self.distillation_weight):
            return {}
        mixed_keys = nn.functional.normalize(
            torch.lerp(keys, keys[views.mixed.partner], views.mixed.ratio.to(keys.dtype).unsqueeze(1)), dim=-1
        )
        # Two different keys a clip, so two teachers, however many pairs there are.
        of_key = {"plain": keys, "inter": mixed_keys}
        kinds = ["inter" if view == "inter" else "plain" for view in queries]
        # The push of this step must not reach the backward pass.
        others = self.queue.keys.clone() if self.negatives == "queue" else keys
        excluded = self._excluded(views) if self.negatives == "batch" else {}
        query = torch.stack(list(queries.values()))
        negative = query @ others.T
        if excluded:
            negative = negative.masked_fill(torch.stack([excluded[kind] for kind in kinds]), EXCLUDED)
        terms: dict[str, Tensor] = {}
        if self.contrast_weight:
            positive = torch.stack([of_key[kind] for kind in kinds])
            contrast = info_nce((query * positive).sum(dim=-1), negative, self.temperature)
            terms |= {f"contrast/{view}": term for view, term in zip(queries, contrast, strict=True)}
        if self.distillation_weight:
            relations = {kind: key @ others.T for kind, key in of_key.items()}
            relations |= {kind: relations[kind].masked_fill(where, EXCLUDED) for kind, where in excluded.items()}
            teacher = torch.stack([relations[kind] for kind in kinds])
            distilled = relational_distillation(negative, teacher, self.student_temperature, self.teacher_temperature)
            terms |= {f"distillation/{view}": term for view, term in zip(queries, distilled, strict=True)}
        return terms

    @staticmethod
    def _excluded(views: Views) -> dict[str, Tensor]:
        """Which keys of the batch (B, B) are no negatives: of a plain query its own, of a mixed one both its clips'."""
        partner = views.mixed.partner
        own = torch.eye(len(partner), dtype=torch.bool, device=partner.device)
        return {"plain": own, "inter": own | own[partner]}

    def _weight(self, term: str) -> float:
        """The weight of a term in eq. 7, by the first word of its name."""
        kind = term.partition("/")[0]
        return {
            "contrast": self.contrast_weight,
            "distillation": self.distillation_weight,
            "prediction": self.prediction_weight,
        }[kind]
