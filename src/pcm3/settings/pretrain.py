"""Every setting of a pretraining run, as dataclasses; the docstring under a field is its ``--help``.

Presets are YAML files in ``presets/`` that say only what differs from the defaults. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import Any, Literal, TypeVar, get_origin, get_type_hints

from pcm3.errors import ConfigError
from pcm3.limits import check_numbers
from pcm3.settings.encoder import EncoderSettings
from pcm3.settings.method import MethodSettings
from pcm3.settings.methods import METHODS, USUAL, method_named, name_of_method
from pcm3.settings.optimiser import OptimiserSettings
from pcm3.settings.rules import Rule, at_least_one, enforce
from pcm3.skeleton import StreamName

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "32", "bf16"]
SIZES = {"encoder.hidden_size": int, "epochs": int, "steps": int, "minutes": float, "batch": int}
"""Settings by which a run is large or small, by their types."""
_Settings = TypeVar("_Settings")


@dataclass
class PretrainSettings:
    """A pretraining run."""

    protocol: str = "auto"
    """Train on the training side of this split: a protocol of the store, 'all' for every clip, or 'auto' for
    the store's first protocol."""
    exclude_subjects: list[int] = field(default_factory=list)
    """Subjects on the training side that are not trained on, to validate on them."""
    stream: StreamName = "joint"
    """Positions, bones (joint - parent), or motion (next frame - this frame)."""
    frames: int = 64
    """T, number of frames that every crop is resampled to, at least 1."""
    epochs: int = 450
    """Number of times that every clip is seen. 0: as often as fits into the minutes, which is measured first."""
    steps: int | None = None
    """Number of steps after which the run stops, at least 1, instead of after the epochs."""
    minutes: float | None = None
    """Minutes after which the run stops, more than 0, if the epochs or steps are not done before; with epochs 0 and no
    steps, the time to fill: null is 15. Steps or epochs alone know no limit of time."""
    batch: int = 128
    """Clips a step, over all devices; the last partial batch of an epoch is dropped. 0: chosen from the number of
    clips."""
    micro_batches: int = 1
    """Number of micro-batches that a step's batch is worked through in, one after the other, where memory is short, at
    least 1; BatchNorm and mixing see one micro-batch at a time."""
    seed: int = 0
    """Seed that everything random follows from, at least 0."""
    checkpoint_steps: int = 500
    """Steps between checkpoints, at least 1."""
    precision: Precision = "auto"
    """Precision of the networks; losses and queue are always float32. 'auto' is bf16 where the device is fast at it."""
    device: Device = "auto"
    """Where to train; 'auto' is the GPU if there is one."""
    threads: int | None = None
    """CPU threads of each process, at least 1; null: all, but at most 4 up to hidden_size 256, whose products are
    small."""
    devices: int = 1
    """Number of processes on each machine, each with its own device, at least 1."""
    nodes: int = 1
    """Number of machines, under torchrun or SLURM, at least 1."""
    sync_batchnorm: bool = True
    """Normalise over the clips of all devices, as one device would, instead of each device over its own."""
    tensorboard: bool = False
    """Also write TensorBoard files into the run folder."""
    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    method: MethodSettings = field(default_factory=METHODS[USUAL].settings)
    """The settings of the method; on the command line and in files they stand beside the run's, and ``method`` is
    its name."""

    @property
    def pieces(self) -> int:
        """Micro-batches of a batch, over all processes."""
        return max(self.devices * self.nodes * self.micro_batches, 1)

    def check(self) -> None:
        """Raises ConfigError for a value that makes no sense, naming the setting and what it may be."""
        check_numbers(flat(self))
        counts = ("frames", "steps", "checkpoint_steps", "threads", "devices", "nodes", "micro_batches")
        rules = at_least_one(self, *counts)
        moving = self.stream == "motion" or not {"joint", "bone"} & set(self.encoder.input_features)
        rules.append((self.frames > 1 or not moving, "frames", "at least 2, as motion is from one frame to another"))
        left, least = "at least 1, or 0 to have it chosen", self.method.min_clips
        rules += [(getattr(self, name) >= 0, name, left) for name in ("epochs", "batch")]
        reason = (
            f"{least} clips for each micro-batch" if self.pieces > 1 else "as the method compares the clips of a step"
        )
        rules += [
            (len(set(self.exclude_subjects)) == len(self.exclude_subjects), "exclude_subjects", "no repeats"),
            (
                self.batch % self.pieces == 0,
                "batch",
                f"a multiple of devices x nodes x micro_batches ({self.pieces})",
            ),
            (
                not 0 < self.batch < least * self.pieces,
                "batch",
                f"at least {least * self.pieces}, {reason}",
            ),
            (self.minutes is None or self.minutes > 0, "minutes", "more than 0"),
        ]
        self.require([*rules, *self.encoder.rules(), *self.optimiser.rules()])
        self.method.check(self)

    def require(self, rules: Iterable[Rule]) -> None:
        """Raises ConfigError for the first rule that is not kept."""
        enforce(rules, flat(self))


