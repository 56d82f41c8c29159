"""BatchNorm over the clips of all processes, as if one process had them all."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn


class GlobalBatchNorm(nn.BatchNorm1d):
    """BatchNorm1d whose training statistics are those of the whole batch over all processes.

    Every process must make the same calls in the same order; how many rows each brings may differ, as where clips have
    lengths. Two collectives of 2C + 1 numbers a call: one forward, one backward. Outside training, or alone, it is
    BatchNorm1d. torch's SyncBatchNorm runs on GPUs only, and makes the host wait in every call.
    """

    def forward(self, input: Float[Tensor, "N C"]) -> Float[Tensor, "N C"]:
        """The rows, normalised over those of all processes."""
        return _normalised(self, input) if _is_shared(self) else super().forward(input)


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm2d likewise: a row is what the C channels hold at a place."""

    def forward(self, input: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C H W"]:
        """The channels, normalised over all places in those of all processes."""
        if not _is_shared(self):
            return super().forward(input)
        last = input.movedim(1, -1)
        return _normalised(self, last.flatten(0, -2)).view(last.shape).movedim(-1, 1)


GLOBAL: dict[type[nn.Module], type[nn.Module]] = {nn.BatchNorm1d: GlobalBatchNorm, nn.BatchNorm2d: GlobalBatchNorm2d}


def normalise_over_processes(module: nn.Module) -> None:
    """Every BatchNorm in the module normalises over all processes, with the same parameters and names."""
    for part in module.modules():
        if type(part) in GLOBAL:
            part.__class__ = GLOBAL[type(part)]  # it has no state of its own, so nothing has to be copied


def norms_with_statistics(module: nn.Module) -> list[nn.BatchNorm1d | nn.BatchNorm2d]:
    """The BatchNorms of the module that have seen a batch: out of training they normalise by what they averaged."""
    norms = (part for part in module.modules() if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d))
    return [norm for norm in norms if norm.num_batches_tracked]


def _is_shared(norm: nn.Module) -> bool:
    """Whether there are other processes to normalise with."""
    return norm.training and dist.is_initialized() and dist.get_world_size() > 1


def _normalised(norm: nn.BatchNorm1d | nn.BatchNorm2d, rows: Float[Tensor, "N C"]) -> Float[Tensor, "N C"]:
    """The rows over those of all processes; the running statistics follow."""
    normed: Tensor
    normed, mean, variance, count = _Normalise.apply(rows, norm.weight, norm.bias, norm.eps)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert norm.num_batches_tracked is not None
        assert norm.momentum is not None
        norm.num_batches_tracked.add_(1)
        norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), norm.momentum)
        norm.running_var.lerp_((variance * (count / (count - 1))).to(norm.running_var.dtype), norm.momentum)
    return normed


class _Normalise(torch.autograd.Function):
    """(x - mean) / sqrt(variance + eps) · weight + bias; mean, variance and number of rows, without gradient."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, ...]:
        # As torch does: statistics in float32 at least, the result in the type of the input.
        wide = rows.to(torch.promote_types(rows.dtype, weight.dtype))
        variance, mean = torch.var_mean(wide, dim=0, correction=0)
        mean, variance, count = _over_processes(mean, variance, len(rows))
        scale = (variance + eps).rsqrt()
        ctx.save_for_backward(rows, weight, mean, scale, count)
        ctx.mark_non_differentiable(mean, variance, count)
        return torch.addcmul(bias, wide - mean, scale * weight).to(rows.dtype), mean, variance, count

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight, mean, scale, count = ctx.saved_tensors
        gradient = gradients[0].to(mean.dtype)
        normed = (rows.to(mean.dtype) - mean) * scale
        bias_gradient, weight_gradient = gradient.sum(dim=0), (gradient * normed).sum(dim=0)
        if not ctx.needs_input_grad[0]:
            return None, weight_gradient, bias_gradient, None
        # Through the statistics each row moves the rows of every process; those of the parameters DDP adds up.
        sums = torch.cat([bias_gradient, weight_gradient])
        dist.all_reduce(sums)
        mean_grad, mean_scaled_grad = (sums / count).chunk(2)
        input_grad = (gradient - mean_grad - normed * mean_scaled_grad) * (scale * weight)
        return input_grad.to(rows.dtype), weight_gradient, bias_gradient, None


def _over_processes(
    mean: Float[Tensor, " C"], variance: Float[Tensor, " C"], rows: int
) -> tuple[Float[Tensor, " C"], Float[Tensor, " C"], Float[Tensor, ""]]:
    """Mean and variance of the rows of all processes, from those of each, and how many they are; no difference of
    large squares.
    """
    own = torch.cat([mean, variance, mean.new_full((1,), rows)])
    all_own = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(all_own, own)
    means, variances, counts = torch.stack(all_own).split([len(mean), len(mean), 1], dim=1)
    count = counts.sum()
    share = counts / count
    mean = (share * means).sum(dim=0)
    return mean, (share * (variances + (means - mean).square())).sum(dim=0), count
