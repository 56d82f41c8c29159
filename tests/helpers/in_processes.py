"""Processes beside each other, as torchrun starts them; and the same steps in one process or in several.

The steps are in float64, from views that are given and not drawn, so that they can be told apart from rounding.
"""

import os
import socket
import warnings
from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace

import torch
from forks import fork
from torch import nn
from toy import (
    BEGINNING,
    toy_aimclr,
    toy_batch,
    toy_cmd,
    toy_cpm,
    toy_crossclr,
    toy_crrl,
    toy_gl_transformer,
    toy_h_transformer,
    toy_halp,
    toy_hiclr,
    toy_hico,
    toy_hysp,
    toy_isc,
    toy_longt_gan,
    toy_mamp,
    toy_method,
    toy_moco,
    toy_ms2l,
    toy_pc,
    toy_pstl,
    toy_skelemixclr,
    toy_views,
)

from pcm3.cli import main
from pcm3.clips import ClipBatch
from pcm3.encoders.input_norm import SharedScale
from pcm3.encoders.lengths import own_frames
from pcm3.encoders.stgcn import StgcnBlock
from pcm3.methods.pcm3_views import Views
from pcm3.report import pictures
from pcm3.settings.optimiser import OptimiserSettings
from pcm3.settings.pretrain import PretrainSettings
from pcm3.train.distributed import make_fabric
from pcm3.train.loop import Learner, MicroBatch, train_step
from pcm3.train.sync_batch_norm import normalise_over_processes

STEPS, CLIPS = 3, 8
ALONE = SimpleNamespace(
    device=torch.device("cpu"), world_size=1, global_rank=0, backward=lambda loss, **how: loss.backward(**how),
    no_backward_sync=lambda _: nullcontext(), broadcast=lambda thing, src=0: thing,
)  # fmt: skip
"""What a step needs of Fabric, for one process."""


def start(target, *words, ranks=2):
    """Processes that have imported torch already, each told its rank as torchrun does; target(*words) in each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [fork(as_rank, rank, ranks, port, target, words) for rank in range(ranks)]


def as_rank(rank, ranks, port, target, words):
    """Calls the target where the environment says what torchrun's would."""
    told = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "WORLD_SIZE": ranks, "LOCAL_WORLD_SIZE": ranks}
    told |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test"}
    os.environ.update({name: str(value) for name, value in told.items()})
    torch.set_num_threads(1)
    return target(*words)


def without_picture(words):
    """The command, but for the curve of the loss, which it draws last of all."""
    pictures.loss_curve = lambda *_: None
    return main(words)


def finish(processes, seconds=90):
    """The exit codes, once all have ended; those that do not in time are killed."""
    for process in processes:
        process.join(seconds)
        if process.is_alive():
            process.kill()
            process.join()
    return [process.exitcode for process in processes]


def views_of_step(number):
    """Views of eight clips; partners are the two even or the two odd ones of each half of the batch."""
    views = toy_views(CLIPS, seed=number)
    partner = torch.arange(CLIPS) ^ 2  # so they stay together, however the batch is parted
    mixed = views.mixed._replace(partner=partner, clips=views.mixed.clips.double(), ratio=views.mixed.ratio.double())
    plain = {name: getattr(views, name).double() for name in ("query", "key", "source", "observed")}
    return views._replace(mixed=mixed, **plain)


def some_of(views, clips):
    """The views of these clips alone, the partners counted among them."""
    if isinstance(views, dict):
        return {name: some_of(of, clips) for name, of in views.items()}
    place = torch.full((CLIPS,), -1)
    place[clips] = torch.arange(len(clips))
    if not isinstance(views, Views):
        some = {name: view[clips] for name, view in views._asdict().items()}
        if "partner" in some:
            some["partner"] = place[some["partner"]]
        return type(views)(**some)
    mixed = views.mixed
    partner = place[mixed.partner[clips]]
    assert (partner >= 0).all(), "the partner is elsewhere"
    mixed = mixed._replace(clips=mixed.clips[clips], partner=partner, ratio=mixed.ratio[clips])
    plain = {name: getattr(views, name)[clips] for name in ("query", "key", "source", "observed", "masked")}
    return views._replace(mixed=mixed, **plain)


def some_steps(
    fabric, micro_batches, over_all=True, setup=lambda *both: both, views_of=views_of_step, method=None, steps=STEPS
):
    """What some steps come to: gradients and terms of each, and the method's state after them.

    Args:
        fabric: or what stands for it.
        micro_batches: lists of the clips of each micro-batch of this process.
        over_all: BatchNorm over all processes.
        setup: Fabric's.
        views_of: number of a step → views of the whole batch.
        method: default: PCM³.
        steps: how many.
    """
    method = (method or toy_method(queue=20)).double().train()
    if over_all:
        normalise_over_processes(method)
    optimisers = method.optimisers(OptimiserSettings(lr=0.1, weight_decay=0.0))
    module, *wrapped_optimisers = setup(method, *optimisers.values())
    learner = Learner(method, module, dict(zip(optimisers, wrapped_optimisers, strict=True)))
    found = {"gradients": [], "terms": []}
    for number in range(steps):
        views, generator = views_of(number), torch.Generator()
        method.views = lambda batch, _, of=views: some_of(of, batch.index)
        given = [MicroBatch(clips_numbered(torch.tensor(clips)), generator) for clips in micro_batches]
        found["terms"].append(train_step(fabric, learner, given, BEGINNING))
        found["gradients"].append({name: p.grad.clone() for name, p in method.named_parameters() if p.grad is not None})
    return found | {"state": method.state_dict()}


def clips_numbered(index):
    """A batch of which the numbers of the clips are all that counts."""
    return ClipBatch(torch.zeros(1, 1, 1, 3), torch.zeros_like(index), torch.ones_like(index), index, gaps=False)