def flat(settings: Any, prefix: str = "") -> dict[str, Any]:
    """Settings as one dictionary with dotted names, as on the command line."""
    of_run = isinstance(settings, PretrainSettings)
    values: dict[str, Any] = {"method": name_of_method(settings.method)} if of_run else {}
    for entry in fields(settings):
        value = getattr(settings, entry.name)
        if of_run and entry.name == "method":
            values |= flat(value)
        elif is_dataclass(value):
            values |= flat(value, f"{prefix}{entry.name}.")
        else:
            values[f"{prefix}{entry.name}"] = list(value) if isinstance(value, tuple) else value
    return values


def to_dict(settings: PretrainSettings) -> dict[str, Any]:
    """Settings as nested plain data, for JSON and YAML; `from_dict` is the inverse."""
    data: dict[str, Any] = {}
    for name, value in flat(settings).items():
        group, _, last = name.rpartition(".")
        (data.setdefault(group, {}) if group else data)[last] = list(value) if isinstance(value, list) else value
    return data


def from_dict(data: Mapping[str, Any]) -> PretrainSettings:
    """The settings that `to_dict` gave; settings that it does not hold have their defaults.

    Raises:
        ConfigError: it holds a setting that does not exist, or one of another method.
    """
    name = data.get("method", USUAL)
    kind, own = method_named(name).settings, method_named(name).names()
    try:
        method = _made(kind, {of: value for of, value in data.items() if of in own})
        return _made(PretrainSettings, {of: value for of, value in data.items() if of not in own} | {"method": method})
    except (TypeError, AttributeError) as error:
        raise ConfigError(f"settings hold something that this version does not know: {error}") from error


def changed(settings: PretrainSettings, changes: Mapping[str, Any]) -> PretrainSettings:
    """The settings with some values changed, by dotted name.

    Raises:
        ConfigError: there is no such setting.
    """
    data = to_dict(settings)
    for name, value in changes.items():
        group, _, last = name.rpartition(".")
        (data.setdefault(group, {}) if group else data)[last] = value
    return from_dict(data)


def _made(kind: type[_Settings], data: Mapping[str, Any]) -> _Settings:
    """The dataclass with these values; groups are dictionaries, and what JSON has as a list may be a tuple.

    What a group does not hold is as the dataclass has it by default, which may be otherwise than the group by itself.
    """
    values = dict(data)
    usual = {entry.name: entry.default_factory for entry in fields(kind) if entry.default_factory is not MISSING}  # type: ignore[arg-type]
    for name, hint in get_type_hints(kind).items():
        if name in values and is_dataclass(hint):
            group = {of.name: getattr(usual[name](), of.name) for of in fields(hint)} if name in usual else {}
            values[name] = _made(hint, group | {**values[name]})  # type: ignore[arg-type]
        elif name in values and get_origin(hint) is tuple and isinstance(values[name], list):
            values[name] = tuple(values[name])
    return kind(**values)
