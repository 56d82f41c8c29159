"""Settings of PCM³ (`pcm3.methods.pcm3`); the defaults are the ● rows of docs/FIDELITY.md."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pcm3.errors import ConfigError
from pcm3.settings.method import MethodSettings, Run
from pcm3.settings.rules import Rule, at_least_one, not_negative, positive
from pcm3.settings.views import ViewSettings

MaskKind = Literal["topology", "random"]
MaskChoice = Literal["uniform", "motion"]
MaskedBodies = Literal["first", "all"]
PromptKind = Literal["none", "domain", "both"]
DomainPlace = Literal["before_norm", "after_norm"]
PromptPlace = Literal["window", "channels"]
PromptUnit = Literal["absolute", "spread"]
Positive = Literal["intra", "inter", "mask", "predict"]
Negatives = Literal["queue", "batch"]
Export = Literal["online", "ema"]
PredictionError = Literal["squared", "distance", "normalised", "segment", "motion"]
PredictedView = Literal["filled", "whole"]
PredictionBase = Literal["zero", "line"]
DecoderKind = Literal["gru", "frame"]


@dataclass
class MixSettings:
    """How two clips are mixed: CutMix, ResizeMix or Mixup."""

    per_clip: bool = False
    """Draw the mixing method, its region and its ratio for each clip instead of once a batch."""


@dataclass
class MaskSettings:
    """Which joints are masked from the encoder, to be predicted."""

    kind: MaskKind = "topology"
    """Mask whole body parts, or single joints (Table 10)."""
    ratio: float = 0.6
    """Share of the parts (or joints) that are masked in each of the eight segments; more than 0.1, less than 0.9."""
    per_clip: bool = False
    """Draw a mask for each clip instead of one a batch."""
    bodies: MaskedBodies = "first"
    """Mask joints of the first body only (released) or of all."""
    choice: MaskChoice = "uniform"
    """Mask all parts (or joints) alike often, or rather those that move in the segment (MAMP, ICCV 2023)."""


@dataclass
class PromptSettings:
    """Learned vectors that tell views and tasks apart."""

    kind: PromptKind = "both"
    """No prompts, domain prompts only, or domain and task prompts."""
    domain: DomainPlace = "before_norm"
    """Add domain prompts before the encoder's BatchNorm (released; it cancels them while training) or after it."""
    width: int = 128
    """Values of a task prompt, at least 1: in each half of the feature (window) or in all (channels)."""
    place: PromptPlace = "window"
    """Add it to one random contiguous window in each half (released), or to random channels (paper)."""
    amplitude: float | None = None
    """Bound of the uniform values that a task prompt starts with, at least 0; null: Xavier's for its own shape
    (released), 0.15 at a width of 128, but 0.43 at one of 16."""
    unit: PromptUnit = "absolute"
    """What a task prompt's values count: the feature's own unit (released), or the spread of the features over the
    batch, so that the prompt is as large beside them however they grow."""


@dataclass
class ObjectiveSettings:
    """Which losses, against which negatives, with which weights."""

    positives: list[Positive] = field(default_factory=lambda: ["intra", "inter", "mask", "predict"])
    """Views whose embedding is contrasted with its key."""
    embedding: int = 128
    """Width of an embedding, at least 1."""
    projector_norm: bool = False
    """Put a BatchNorm into the projector (SimCLR, MoCo v3)."""
    queue: int = 16384
    """Keys in the queue, at least 1."""
    negatives: Negatives = "queue"
    """Negatives of a query: earlier keys, or the other clips' keys of its own batch. A queue as long as the data set
    holds the query's own clip too."""
    momentum: float = 0.999
    """Momentum of the key network's moving average, 0 to 1."""
    export: Export = "online"
    """Which encoder is the run's result: the one that is trained, or the key network's, its moving average."""
    temperature: float = 0.07
    """Temperature of the contrastive loss, more than 0."""
    student_temperature: float = 0.1
    """Temperature of the query's relations in the distillation loss, more than 0."""
    teacher_temperature: float = 0.05
    """Temperature of the key's relations in the distillation loss, more than 0."""
    contrast_weight: float = 1.0
    """Weight of each contrastive term, at least 0."""
    distillation_weight: float = 1.0
    """Weight of each distillation term, at least 0; 0 leaves distillation out."""
    masked_weight: float = 1.0
    """Weight of the terms of masked and predicted views over those of the others, at least 0."""
    prediction_weight: float = 40.0
    """Weight of masked prediction, at least 0; 0 leaves it out."""
    prediction_error: PredictionError = "squared"
    """Mean square over masked coordinates (released), mean distance over masked joints (paper), or mean square of
    coordinates that are normalised over the batch, or each over its own segment of the clip (as MAE normalises each
    patch), or over the batch together with their change from frame to frame."""
    prediction_base: PredictionBase = "zero"
    """What the decoder's output is added to: nothing (released), or a straight line from where a masked joint was last
    visible to where it is next."""
    predicted_view: PredictedView = "filled"
    """The decoder's output where masked and the visible input elsewhere (released), or all of it (paper)."""
    decoder_gradient: bool = True
    """Let the gradient of the contrastive loss reach the decoder through the predicted view."""
    decoder: DecoderKind = "gru"
    """Two recurrent layers (released), or each frame from its own feature: the encoder has seen the whole clip."""
    decoder_hidden: int = 512
    """Width of the decoder, at least 1."""


