"""Every setting of a pretraining run, as dataclasses; the docstring under a field is its ``--help``.

The defaults are the ● rows of the method (docs/FIDELITY.md); presets are YAML files in ``presets/`` that say only
what differs. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

from pcm3.errors import ConfigError
from pcm3.limits import check_numbers
from pcm3.packaged import packaged

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "32", "bf16"]
Pooling = Literal["last", "mean", "max", "mean_max", "max_min", "mean_max_min", "attention"]


@dataclass
class ViewSettings:
    """One clip becomes three crops: the query's, the key's, and the one to be masked."""

    frames: int = 64
    """T, frames that every crop is resampled to; a multiple of 16."""
    crop: tuple[float, float] = (0.1, 1.0)
    """Smallest and largest share of a clip that a crop takes."""
    least_frames: int = 64
    """A crop is at least this long, where the clip is."""
    spatial: Literal["either", "both"] = "either"
    """Shear or joint jitter, each with probability 1/2 (released), or both (paper)."""
    shear: float = 1.0
    """Off-diagonal entries of the shear matrix are U[-shear, shear]."""
    jitter: float = 0.6
    """Share of the joints that joint jitter disturbs."""
    jittered: float = 0.5
    """Share of the views that are jittered where spatial is either; the others are sheared. Where it is both, all have
    both."""
    turn: float = 0.0
    """Each view is turned about the vertical by U[-turn, turn] degrees."""
    limbs: float = 0.0
    """Each bone of each view is made longer or shorter by a factor U[1 - limbs, 1 + limbs], as people differ."""
    mirror: float = 0.0
    """Share of the clips that are seen in a mirror, left and right exchanged, in all their views alike: others to learn
    from, not the same motion."""
    mix_per_clip: bool = False
    """Draw the mixing method, its region and its ratio for each clip instead of once a batch."""


@dataclass
class MaskSettings:
    """What is hidden from the encoder, to be predicted."""

    kind: Literal["topology", "random"] = "topology"
    """Whole body parts, or single joints (Table 10)."""
    ratio: float = 0.6
    """Share of the parts (or joints) hidden in each of the eight segments."""
    per_clip: bool = False
    """Draw a mask for each clip instead of one a batch."""
    bodies: Literal["first", "all"] = "first"
    """Hide joints of the first body only (released) or of all."""


@dataclass
class PromptSettings:
    """Learned vectors that tell views and tasks apart."""

    kind: Literal["none", "domain", "both"] = "both"
    """No prompts, domain prompts only, or domain and task prompts."""
    domain: Literal["before_norm", "after_norm"] = "before_norm"
    """Add domain prompts before the encoder's BatchNorm (released; it cancels them while training) or after it."""
    width: int = 128
    """Values of a task prompt: in each half of the feature (window) or in all (channels)."""
    place: Literal["window", "channels"] = "window"
    """One random contiguous window in each half (released), or random channels (paper)."""


@dataclass
class ObjectiveSettings:
    """Which losses, against what, how heavy."""

    positives: list[Literal["intra", "inter", "mask", "predict"]] = field(
        default_factory=lambda: ["intra", "inter", "mask", "predict"]
    )
    """Views whose embedding is drawn to its key."""
    embedding: int = 128
    """Width of an embedding."""
    projector_norm: bool = False
    """A BatchNorm within the projector (SimCLR, MoCo v3)."""
    queue: int = 16384
    """Keys in the queue."""
    negatives: Literal["queue", "batch"] = "queue"
    """What a query is told apart from: earlier keys, or the other clips' keys of its own batch. A queue as long as the
    data set holds the query's own clip too."""
    momentum: float = 0.999
    """Momentum of the key network."""
    keep: Literal["query", "key"] = "query"
    """Which encoder is the run's result: the query network's, or the key network's, its moving average."""
    temperature: float = 0.07
    """Of the contrast."""
    student_temperature: float = 0.1
    """Of the query's relations, in the distillation."""
    teacher_temperature: float = 0.05
    """Of the key's relations, in the distillation."""
    contrast_weight: float = 1.0
    """Weight of each contrastive term."""
    distillation_weight: float = 1.0
    """Weight of each distillation term; 0 leaves distillation out."""
    prediction_weight: float = 40.0
    """Weight of masked prediction; 0 leaves it out."""
    prediction_error: Literal["squared", "distance", "standardised"] = "squared"
    """Mean square over hidden coordinates (released), mean distance over hidden joints (paper), or mean square of
    coordinates each measured by its deviation in the batch."""
    predicted_view: Literal["filled", "whole"] = "filled"
    """The decoder's output where hidden and the visible input elsewhere (released), or all of it (paper)."""
    decoder_gradient: bool = True
    """Let the gradient of the contrast reach the decoder through the predicted view."""
    decoder_hidden: int = 512
    """Width of the decoder."""


