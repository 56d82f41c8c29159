"""BatchNorm over the clips of all processes, as if one process had them all."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn


class GlobalBatchNorm(nn.BatchNorm1d):
    """BatchNorm1d whose training statistics are those of the whole batch over all processes.

    Every process must bring the same number of rows, in the same order of calls. Two collectives of 2C numbers a call:
    one forward, one backward. Outside training, or alone, it is BatchNorm1d. torch's SyncBatchNorm runs on GPUs only,
    and makes the host wait in every call.
    """

    def forward(self, input: Float[Tensor, "N C"]) -> Float[Tensor, "N C"]:
        """The rows, normalised over those of all processes."""
        if not (self.training and dist.is_initialized() and dist.get_world_size() > 1):
            return super().forward(input)
        normed: Tensor
        normed, mean, variance = _Normalise.apply(input, self.weight, self.bias, self.eps)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            rows = len(input) * dist.get_world_size()
            assert self.running_mean is not None
            assert self.running_var is not None
            assert self.num_batches_tracked is not None
            assert self.momentum is not None
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
            self.running_var.lerp_((variance * (rows / (rows - 1))).to(self.running_var.dtype), self.momentum)
        return normed


def normalise_over_processes(module: nn.Module) -> None:
    """Every BatchNorm1d in the module becomes a `GlobalBatchNorm`, with the same parameters and names."""
    for part in module.modules():
        if type(part) is nn.BatchNorm1d:
            part.__class__ = GlobalBatchNorm  # it has no state of its own, so nothing has to be copied


def norms_with_statistics(module: nn.Module) -> list[nn.BatchNorm1d]:
    """The BatchNorms of the module that have seen a batch: out of training they normalise by what they averaged."""
    norms = (part for part in module.modules() if isinstance(part, nn.BatchNorm1d))
    return [norm for norm in norms if norm.num_batches_tracked]


class _Normalise(torch.autograd.Function):
    """(x - mean) / sqrt(variance + eps) · weight + bias, and mean and variance, which get no gradient."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        # As torch does: statistics in float32 at least, the result in the type of the input.
        wide = rows.to(torch.promote_types(rows.dtype, weight.dtype))
        variance, mean = torch.var_mean(wide, dim=0, correction=0)
        mean, variance = _over_processes(mean, variance)
        scale = (variance + eps).rsqrt()
        ctx.save_for_backward(rows, weight, mean, scale)
        ctx.mark_non_differentiable(mean, variance)
        return torch.addcmul(bias, wide - mean, scale * weight).to(rows.dtype), mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight, mean, scale = ctx.saved_tensors
        gradient = gradients[0].to(mean.dtype)
        normed = (rows.to(mean.dtype) - mean) * scale
        bias_gradient, weight_gradient = gradient.sum(dim=0), (gradient * normed).sum(dim=0)
        if not ctx.needs_input_grad[0]:
            return None, weight_gradient, bias_gradient, None
        # Through the statistics each row moves the rows of every process; those of the parameters DDP adds up.
        count = len(rows) * dist.get_world_size()
        sums = torch.cat([bias_gradient, weight_gradient])
        dist.all_reduce(sums)
        mean_grad, mean_scaled_grad = (sums / count).chunk(2)
        input_grad = (gradient - mean_grad - normed * mean_scaled_grad) * (scale * weight)
        return input_grad.to(rows.dtype), weight_gradient, bias_gradient, None


def _over_processes(
    mean: Float[Tensor, " C"], variance: Float[Tensor, " C"]
) -> tuple[Float[Tensor, " C"], Float[Tensor, " C"]]:
    """Mean and variance of the rows of all processes, from those of each; no difference of large squares."""
    own = torch.cat([mean, variance])
    all_own = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(all_own, own)
    means, variances = torch.stack(all_own).chunk(2, dim=1)
    mean = means.mean(dim=0)
    return mean, (variances + (means - mean).square()).mean(dim=0)
