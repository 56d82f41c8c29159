"""In a step the host asks the device for nothing: no number, no size, no copy to or fro. Checked without a GPU.

On the CPU a step must run none of the operations whose result the host has to wait for. On `meta`, where tensors have a
device and no values, a step must run at all, and no operation may see tensors of two devices.
"""

from contextlib import nullcontext

import pytest
import torch
from in_processes import ALONE
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from pcm3.clips import ClipBank
from pcm3.methods.build import build_method
from pcm3.methods.protocol import Progress
from pcm3.train.loop import Learner, MicroBatch, generator_for, train_step
from pcm3.train.metrics_log import Metrics
from pcm3.train.plan import training_clips

MIDDLE = Progress(step=20, epoch=2, share=0.5)
FORBIDDEN = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "is_nonzero", "equal.default", "bincount")
ASKED = (torch.tensor, torch.as_tensor, torch.from_numpy, torch.Tensor.tolist, torch.Tensor.item, torch.Tensor.numpy)
SETTINGS = [
    {},
    {"optimiser.kind": "adam", "encoder.direction": "bidirectional", "prompts.domain": "after_norm"},
    {"views.spatial": "both", "mask.per_clip": True, "mask.bodies": "all", "prompts.place": "channels",
     "objective.prediction_error": "distance", "objective.predicted_view": "whole"},
    {"mix.per_clip": True, "mask.kind": "random", "encoder.pooling": "mean", "micro_batches": 2},
    {"stream": "bone", "objective.distillation_weight": 0.0, "objective.decoder_gradient": False,
     "prompts.kind": "none", "optimiser.kind": "adamw"},
    {"stream": "motion", "objective.positives": ["intra"], "objective.prediction_weight": 0.0,
     "optimiser.kind": "sgd"},
    {"method": "moco"},
    {"method": "cmd", "micro_batches": 2},
    {"method": "crossclr"},
    {"method": "aimclr", "extreme.reverse_prob": 0.1},
    {"method": "gl-transformer", "encoder.dropout": 0.1},
    {"method": "h-transformer"},
    {"method": "halp"},
    {"method": "hiclr"},
    {"method": "hico", "objective.projector_norm": True},
    {"method": "cpm"},
    {"method": "hysp"},
    {"method": "isc"},
    {"method": "skelemixclr", "paste.count": 2},
    {"method": "pstl", "frames": 16},
    {"method": "crrl", "encoder.layers": 2, "encoder.dropout": 0.2, "encoder.pooling": "mean"},
    {"method": "longt-gan", "micro_batches": 2, "optimiser.max_grad_norm": 1.0, "optimiser.kind": "adam"},
    {"method": "mamp", "views.tilt": 15.0, "optimiser.kind": "adamw"},
    {"method": "ms2l", "micro_batches": 2},
    {"method": "pc", "optimiser.max_grad_norm": 1.0},
    {"views.yaw": 30.0, "views.bone_scale": 0.2, "views.flip_prob": 0.5, "views.jitter_prob": 0.2,
     "views.noise": 0.02, "views.flicker": 0.1, "mask.choice": "motion", "mask.per_clip": True,
     "encoder.input_features": ["joint", "bone", "motion", "motion4"], "encoder.pooling": "mean_max",
     "objective.negatives": "batch", "objective.projector_norm": True, "objective.prediction_error": "normalised"},
]  # fmt: skip


def own_end(changes):
    """Whether a step ends with something that `meta` has not, or is that of a method of several parts: the rest goes
    through the same there, and on the CPU by soaking.
    """
    return any(name.startswith("optimiser.") for name in changes) or changes.get("method", "") in ("", "halp")


class HostWaitsError(AssertionError):
    """Something asked the device."""


class NothingAsked(TorchDispatchMode):
    """Refuses what makes the host wait, and what takes tensors of two devices."""

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        name = str(op)
        if any(word in name for word in FORBIDDEN):
            raise HostWaitsError(name)
        given = [x for x in tree_iter((args, kwargs)) if isinstance(x, torch.Tensor)]
        chosen = tree_iter(args[1]) if name.startswith(("aten.index.", "aten.index_put")) else ()
        if any(isinstance(x, torch.Tensor) and x.dtype in (torch.bool, torch.uint8) for x in chosen):
            raise HostWaitsError(f"{name} by booleans, whose number is not known")
        out = op(*args, **(kwargs or {}))
        # A number that torch itself made of a Python number goes along with the call of a kernel.
        devices = {x.device for x in given if x.dim()} | {
            x.device for x in tree_iter(out) if isinstance(x, torch.Tensor)
        }
        if len(devices) > 1 and name != "aten.scalar_tensor.default":
            raise HostWaitsError(f"{name} with tensors on {devices}")
        return out


def parts_of(index):
    """The parts of an index."""
    return index if isinstance(index, tuple) else (index,)


