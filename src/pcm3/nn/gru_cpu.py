"""GRUs over whole sequences on the CPU: what `torch.nn.GRU` computes, nearer to the rate of a plain matrix product.

What belongs to no frame alone is done for all frames at once: the product with the inputs, and in the backward pass
its two products and the one for the recurrent weights (torch makes that one frame by frame). What is left to a frame
is one product and element-wise work on buffers that stay in the cache. GRUs that do not depend on each other (two
halves of a layer, parts of a batch) run side by side, one thread each, and need not wait for each other at every
operation. Products are in the dtype of the weights, or in autocast's; gates and state in float32 at least.

B batch, T frames, I inputs, H width, P GRUs side by side, b rows of a batch. Gates lie as (new, reset, update, the
recurrent part of new), so that the gradients of both products are slices of one buffer.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from pcm3.nn.threads import side_by_side

ROWS = 4096
"""Rows (frames x clips) of a product that is made for many frames at once: enough for its full rate, little memory."""


class Cell(NamedTuple):
    """One GRU of one layer: which way it runs, and torch's parameters (its gate order is reset, update, new)."""

    backward: bool
    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor
    bias_hh: Tensor


def cells_of(gru: nn.GRU, layer: int = 0) -> list[Cell]:
    """The GRUs that a layer of torch's module consists of: one, or two if it is bidirectional."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    return [
        Cell(bool(suffix), *(getattr(gru, f"{name}_l{layer}{suffix}") for name in names))
        for suffix in (("", "_reverse") if gru.bidirectional else ("",))
    ]


def applies_to(inputs: Shaped[Tensor, ...]) -> bool:
    """Whether `gru_layer` takes these inputs: on a CPU, and nobody is tracing the operations (for an export)."""
    return inputs.device.type == "cpu" and not (torch.compiler.is_compiling() or torch._C._get_tracing_state())


def gru_layer(inputs: Float[Tensor, "B T I"], cells: Sequence[Cell]) -> Float[Tensor, "B T PH"]:
    """Outputs of GRUs over the same inputs, side by side, from a state of zeros.

    The same bits twice for the same number of threads; with and without gradients. No second derivatives.
    """
    dtype = _product_dtype(inputs, cells)
    weights = [weight for cell in cells for weight in cell[1:]]
    backward = tuple(cell.backward for cell in cells)
    with torch.autocast("cpu", enabled=False):
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (inputs, *weights)):
            outputs: Tensor = _GRUFunction.apply(inputs, dtype, backward, *weights)  # type: ignore[no-untyped-call]
        else:
            with torch.no_grad():
                outputs, _ = _forward(_time_major(inputs, dtype), cells, keep=False)
        return outputs.transpose(0, 1)


@torch.no_grad()
def gru_step(
    inputs: Float[Tensor, "B I"], cells: Sequence[Cell], state: Float[Tensor, "B PH"]
) -> Float[Tensor, "B PH"]:
    """One frame more: outputs, which are the next state, as `gru_layer` gives them. Without gradients, forward only.

    By torch's fused cell, which for a single frame is five times as fast as what is made for many.
    """
    exact = inputs.to(cells[0].weight_hh.dtype)
    with torch.autocast("cpu", enabled=False):
        halves = zip(cells, state.chunk(len(cells), dim=-1), strict=True)
        return torch.cat([torch.gru_cell(exact, own, *cell[1:]) for cell, own in halves], dim=-1)


def _product_dtype(inputs: Tensor, cells: Sequence[Cell]) -> torch.dtype:
    """That of autocast, or of the weights."""
    autocast = torch.is_autocast_enabled("cpu") and inputs.dtype != torch.float64
    return torch.get_autocast_dtype("cpu") if autocast else cells[0].weight_hh.dtype


class _GRUFunction(torch.autograd.Function):
    """`_forward` with its derivative."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, dtype: torch.dtype, backward: tuple[bool, ...], *weights: Tensor) -> Tensor:
        cells = [Cell(way, *weights[4 * at : 4 * at + 4]) for at, way in enumerate(backward)]
        frames = _time_major(inputs, dtype)
        outputs, gates = _forward(frames, cells, keep=True)
        ctx.save_for_backward(frames, outputs, gates, *weights)
        ctx.ways, ctx.dtype = backward, inputs.dtype
        return outputs

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        frames, outputs, gates, *weights = ctx.saved_tensors
        cells = [Cell(way, *weights[4 * at : 4 * at + 4]) for at, way in enumerate(ctx.ways)]
        with torch.autocast("cpu", enabled=False):
            grads = _gate_grads(grad, outputs, gates, cells)
            of_weights = [
                each
                for at, cell in enumerate(cells)
                for each in _weight_grads(frames, _states_before(outputs, at, cell), grads[:, :, at], cell)
            ]
            of_inputs = _input_grads(grads, cells) if ctx.needs_input_grad[0] else None
        return (None if of_inputs is None else of_inputs.transpose(0, 1).to(ctx.dtype), None, None, *of_weights)