CASES = {"whole": (1, True), "in micro-batches": (2, True), "each its own": (1, False)}
"""Case of PCM³ → (micro-batches of each process, BatchNorm over all processes)."""
APART = {"ms2l", "pstl"}
"""Methods that tell the clips of a micro-batch from each other, so that each process has its own."""
OTHERS = {
    # the share that it drops is of each process's own clips
    "aimclr": partial(toy_aimclr, queue=20, begin=0.0, drop_threshold=1.0),
    "moco": partial(toy_moco, queue=20),
    "cmd": partial(toy_cmd, queue=20),
    "crossclr": partial(toy_crossclr, queue=20, begin=0.0),
    "cpm": partial(toy_cpm, queue=20, begin=0.0),
    "crrl": partial(toy_crrl, queue=20, frames=8),
    "gl-transformer": partial(toy_gl_transformer, length="resampled"),
    "h-transformer": toy_h_transformer,
    "halp": partial(toy_halp, queue=20),  # its positives, which come later, are of each process's own draws
    "hiclr": partial(toy_hiclr, queue=20, begin=0.0),
    "hico": partial(toy_hico, queue=20),
    "hysp": toy_hysp,
    "isc": partial(toy_isc, queue=20),
    "longt-gan": toy_longt_gan,
    "mamp": toy_mamp,
    "ms2l": toy_ms2l,
    "pstl": toy_pstl,
    "skelemixclr": partial(toy_skelemixclr, queue=20),
    "pc": partial(toy_pc, frames=4),  # more would grow, and their rounding with them, at the rate of these steps
}
"""Method → a small one; in these the clips of a batch meet in BatchNorm and queue alone, but for those of `APART`."""


def two_steps_of(name, fabric, micro_batches, setup=lambda *both: both):
    """Two steps of another method, with BatchNorm over all processes where that makes them one."""
    method = OTHERS[name]()

    def views_of(number):
        views = type(method).views(method, *toy_batch(CLIPS, seed=number))
        if "partner" in getattr(views, "_fields", ()):
            views = views._replace(partner=(torch.arange(CLIPS) ^ 2)[:, None].expand_as(views.partner))
        return in_float64(views)

    return some_steps(fabric, micro_batches, name not in APART, setup=setup, views_of=views_of, method=method, steps=2)


NORMED = {
    "rows": lambda: nn.BatchNorm1d(3),
    "inputs": lambda: SharedScale(1),
    "block": lambda: StgcnBlock((0, 0, 1), 3, 4, 2, residual=True, dropout=0.0),
}
"""Case → a module with BatchNorms; those of rows, of inputs of a frame, and of a block of a graph."""


def normed(case, clips, over_all=True):
    """What a module makes of some of eight clips of different lengths, and what it learns from it.

    As DDP would, the gradients of parameters are to be added up over the processes.
    """
    torch.manual_seed(3)
    module = NORMED[case]().double().train()
    if over_all:
        normalise_over_processes(module)
    generator = torch.Generator().manual_seed(4)
    given = torch.randn(8, 3, 6, 3, generator=generator, dtype=torch.float64)
    weight = torch.randn(8, 4, 3, 3, generator=generator, dtype=torch.float64)
    own = own_frames(torch.tensor([6, 2, 1, 5, 3, 3, 4, 6]), 6)
    rows = given[clips].requires_grad_()
    if case in ("rows", "inputs"):
        told = module(rows.movedim(1, -1)[own[clips]].flatten(0, 1))
        loss = (told * told.detach().sign().exp()).square().sum()
    else:
        told = module(rows, own[clips])
        loss = (told * weight[clips]).sum()
    loss.backward()
    return {"told": told.detach(), "grad": rows.grad, "state": module.state_dict(),
            "learned": {name: p.grad for name, p in module.named_parameters()}}  # fmt: skip


def normed_by_two(folder):
    """Every case of `NORMED`, as one of two processes, of three clips and of five."""
    make_fabric(PretrainSettings(devices=2, device="cpu", precision="32"))
    rank = int(os.environ["RANK"])
    for case in NORMED:
        torch.save(normed(case, [slice(0, 3), slice(3, 8)][rank]), folder / f"{case} {rank}.pt")


def in_float64(views):
    if isinstance(views, dict):
        return {name: in_float64(of) for name, of in views.items()}
    return type(views)(*(of.double() if of.is_floating_point() else of for of in views))


def three_steps_of_two(folder):
    """Every case, as one of two processes."""
    fabric = make_fabric(PretrainSettings(devices=2, device="cpu", precision="32"))
    torch.save(warned_of_strides(fabric), folder / f"warned {fabric.global_rank}.pt")
    mine = torch.arange(CLIPS)[fabric.global_rank :: 2]
    for case, (count, over_all) in CASES.items():
        chunks = [chunk.tolist() for chunk in mine.chunk(count)]
        found = some_steps(fabric, chunks, over_all, fabric.setup)
        torch.save(found, folder / f"{case} {fabric.global_rank}.pt")
    for name in OTHERS:
        found = two_steps_of(name, fabric, [mine.tolist()], fabric.setup)
        torch.save(found, folder / f"{name} {fabric.global_rank}.pt")


def warned_of_strides(fabric):
    """What is warned of where the gradient of a 1×1 convolution lies otherwise than its weights, as in the A-GCN.

    First of all: torch warns of it once in a process.
    """
    network = fabric.setup(nn.Conv2d(8, 16, 1))
    with warnings.catch_warnings(record=True) as told:
        network(torch.ones(64, 12, 20, 8).permute(0, 3, 1, 2)).sum().backward()
    return [str(warning.message) for warning in told]