@dataclass
class OptimiserSettings:
    """How the weights are moved."""

    kind: Literal["sgd", "adam", "adamw", "lars"] = "sgd"
    """SGD with momentum, Adam, Adam with decoupled weight decay, or SGD with a rate for each weight's size (LARS)."""
    lr: float = 0.02
    """Learning rate."""
    momentum: float = 0.9
    """Momentum of SGD; beta 1 of Adam."""
    weight_decay: float = 1e-4
    """Weight decay: added to the gradient, as torch's SGD and Adam do; in adamw apart from it."""
    schedule: Literal["step", "cosine", "constant"] = "step"
    """The rate over time: a tenth after each of drop_epochs, a half cosine to 0 over the run, or unchanged."""
    drop_epochs: list[int] = field(default_factory=lambda: [350])
    """Epochs after which the step schedule divides the rate by ten."""
    warmup_steps: int = 0
    """Steps over which the rate rises from 0, before its schedule has it."""


@dataclass
class PretrainSettings:
    """A pretraining run."""

    protocol: str = "auto"
    """Train on the training side of this split: a protocol of the store, 'all' for every clip, or 'auto' for
    the store's first protocol."""
    leave_out: list[int] = field(default_factory=list)
    """Subjects on the training side that are not trained on, to validate on them."""
    stream: Literal["joint", "bone", "motion"] = "joint"
    """Positions, bones (joint - parent), or motion (next frame - this frame)."""
    sees: list[Literal["itself", "bone", "motion", "motion4", "motion8"]] = field(default_factory=lambda: ["itself"])
    """What the encoder makes of the clips of its stream and looks at, side by side; motions to the next frame, or over
    four or eight frames."""
    network: Literal["gru", "transformer", "graph"] = "gru"
    """The encoder's layers: recurrent, attention over the frames, or graph convolutions over joints and frames."""
    hidden: int = 1024
    """H, width of each half of the encoder; a frame's feature has 2H values. 0: chosen from the number of clips."""
    layers: int = 3
    """Layers of the encoder."""
    direction: Literal["causal", "bidirectional"] = "causal"
    """Both halves forward (as the released code computes), or one forward and one backward (as the paper says).
    Only the gru can be causal: the other networks' frames know later ones."""
    pooling: Pooling = "last"
    """Clip feature: where each half has seen the whole clip; over the frames the mean, the maximum, or both side by
    side; or a mean with learned weights."""
    standardise: bool = False
    """Bring clip features to length 1, then to mean 0 and mean square 1 over the training clips."""
    epochs: int = 450
    """Times that every clip is seen. 0: as often as fits into the minutes, which is measured first."""
    steps: int | None = None
    """Stop after this many steps instead of after the epochs."""
    minutes: float | None = None
    """Stop after this many minutes, if the epochs or steps are not done before; with epochs 0 and no steps, the time to
    fill: null is 15. Steps or epochs alone know no limit of time."""
    batch: int = 128
    """Clips a step, over all devices; the last partial batch of an epoch is dropped. 0: chosen from the number of
    clips."""
    accumulate: int = 1
    """Parts that a step's batch is worked through in, one after the other, where memory is short; BatchNorm and mixing
    see one part at a time."""
    seed: int = 0
    """Everything random follows from it."""
    checkpoint_steps: int = 500
    """Steps between checkpoints."""
    precision: Precision = "auto"
    """Of the networks; losses and queue are always float32. 'auto' is bf16 where the device is fast at it."""
    device: Device = "auto"
    """Where to train; 'auto' is the GPU if there is one."""
    threads: int | None = None
    """CPU threads of each process; null: all, but at most 4 up to hidden 256, whose products are small."""
    devices: int = 1
    """Processes, each with its own device."""
    nodes: int = 1
    """Machines, under torchrun or SLURM."""
    sync_batchnorm: bool = True
    """Normalise over the clips of all devices, as one device would, instead of each device over its own."""
    tensorboard: bool = False
    """Also write TensorBoard files into the run folder."""
    views: ViewSettings = field(default_factory=ViewSettings)
    mask: MaskSettings = field(default_factory=MaskSettings)
    prompts: PromptSettings = field(default_factory=PromptSettings)
    objective: ObjectiveSettings = field(default_factory=ObjectiveSettings)
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)

    def check(self) -> None:
        """Raises ConfigError for a value that makes no sense, naming the setting and what it may be."""
        check_numbers(flat(self))
        low, high = self.views.crop
        parts = max(self.devices * self.nodes * self.accumulate, 1)
        rules = [(value is None or value >= 1, name, "at least 1") for name, value in self._counts()]
        rules += [(value > 0, name, "more than 0") for name, value in self._positive()]
        rules += [(value >= 0, name, "not negative") for name, value in self._weights()]
        left = "at least 1, or 0 to have it chosen"
        rules += [(getattr(self, name) >= 0, name, left) for name in ("hidden", "epochs", "batch")]
        self._enforce(rules)
        rules = [
            (self.views.frames % 16 == 0 and self.views.frames > 0, "views.frames", "a positive multiple of 16"),
            (0 < low <= high <= 1, "views.crop", "two shares, 0 < smallest <= largest <= 1"),
            (
                0.1 < self.mask.ratio < 0.9,
                "mask.ratio",
                "more than 0.1 and less than 0.9, so that of five parts some are hidden and some are not",
            ),
            (0 <= self.optimiser.momentum < 1, "optimiser.momentum", "at least 0 and less than 1"),
            (all(drop >= 1 for drop in self.optimiser.drop_epochs), "optimiser.drop_epochs", "epochs, 1 or more"),
            (len(set(self.leave_out)) == len(self.leave_out), "leave_out", "no repeats"),
            (0 <= self.views.jitter <= 1, "views.jitter", "between 0 and 1"),
            (0 <= self.views.jittered <= 1, "views.jittered", "between 0 and 1"),
            (0 <= self.views.turn <= 180, "views.turn", "degrees, between 0 and 180"),
            (0 <= self.views.limbs < 1, "views.limbs", "at least 0 and less than 1"),
            (0 <= self.views.mirror <= 1, "views.mirror", "between 0 and 1"),
            (0 <= self.objective.momentum <= 1, "objective.momentum", "between 0 and 1"),
            (self.batch % parts == 0, "batch", f"a multiple of devices x nodes x accumulate ({parts})"),
            (
                not 0 < self.batch < 2 * parts,
                "batch",
                f"at least {2 * parts}, two clips for each part (mixing needs company)",
            ),
            (
                self.objective.negatives != "batch" or not 0 < self.batch < 4 * parts,
                "batch",
                f"at least {4 * parts} with negatives from the batch, four clips for each part (a mixed query has two "
                "keys of its own)",
            ),
            (self.minutes is None or self.minutes > 0, "minutes", "more than 0"),
            (
                0 < len(self.sees) == len(set(self.sees)),
                "sees",
                "one or more of itself, bone and motion, without repeats",
            ),
            (
                self.network == "gru" or self.direction == "bidirectional",
                "direction",
                f"bidirectional for network {self.network}, whose frames know later ones",
            ),
            (
                self.network == "gru" or self.hidden % 2 == 0,
                "hidden",
                f"a multiple of 2 for network {self.network}, which shares a feature out among four",
            ),
            (len(set(self.objective.positives)) == len(self.objective.positives), "objective.positives", "no repeats"),
            (
                self.objective.prediction_weight > 0
                or (
                    bool(self.objective.positives)
                    and self.objective.contrast_weight + self.objective.distillation_weight > 0
                ),
                "objective",
                "a prediction_weight, or positives and their weight, above 0: something to learn from",
            ),
            (
                self.prompts.kind != "both"
                or self.hidden == 0
                or self.prompts.width <= (self.hidden if self.prompts.place == "window" else 2 * self.hidden),
                "prompts.width",
                f"at most the feature's room ({self.hidden} in each half): lower it, or raise hidden",
            ),
        ]
        self._enforce(rules)

    def _enforce(self, rules: list[tuple[bool, str, str]]) -> None:
        for fine, name, expected in rules:
            if not fine:
                value = _value(self, name)
                raise ConfigError(
                    f"setting {name}: expected {expected}, got {'none' if is_dataclass(value) else value}"
                )

    def _counts(self) -> Iterator[tuple[str, int | None]]:
        for name in ("layers", "steps", "checkpoint_steps", "threads"):
            yield name, getattr(self, name)
        for name in ("devices", "nodes", "accumulate"):
            yield name, getattr(self, name)
        for name in ("objective.queue", "objective.embedding", "objective.decoder_hidden", "prompts.width"):
            yield name, _value(self, name)
        yield "views.least_frames", self.views.least_frames

    def _positive(self) -> Iterator[tuple[str, float]]:
        for name in ("temperature", "student_temperature", "teacher_temperature"):
            yield f"objective.{name}", getattr(self.objective, name)
        yield "optimiser.lr", self.optimiser.lr

    def _weights(self) -> Iterator[tuple[str, float]]:
        for name in ("contrast_weight", "distillation_weight", "prediction_weight"):
            yield f"objective.{name}", getattr(self.objective, name)
        yield "optimiser.weight_decay", self.optimiser.weight_decay
        yield "optimiser.warmup_steps", self.optimiser.warmup_steps
        yield "views.shear", self.views.shear