def _forward(
    frames: Float[Tensor, "T B I"], cells: Sequence[Cell], keep: bool
) -> tuple[Float[Tensor, "T B PH"], Float[Tensor, "_ B P H4"]]:
    """Outputs; and gates, of some frames only if they are not to be kept."""
    count, batch, _ = frames.shape
    dtype, width, halves = frames.dtype, cells[0].weight_hh.shape[1], len(cells)
    length = max(1, ROWS // max(batch, 1))
    outputs = frames.new_empty(count, batch, halves * width)
    gates = frames.new_empty(count if keep else min(length, count), batch, halves, 4 * width)
    input_weights = [_input_weights(cell, dtype) for cell in cells]
    weights = [cell.weight_hh.to(dtype) for cell in cells]
    states = torch.zeros(batch, halves * width, dtype=_exact(dtype))
    before = states.to(dtype, copy=True)
    for start in range(0, count, length):
        stop = min(start + length, count)
        parts = [slice(count - stop, count - start) if cell.backward else slice(start, stop) for cell in cells]
        chunks = [gates[part if keep else slice(stop - start)][:, :, at] for at, part in enumerate(parts)]
        for part, chunk, (weight, bias) in zip(parts, chunks, input_weights, strict=True):
            # Written where the gates will be, without another copy.
            torch.addmm(bias, _rows(frames[part]), weight.t(), out=_rows(chunk)[:, : 3 * width])

        def run(
            at: int,
            rows: slice,
            parts: list[slice] = parts,
            chunks: list[Tensor] = chunks,
        ) -> None:
            own = slice(at * width, (at + 1) * width)
            step = -1 if cells[at].backward else 1
            bias = cells[at].bias_hh[2 * width :].to(states.dtype)
            of_frames = chunks[at][:, rows], outputs[parts[at], rows, own]
            _step_frames(*of_frames, step, before[rows, own], states[rows, own], weights[at].t(), bias)

        side_by_side(run, halves, batch)
    return outputs, gates


def _step_frames(
    gates: Float[Tensor, "T b H4"],
    outputs: Float[Tensor, "T b H"],
    step: int,
    before: Float[Tensor, "b H"],
    state: Float[Tensor, "b H"],
    weight: Float[Tensor, "H H3"],
    bias: Float[Tensor, " H"],
) -> None:
    """Step a GRU through frames; fill in gates and outputs.

    Args:
        gates: the inputs' part in the first 3H.
        outputs: of these frames.
        step: 1, or -1 if the last frame comes first.
        before: the output before these frames; becomes that of the last.
        state: the same, exact.
        weight: of the state.
        bias: of the recurrent part of the new gate.
    """
    rows, width = state.shape
    product = before.new_empty(rows, 3 * width)
    product_both, product_new = product[:, : 2 * width], product[:, 2 * width :]
    minus_one, last = torch.tensor(-1.0, dtype=state.dtype), before
    exact = before.dtype == state.dtype
    buffer = gates if exact else state.new_empty(1, rows, 4 * width)
    in_order = zip(gates.unbind()[::step], outputs.unbind()[::step], _gate_views(buffer, step), strict=False)
    for kept, output, (values, both, new, reset, update, recurrent) in in_order:
        torch.mm(last, weight, out=product)
        if not exact:
            values.copy_(kept)
        both.add_(product_both).sigmoid_()
        torch.add(product_new, bias, out=recurrent)
        # tanh(x) = 2 sigmoid(2x) - 1: many times as fast here. The inputs' part comes doubled, from their weights.
        new.addcmul_(reset, recurrent, value=2).sigmoid_()
        torch.add(minus_one, new, alpha=2, out=new)
        if exact:
            torch.lerp(new, last, update, out=output)
        else:
            output.copy_(torch.lerp(new, state, update, out=state))
            kept.copy_(values)
        last = output
    before.copy_(last)


def _gate_views(gates: Float[Tensor, "T b H4"], step: int) -> Iterator[tuple[Tensor, ...]]:
    """All, (reset, update), new, reset, update, recurrent of gates (T, b, 4H), frame by frame; T = 1: for ever."""
    new, reset, update, recurrent = gates.chunk(4, dim=-1)
    both = gates[..., new.shape[-1] : 3 * new.shape[-1]]
    views = zip(*(part.unbind()[::step] for part in (gates, both, new, reset, update, recurrent)), strict=True)
    return itertools.cycle(views) if len(gates) == 1 else views


def _gate_grads(
    grad: Float[Tensor, "T B PH"],
    outputs: Float[Tensor, "T B PH"],
    gates: Float[Tensor, "T B P H4"],
    cells: Sequence[Cell],
) -> Float[Tensor, "T B P H4"]:
    """Gradient of the outputs → of the gates before their non-linearities."""
    grads, width = torch.empty_like(gates), gates.shape[-1] // 4
    # As (out, in), transposed: the layout in which a product needs not order its weights anew.
    weights = [cell.weight_hh.to(gates.dtype).t().contiguous() for cell in cells]

    def run(at: int, rows: slice) -> None:
        own = slice(at * width, (at + 1) * width)
        step = 1 if cells[at].backward else -1
        of_frames = grad[:, rows, own], outputs[:, rows, own], gates[:, rows, at], grads[:, rows, at]
        _step_back(*of_frames, step, weights[at].t())

    side_by_side(run, len(cells), grad.shape[1])
    return grads


def _step_back(
    grad: Float[Tensor, "T b H"],
    outputs: Float[Tensor, "T b H"],
    gates: Float[Tensor, "T b H4"],
    grads: Float[Tensor, "T b H4"],
    step: int,
    weight: Float[Tensor, "H3 H"],
) -> None:
    """Step back through the frames: gradient of the outputs → of the gates, written into `grads`.

    Args:
        grad: of the outputs.
        outputs: as `_forward` gave them.
        gates: of these frames.
        grads: filled in.
        step: -1, or 1 for a GRU that runs backward: the frame that it saw last comes first here.
        weight: of the state.
    """
    rows, width = outputs.shape[1:]
    dtype = _exact(gates.dtype)
    exact = gates.dtype == dtype
    carried, passed, other, total = (torch.zeros(rows, width, dtype=dtype) for _ in range(4))
    product = gates.new_empty(rows, width)
    buffer, results = (gates, grads) if exact else torch.empty(2, 1, rows, 4 * width, dtype=dtype).unbind()
    states = outputs.unbind()[::step]
    targets, of_state = grads.unbind()[::step], grads[..., width:].unbind()[::step]
    in_order = zip(
        grad.unbind()[::step],
        [*states[1:], torch.zeros_like(states[0])],
        gates.unbind()[::step],
        targets,
        of_state,
        _gate_views(buffer, step),
        _gate_views(results, step),
        strict=False,
    )
    for above, before, kept, target, target_of_state, values, result in in_order:
        if not exact:
            values[0].copy_(kept)
        _, _, new, reset, update, recurrent = values
        _, _, new_grad, reset_grad, update_grad, recurrent_grad = result
        torch.add(carried, above, out=total)
        torch.sub(before, new, out=other).mul_(total)
        torch.addcmul(update, update, update, value=-1, out=update_grad).mul_(other)
        torch.mul(total, update, out=passed)
        total.sub_(passed)
        torch.mul(total, new, out=other)
        torch.addcmul(total, other, new, value=-1, out=new_grad)
        torch.mul(new_grad, reset, out=recurrent_grad)
        # d reset = d new · recurrent · reset (1 - reset)
        torch.addcmul(recurrent_grad, recurrent_grad, reset, value=-1, out=reset_grad).mul_(recurrent)
        if not exact:
            target.copy_(result[0])
        torch.mm(target_of_state, weight, out=product)
        torch.add(passed, product, out=carried)


def _weight_grads(
    frames: Float[Tensor, "T B I"], before: tuple[Tensor, slice], grads: Float[Tensor, "T B H4"], cell: Cell
) -> list[Tensor]:
    """Gradients of a cell's four parameters, from those of its gates."""
    width = grads.shape[-1] // 4
    states, part = before
    of_inputs = _summed_product(grads[..., : 3 * width], frames)
    of_states = _summed_product(grads[part][..., width:], states)
    of_bias = _column_sums(grads)
    of_inputs = torch.cat([of_inputs[width:], of_inputs[:width]])  # in torch's order of the gates
    of_input_bias = torch.cat([of_bias[width : 3 * width], of_bias[:width]])
    both = zip((of_inputs, of_states, of_input_bias, of_bias[width:]), cell[1:], strict=True)
    return [grad.to(weight.dtype) for grad, weight in both]


def _states_before(outputs: Float[Tensor, "T B PH"], at: int, cell: Cell) -> tuple[Tensor, slice]:
    """Outputs of a cell that are the state before another frame, (T - 1, B, H), and those frames."""
    width = cell.weight_hh.shape[1]
    own = outputs[..., at * width : (at + 1) * width]
    return (own[1:], slice(None, -1)) if cell.backward else (own[:-1], slice(1, None))


def _input_grads(grads: Float[Tensor, "T B P H4"], cells: Sequence[Cell]) -> Float[Tensor, "T B I"]:
    """Gradient of the inputs."""
    count, batch, _, width = grads.shape
    inputs = cells[0].weight_ih.shape[1]
    result = grads.new_empty(count * batch, inputs)
    for at, cell in enumerate(cells):
        weight = _new_first(cell.weight_ih).to(grads.dtype).t().contiguous()
        own = _rows(grads[:, :, at])[:, : 3 * width // 4]
        if at == 0:
            torch.mm(own, weight.t(), out=result)
        else:
            result.addmm_(own, weight.t())
    return result.view(count, batch, inputs)


def _summed_product(left: Float[Tensor, "T B N"], right: Float[Tensor, "T B K"]) -> Float[Tensor, "N K"]:
    """Σ over frames and clips of left ⊗ right, summed exactly over parts of `ROWS`."""
    left, right = _rows(left), _rows(right)
    total = torch.zeros(left.shape[1], right.shape[1], dtype=_exact(left.dtype))
    for some, others in zip(left.split(ROWS), right.split(ROWS), strict=True):
        total += some.t() @ others
    return total


def _column_sums(grads: Float[Tensor, "T B N"]) -> Float[Tensor, " N"]:
    """Σ over frames and clips."""
    total = torch.zeros(grads.shape[-1], dtype=_exact(grads.dtype))
    for some in _rows(grads).split(ROWS):
        total += some.sum(dim=0)
    return total


def _input_weights(cell: Cell, dtype: torch.dtype) -> tuple[Float[Tensor, "H3 I"], Float[Tensor, " H3"]]:
    """Weight and bias of the inputs for gates in our order; those of the new gate doubled."""
    width = cell.weight_hh.shape[1]
    weight, bias = _new_first(cell.weight_ih), cell.bias_ih.clone()
    bias[: 2 * width] += cell.bias_hh[: 2 * width]
    bias = _new_first(bias)
    weight[:width] *= 2
    bias[:width] *= 2
    return weight.to(dtype), bias.to(dtype)


def _new_first(weight: Float[Tensor, "H3 ..."]) -> Float[Tensor, "H3 ..."]:
    """Torch's gate order (reset, update, new) → ours (new, reset, update), a copy."""
    width = len(weight) // 3
    return torch.cat([weight[2 * width :], weight[: 2 * width]])


def _time_major(inputs: Float[Tensor, "B T I"], dtype: torch.dtype) -> Float[Tensor, "T B I"]:
    """The same, contiguous; the same memory if it is another layer's output."""
    frames = inputs.detach().transpose(0, 1)
    if frames.is_contiguous() and frames.dtype == dtype:
        return frames
    return torch.empty(frames.shape, dtype=dtype).copy_(frames)


def _rows(frames: Float[Tensor, "T B N"]) -> Float[Tensor, "TB N"]:
    """The frames' rows, one after the other; a view where B is whole."""
    return frames.flatten(0, 1)


def _exact(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32