class NothingSent(TorchFunctionMode):
    """Refuses tensors made of Python's or NumPy's numbers, which a device waits for, and the way back."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function in ASKED:
            raise HostWaitsError(f"{function.__name__} in a step")
        if function is torch.Tensor.__getitem__ and any(isinstance(part, list) for part in parts_of(args[1])):
            raise HostWaitsError("an index that is a list, which has to be sent")
        return function(*args, **(kwargs or {}))


def step_of(store, settings, spec, device):
    """What makes one step: the parts of the batch and all else on the device."""
    torch.manual_seed(0)
    clips = training_clips(store, settings)
    method = build_method(spec.build, store.layout, settings).train()
    if device.type == "meta":
        for module in method.modules():
            for owned in (module._parameters, module._buffers):
                for name, tensor in ((name, tensor) for name, tensor in owned.items() if tensor is not None):
                    moved = torch.empty_like(tensor, device=device)
                    learns = tensor.requires_grad
                    owned[name] = torch.nn.Parameter(moved, learns) if owned is module._parameters else moved
    optimisers = method.optimisers(settings.optimiser)
    bank = ClipBank.of(store, settings.stream, settings.frames, device)
    numbers = torch.from_numpy(clips[: settings.batch // settings.micro_batches])
    return Learner(method, method, optimisers), bank.batch(numbers.to(device))


@pytest.mark.parametrize(
    "changes",
    [pytest.param(changes, marks=() if own_end(changes) else pytest.mark.soak) for changes in SETTINGS],
    ids=str,
)
def test_a_step_runs_nothing_that_the_host_has_to_wait_for(store, tiny, tiny_spec, changes):
    settings, device = tiny({"protocol": "xsub"} | changes), torch.device("cpu")
    learner, clips = step_of(store, settings, tiny_spec(settings), device)
    metrics = Metrics(None, 0)
    for step in (1, 2):
        parts = [MicroBatch(clips, generator_for(0, step, 0, device, part)) for part in range(settings.micro_batches)]
        with NothingAsked() if step > 1 else nullcontext():  # the first may fill what is kept
            metrics.add(step, train_step(ALONE, learner, parts, MIDDLE))
    assert metrics.flush()["loss"] != 0  # that of HaLP may be less


class MetaGenerator(torch.Generator):
    """A generator that says it is on `meta`, for which torch has none."""

    device = torch.device("meta")


WHOLE_GRU = torch._VF.gru


def gru_of_the_first_frame(x, *rest):
    """As if the first frame came again and again: torch goes through the others by itself, and slowly on `meta`."""
    *_, batch_first = rest
    time = 1 if batch_first else 0
    out, last = WHOLE_GRU(x.narrow(time, 0, 1), *rest)
    shape = list(out.shape)
    shape[time] = x.shape[time]
    return out.expand(shape), last


def watched_step(learner, parts):
    with NothingSent(), NothingAsked():
        return train_step(ALONE, learner, parts, MIDDLE)


@pytest.mark.parametrize("changes", SETTINGS, ids=str)
def test_everything_in_a_step_happens_on_the_device_of_the_clips(store, tiny, tiny_spec, changes, monkeypatch):
    settings, device = tiny({"protocol": "xsub"} | changes), torch.device("meta")
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # it has no such device
    for kind in ("SGD", "Adam", "AdamW"):
        monkeypatch.setattr(torch.optim, kind, lambda learning, lr, **_: torch.optim.ASGD(learning, lr, foreach=True))
    monkeypatch.setattr(torch._VF, "gru", gru_of_the_first_frame)
    monkeypatch.setattr(torch.optim.ASGD, "step", lambda self: None)  # no fused kernel; the test above has it
    learner, clips = step_of(store, settings, tiny_spec(settings), device)
    parts = [MicroBatch(clips, MetaGenerator()) for _ in range(settings.micro_batches)]
    try:
        terms = watched_step(learner, parts)
    except HostWaitsError:  # what is kept from then on may be sent once
        train_step(ALONE, learner, parts, MIDDLE)
        terms = watched_step(learner, parts)
    assert {term.device for term in terms.values()} == {device}


def ask_for_a_number(x):
    return float(x.sum())


def ask_for_a_size(x):
    return x[x > 0]


def ask_whether(x):
    return 1 if x.sum() > 0 else 0


def bring_a_list(x):
    return x + torch.tensor([1.0, 2.0, 3.0])


def choose_by_a_list(x):
    return x[..., [0, 2]]


@pytest.mark.parametrize("asked", [ask_for_a_number, ask_for_a_size, ask_whether, bring_a_list, choose_by_a_list])
def test_the_watchers_see_what_they_are_for(asked):
    with pytest.raises(HostWaitsError), NothingSent(), NothingAsked():
        asked(torch.ones(3))
