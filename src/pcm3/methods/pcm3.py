"""PCM³: contrast and masked prediction that help each other, told apart by prompts (paper §3, in its order)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from pcm3.augment.mix import Mixed
from pcm3.clips import ClipBatch
from pcm3.encoders.encoder import Encoder
from pcm3.encoders.flatten import unflatten
from pcm3.losses import info_nce, masked_prediction, relational_distillation
from pcm3.methods.pcm3_views import ViewMaker, Views, by_the_same_sensor, contrasted
from pcm3.methods.protocol import EncoderMaker, Exported, Progress, StepOutput
from pcm3.nn.fresh_weights import fresh_weights
from pcm3.nn.heads import Decoder, Projector
from pcm3.nn.lines import straight_lines
from pcm3.nn.momentum import key_copy, momentum_update
from pcm3.nn.optimiser import build_optimiser
from pcm3.nn.prompt import Prompt, TaskPrompt
from pcm3.nn.queue import KeyQueue
from pcm3.settings.optimiser import OptimiserSettings
from pcm3.settings.pcm3 import PCM3Settings, Positive
from pcm3.settings.pretrain import PretrainSettings
from pcm3.skeleton import Layout

POSITIVES: tuple[Positive, ...] = ("intra", "inter", "mask", "predict")
"""The views whose embedding is contrasted with a key (eq. 5)."""
EXCLUDED = -1e4
"""In place of the cosine with what is no negative: nothing is left of it after a softmax, at a temperature below 50."""


class Key(NamedTuple):
    """What an embedding is drawn to, and what it is told apart from."""

    embedding: Float[Tensor, "B E"]
    relations: Float[Tensor, "B K"]
    """Its cosines with the negatives."""
    own: Bool[Tensor, "B K"] | None
    """True where one of the negatives is of the clip itself; None: nowhere."""


class Pair(NamedTuple):
    """A positive pair (eq. 5)."""

    name: Positive
    query: Float[Tensor, "B E"]
    key: Key


class PCM3(nn.Module):
    """The query network, its slow key copy, the queue, the decoder and the prompts.

    A part of the method is switched off by leaving its view out of `positives` or by a weight of 0; what then is
    not needed is not computed. Switches and their sources: docs/FIDELITY.md.
    """

    def __init__(self, encoder: Encoder, settings: PCM3Settings, view_maker: ViewMaker) -> None:
        """The method with fresh weights beside those of the encoder, which is the query network's."""
        super().__init__()
        self.settings, self.view_maker = settings, view_maker
        objective, prompts = settings.objective, settings.prompts
        self.encoder = encoder
        self.projector = Projector(encoder.width, objective.embedding, objective.projector_norm)
        self.decoder = Decoder(encoder.frame_width, encoder.inputs, objective.decoder_hidden, objective.decoder)
        if objective.prediction_base == "line":
            self.decoder.begin_with_nothing()
        self.key_encoder = key_copy(self.encoder)
        self.key_projector = key_copy(self.projector)
        self.queue = KeyQueue(objective.queue, objective.embedding)
        self.domain_prompts = nn.ModuleDict(
            {view: Prompt(encoder.in_features) for view in POSITIVES} if prompts.kind != "none" else {}
        )
        widths = {"contrast": encoder.width, "prediction": encoder.frame_width} if prompts.kind == "both" else {}
        self.task_prompts = nn.ModuleDict(
            {
                task: TaskPrompt(width, prompts.width, prompts.place, prompts.amplitude, prompts.unit)
                for task, width in widths.items()
            }
        )

    def views(self, batch: ClipBatch, generator: torch.Generator) -> Views:
        """Three crops of each clip, one of them mixed with another clip's and one masked (§3.1, §3.2)."""
        return self.view_maker(batch, generator)

    def forward(self, views: Views, progress: Progress, generator: torch.Generator) -> StepOutput:
        """The losses of one step (eq. 7); the generator draws the places of the task prompts."""
        objective, positives = self.settings.objective, contrasted(self.settings)
        terms: dict[str, Tensor] = {}

        # Views within and between clips, and the masked one, share one pass of the encoder (§3.1, §3.2).
        frames = self.encode(*self._inputs(views))
        queries = {name: self.embed(of, generator) for name, of in frames.items() if name in positives}
        if self.predicts and views.source is not None and views.observed is not None and views.masked is not None:
            predicted, again = self.predict(frames["mask"], views.observed, views.masked, generator)
            if objective.prediction_weight:
                terms["prediction"] = self.miss(predicted, views.source, views.masked)
            # The prediction is one more view (§3.3).
            if "predict" in positives:
                view = self.predicted_view(again, views.source, views.observed, views.masked)
                frames = self.encode(("predict", self.encoder.build_inputs(view)))
                queries["predict"] = self.embed(frames["predict"], generator)

        state = {}
        if views.key is not None:
            keys = self.embed_keys(views.key, generator)
            with torch.autocast(keys.device.type, enabled=False):
                terms |= self.contrast(queries, keys, views.mixed)
            state = {"keys": keys} if objective.negatives == "queue" and positives else {}
        with torch.autocast(next(iter(terms.values())).device.type, enabled=False):
            loss = self._weighted(terms)
        return StepOutput({"all": loss}, {name: term.detach() for name, term in terms.items()}, state)

    def after_step(self, state: dict[str, Shaped[Tensor, "B ..."]], progress: Progress) -> None:
        """The key networks follow by momentum (§3.1), the keys go into the queue."""
        momentum_update(self.key_encoder, self.encoder, self.settings.objective.momentum)
        momentum_update(self.key_projector, self.projector, self.settings.objective.momentum)
        if "keys" in state:
            self.queue.push(state["keys"])

    def optimisers(self, settings: OptimiserSettings) -> dict[str, torch.optim.Optimizer]:
        """One, of everything that learns."""
        return {"all": build_optimiser(self, settings)}

    def encoders(self) -> dict[str, Exported]:
        """The encoder that is trained, or its moving average."""
        encoder = self.key_encoder if self.settings.objective.export == "ema" else self.encoder
        return {"encoder": Exported(encoder, self.view_maker.stream)}

    def _inputs(self, views: Views) -> list[tuple[Positive, Float[Tensor, "B T I"]]]:
        """Flat inputs of the views that exist before the encoder runs."""
        inputs: list[tuple[Positive, Tensor]] = []
        positives = contrasted(self.settings)
        if "intra" in positives and views.query is not None:
            inputs.append(("intra", self.encoder.build_inputs(views.query)))
        if "inter" in positives and views.mixed is not None:
            inputs.append(("inter", self.encoder.build_inputs(views.mixed.clips)))
        if ("mask" in positives or self.predicts) and views.observed is not None:
            inputs.append(("mask", self.encoder.build_inputs(views.observed, views.masked)))
        return inputs

    @property
    def predicts(self) -> bool:
        """Whether the decoder has anything to do."""
        return self.settings.objective.prediction_weight > 0 or "predict" in contrasted(self.settings)

    def encode(
        self, *inputs: tuple[Positive, Float[Tensor, "B T I"]], encoder: Encoder | None = None
    ) -> dict[Positive, Float[Tensor, "B T D"]]:
        """Frame features of the flat inputs of named views, each with its domain prompt added (eq. 6).

        A vector that is added to all frames before a BatchNorm in training mode has no effect on its output: where
        the prompts stand as released, `before_norm`, they reach nothing but the running statistics
        (docs/FIDELITY.md 9; so does the prediction's task prompt, which meets the decoder's BatchNorm). `after_norm`
        gives them the effect that the paper describes.
        """
        if not inputs:
            return {}
        prompts: list[Prompt] = [self.domain_prompts[name] for name, _ in inputs] if self.domain_prompts else []  # type: ignore[misc]
        flat = [view for _, view in inputs]
        if self.settings.prompts.domain == "before_norm":
            flat, prompts = [prompt(view) for prompt, view in zip(prompts, flat, strict=True)] if prompts else flat, []
        frames = (encoder or self.encoder).encode_views(*flat, prompts=prompts or None)
        return {name: of for (name, _), of in zip(inputs, frames, strict=True)}

    def embed(self, frames: Float[Tensor, "B T D"], generator: torch.Generator) -> Float[Tensor, "B E"]:
        """Frame features → query embeddings, the contrast's task prompt added before the projector (§3.4)."""
        embedding: Tensor = self.projector(self._prompted("contrast", self.encoder.pool(frames), generator))
        return embedding

    @torch.no_grad()
    def embed_keys(self, clips: Float[Tensor, "B T M V C"], generator: torch.Generator) -> Float[Tensor, "B E"]:
        """Clips → keys, by the momentum networks; the prompts are the query's."""
        frames = self.encode(("intra", self.key_encoder.build_inputs(clips)), encoder=self.key_encoder)["intra"]
        keys: Tensor = self.key_projector(self._prompted("contrast", self.key_encoder.pool(frames), generator))
        return keys

    def _prompted(
        self, task: str, features: Float[Tensor, "*batch D"], generator: torch.Generator
    ) -> Float[Tensor, "*batch D"]:
        """The features with the task's prompt, where there are task prompts."""
        if task not in self.task_prompts:
            return features
        prompted: Tensor = self.task_prompts[task](features, generator)
        return prompted

    def predict(
        self,
        frames: Float[Tensor, "B T D"],
        observed: Float[Tensor, "B T M V C"],
        masked: Bool[Tensor, "B T M V"],
        generator: torch.Generator,
    ) -> tuple[Float[Tensor, "B T M V C"], Float[Tensor, "B T M V C"]]:
        """What the decoder makes of the masked view's frame features: for its own loss, and for a new view.

        The gradient of the contrast reaches the decoder through the new view, but not the masked encoding under
        the decoder (§3.3, 2): the features are detached there, so the decoder runs over them twice.
        """
        objective = self.settings.objective
        features = self.encoder.every_frame(self._prompted("prediction", frames, generator), observed.shape[1])
        if not objective.prediction_weight:
            (flat,) = self.decoder(features.detach())
            flat_view = flat if objective.decoder_gradient else flat.detach()
        elif "predict" in contrasted(self.settings) and objective.decoder_gradient:
            flat, flat_view = self.decoder(features, features.detach())
        else:
            (flat,) = self.decoder(features)
            flat_view = flat.detach()
        predicted, view = (unflatten(of, self.encoder.bodies, self.encoder.joints) for of in (flat, flat_view))
        if objective.prediction_base == "line":
            lines = straight_lines(observed, masked)
            predicted, view = predicted + lines, view + lines
        return predicted, view

    def predicted_view(
        self,
        predicted: Float[Tensor, "B T M V C"],
        source: Float[Tensor, "B T M V C"],
        observed: Float[Tensor, "B T M V C"],
        masked: Bool[Tensor, "B T M V"],
    ) -> Float[Tensor, "B T M V C"]:
        """The prediction as one more view (§3.3): by the sensor of the others, in the masked places or everywhere."""
        if observed is not source:
            predicted = by_the_same_sensor(predicted, source, observed)
        if self.settings.objective.predicted_view == "whole":
            return predicted
        return torch.where(masked.unsqueeze(-1), predicted, observed)

    def miss(
        self,
        predicted: Float[Tensor, "B T M V C"],
        source: Float[Tensor, "B T M V C"],
        masked: Bool[Tensor, "B T M V"],
    ) -> Float[Tensor, ""]:
        """How far the prediction is from the truth (eq. 4)."""
        return masked_prediction(predicted, source, masked, self.settings.objective.prediction_error)

    def contrast(
        self, queries: dict[Positive, Float[Tensor, "B E"]], keys: Float[Tensor, "B E"], mixed: Mixed | None
    ) -> dict[str, Float[Tensor, ""]]:
        """InfoNCE and distillation of every positive pair (eq. 1 to 3, 5), all against the same negatives."""
        objective = self.settings.objective
        in_batch = objective.negatives == "batch"
        # The push of this step must not reach the backward pass.
        negatives = keys if in_batch else self.queue.keys.clone()
        own = torch.eye(len(keys), dtype=torch.bool, device=keys.device) if in_batch else None
        pairs = self._pairs(queries, keys, mixed, negatives, own)
        if not pairs:
            return {}
        query = torch.stack([pair.query for pair in pairs])
        relations = query @ negatives.T
        if own is not None:
            of_own_clip = torch.stack([pair.key.own for pair in pairs if pair.key.own is not None])
            relations = relations.masked_fill(of_own_clip, EXCLUDED)
        terms: dict[str, Tensor] = {}
        if objective.contrast_weight:
            positive = (query * torch.stack([pair.key.embedding for pair in pairs])).sum(dim=-1)
            contrasts = info_nce(positive, relations, objective.temperature)
            terms |= {f"contrast/{pair.name}": term for pair, term in zip(pairs, contrasts, strict=True)}
        if objective.distillation_weight:
            teacher = torch.stack([pair.key.relations for pair in pairs])
            distilled = relational_distillation(
                relations, teacher, objective.student_temperature, objective.teacher_temperature
            )
            terms |= {f"distillation/{pair.name}": term for pair, term in zip(pairs, distilled, strict=True)}
        return terms

    def _pairs(
        self,
        queries: dict[Positive, Float[Tensor, "B E"]],
        keys: Float[Tensor, "B E"],
        mixed: Mixed | None,
        negatives: Float[Tensor, "K E"],
        own: Bool[Tensor, "B K"] | None,
    ) -> list[Pair]:
        """Each query beside its key: that of its clip, or for a mixed clip the mean of both clips' (eq. 2)."""
        plain = _key(keys, negatives, own)
        of_mixed = plain
        if mixed is not None:
            both = torch.lerp(keys, keys[mixed.partner], mixed.ratio.to(keys.dtype).unsqueeze(1))
            own = None if own is None else own | own[mixed.partner]
            of_mixed = _key(nn.functional.normalize(both, dim=-1), negatives, own)
        return [Pair(name, query, of_mixed if name == "inter" else plain) for name, query in queries.items()]

    def _weighted(self, terms: dict[str, Float[Tensor, ""]]) -> Float[Tensor, ""]:
        """Their sum by the weights of eq. 7, which the words of a term's name tell: the loss, and the view if any."""
        objective = self.settings.objective
        of_loss = {
            "contrast": objective.contrast_weight,
            "distillation": objective.distillation_weight,
            "prediction": objective.prediction_weight,
        }
        of_view = {"mask": objective.masked_weight, "predict": objective.masked_weight}
        zero = next(iter(terms.values())).new_zeros(())
        parts = ((*name.partition("/"), term) for name, term in terms.items())
        return sum((of_loss[loss] * of_view.get(view, 1.0) * term for loss, _, view, term in parts), start=zero)


def _key(embedding: Float[Tensor, "B E"], negatives: Float[Tensor, "K E"], own: Bool[Tensor, "B K"] | None) -> Key:
    relations = embedding @ negatives.T
    return Key(embedding, relations if own is None else relations.masked_fill(own, EXCLUDED), own)


def build(make_encoder: EncoderMaker, layout: Layout, settings: PretrainSettings) -> PCM3:
    """PCM³ with fresh weights, which follow from the seed.

    Raises:
        ConfigError: the layout does not have what the views need.
    """
    assert isinstance(settings.method, PCM3Settings)
    view_maker = ViewMaker(layout, settings.stream, settings.frames, settings.method)
    encoder = make_encoder(settings.seed)
    with fresh_weights(settings.seed):
        return PCM3(encoder, settings.method, view_maker)