@dataclass
class PCM3Settings:
    """The method PCM³."""

    views: ViewSettings = field(default_factory=ViewSettings)
    mix: MixSettings = field(default_factory=MixSettings)
    mask: MaskSettings = field(default_factory=MaskSettings)
    prompts: PromptSettings = field(default_factory=PromptSettings)
    objective: ObjectiveSettings = field(default_factory=ObjectiveSettings)

    @property
    def min_clips(self) -> int:
        """The fewest clips of a micro-batch: mixing needs two; a mixed query has two keys of its own."""
        return 4 if self.objective.negatives == "batch" else 2

    def check(self, run: Run) -> None:
        """Raises ConfigError for a value that makes no sense, alone or in this run."""
        run.require([*self._of_views(), *self._of_objective(run), *self._of_prompts(run)])

    def _of_views(self) -> list[Rule]:
        return [
            *self.views.rules(),
            (
                0.1 < self.mask.ratio < 0.9,
                "mask.ratio",
                "more than 0.1 and less than 0.9, so that of five parts some are masked and some are not",
            ),
            (
                self.mask.choice == "uniform" or self.mask.per_clip,
                "mask.choice",
                "uniform where one mask is drawn for a batch: clips do not move alike (or mask.per_clip true)",
            ),
        ]

    def _of_objective(self, run: Run) -> list[Rule]:
        objective = self.objective
        contrasts = objective.positives and objective.contrast_weight + objective.distillation_weight > 0
        return [
            *at_least_one(objective, "queue", "embedding", "decoder_hidden", group="objective."),
            *positive(objective, "temperature", "student_temperature", "teacher_temperature", group="objective."),
            *not_negative(
                objective,
                "contrast_weight",
                "distillation_weight",
                "masked_weight",
                "prediction_weight",
                group="objective.",
            ),
            (0 <= objective.momentum <= 1, "objective.momentum", "between 0 and 1"),
            (len(set(objective.positives)) == len(objective.positives), "objective.positives", "no repeats"),
            (
                objective.prediction_error != "segment" or run.frames >= 16,
                "objective.prediction_error",
                "segment only with at least 16 frames, two in each of the eight segments",
            ),
            (
                objective.prediction_weight > 0 or bool(contrasts),
                "objective",
                "a prediction_weight, or positives and their weight, above 0: something to learn from",
            ),
        ]

    def _of_prompts(self, run: Run) -> list[Rule]:
        half, prompts = run.encoder.hidden_size, self.prompts
        return [
            (prompts.width >= 1, "prompts.width", "at least 1"),
            (prompts.amplitude is None or prompts.amplitude >= 0, "prompts.amplitude", "not negative"),
            (
                prompts.kind != "both"
                or half == 0
                or prompts.width <= (half if prompts.place == "window" else 2 * half),
                "prompts.width",
                f"at most the feature's room ({half} in each half): lower it, or raise encoder.hidden_size",
            ),
        ]


def pcm3_of(method: MethodSettings) -> PCM3Settings:
    """The settings of a method that has to be PCM³.

    Raises:
        ConfigError: it is another.
    """
    if not isinstance(method, PCM3Settings):
        raise ConfigError("setting method: expected pcm3, the only method that this is made for, got another")
    return method
