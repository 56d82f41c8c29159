import pytest
import torch
from torch import nn

from pcm3.settings.pretrain import PretrainSettings
from pcm3.train.distributed import make_fabric


class Looks(nn.Module):
    """Keeps what it was shown, and computes a product of it."""

    def __init__(self):
        super().__init__()
        self.weights = nn.Linear(3, 2)

    def forward(self, shown, *, views):
        self.shown, self.views = shown, views
        self.product = self.weights(shown)
        return self.product


@pytest.mark.parametrize(("precision", "computed"), [("bf16", torch.bfloat16), ("32", torch.float32)])
def test_a_step_sees_its_views_as_they_were_made_and_computes_in_the_precision_asked_for(precision, computed):
    fabric = make_fabric(PretrainSettings(device="cpu", precision=precision))
    module = Looks()
    joints = torch.full((4, 3), 1.001)  # 1 in bfloat16
    shown = fabric.setup(module)(joints, views=[joints])
    torch.testing.assert_close(module.shown, joints, rtol=0, atol=0)
    torch.testing.assert_close(module.views[0], joints, rtol=0, atol=0)
    assert module.product.dtype == computed
    assert shown.dtype == torch.float32