def preset_names() -> list[str]:
    """The presets that come with the package."""
    return list(packaged("presets", ".yaml"))


def preset_file(name: str) -> Path:
    """Where the preset of that name lies.

    Raises:
        ConfigError: there is no such preset.
    """
    presets = packaged("presets", ".yaml")
    if name not in presets:
        raise ConfigError(f"expected a preset ({', '.join(presets)}), got '{name}'")
    return presets[name]


def flat(settings: Any, prefix: str = "") -> dict[str, Any]:
    """Settings as one dictionary with dotted names, as on the command line."""
    values: dict[str, Any] = {}
    for entry in fields(settings):
        value = getattr(settings, entry.name)
        if is_dataclass(value):
            values |= flat(value, f"{prefix}{entry.name}.")
        else:
            values[f"{prefix}{entry.name}"] = list(value) if isinstance(value, tuple) else value
    return values


def to_dict(settings: PretrainSettings) -> dict[str, Any]:
    """Settings as nested plain data, for JSON; `from_dict` is the inverse."""
    data = asdict(settings)
    data["views"]["crop"] = list(data["views"]["crop"])
    return data


def from_dict(data: dict[str, Any]) -> PretrainSettings:
    """The settings that `to_dict` gave; settings that it does not hold have their defaults.

    Raises:
        ConfigError: it holds a setting that does not exist.
    """
    groups = {
        "views": ViewSettings,
        "mask": MaskSettings,
        "prompts": PromptSettings,
        "objective": ObjectiveSettings,
        "optimiser": OptimiserSettings,
    }
    try:
        views = data.get("views", {})
        if "crop" in views:
            data = data | {"views": views | {"crop": tuple(views["crop"])}}
        made = {name: groups[name](**value) if name in groups else value for name, value in data.items()}
        return PretrainSettings(**made)
    except TypeError as error:
        raise ConfigError(f"settings hold something that this version does not know: {error}") from error


def _value(settings: PretrainSettings, name: str) -> Any:
    """The setting, or the group of settings, of a dotted name."""
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value
