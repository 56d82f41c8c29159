"""How methods end that have one encoder and one optimiser: what is moved by gradients, what follows, what is left."""

import pytest
import torch
from toy import (
    BEGINNING,
    toy_aimclr,
    toy_batch,
    toy_cpm,
    toy_crrl,
    toy_gl_transformer,
    toy_h_transformer,
    toy_halp,
    toy_hiclr,
    toy_hico,
    toy_hysp,
    toy_longt_gan,
    toy_mamp,
    toy_moco,
    toy_ms2l,
    toy_pc,
    toy_pstl,
    toy_skelemixclr,
)

from pcm3.methods.protocol import Method, Progress
from pcm3.settings.optimiser import OptimiserSettings

LATE = Progress(step=9, epoch=9, share=0.9)
BRANCHES = {
    "moco": toy_moco, "aimclr": toy_aimclr, "cpm": toy_cpm, "halp": toy_halp, "hiclr": toy_hiclr,
    "skelemixclr": toy_skelemixclr,
}  # fmt: skip
"""Methods of one momentum branch."""
ONLINE = {"mamp": toy_mamp, "ms2l": toy_ms2l, "longt-gan": toy_longt_gan, "pc": toy_pc, "pstl": toy_pstl}
"""Those without a moving average, on any stream."""
OF_JOINTS = {"crrl": toy_crrl, "gl-transformer": toy_gl_transformer, "h-transformer": toy_h_transformer}
"""The same on positions alone."""


@pytest.mark.parametrize("name", [*BRANCHES, "hico", "hysp"])
def test_gradients_reach_all_but_the_slow_copies_and_the_optimiser_holds_the_same(name):
    method = (BRANCHES | {"hico": toy_hico, "hysp": toy_hysp})[name]().train()
    generator = torch.Generator().manual_seed(0)
    output = method(method.views(*toy_batch(5)), LATE, generator)
    method.after_step(output.state, BEGINNING)  # HaLP has prototypes from now on
    method(method.views(*toy_batch(5)), LATE, generator).losses["all"].backward()
    reached = {name for name, parameter in method.named_parameters() if parameter.grad is not None}
    slow = ("branch.key_", "key_network.", "target_")
    assert reached == {name for name, _ in method.named_parameters() if not name.startswith(slow)}
    (optimiser,) = method.optimisers(OptimiserSettings()).values()
    held = {id(weight) for group in optimiser.param_groups for weight in group["params"]}
    assert held == {id(parameter) for name, parameter in method.named_parameters() if name in reached}


@pytest.mark.parametrize("name", BRANCHES)
def test_after_a_step_its_keys_are_in_the_queue_of_the_branch(name):
    method = BRANCHES[name]().train()
    output = method(method.views(*toy_batch(4)), BEGINNING, torch.Generator().manual_seed(0))
    method.after_step(output.state, BEGINNING)
    assert torch.equal(method.branch.queue.keys[:4], output.state["keys"])


@pytest.mark.parametrize("export", ["online", "ema"])
@pytest.mark.parametrize("name", [*BRANCHES, "hico", "hysp"])
def test_the_run_s_encoder_is_the_one_that_is_asked_for(name, export):
    if name == "hico":
        method = toy_hico(name="bone", export=export)
        expected = (method.network if export == "online" else method.key_network).encoder
    elif name == "hysp":
        method = toy_hysp(name="bone", export=export)
        expected = method.encoder if export == "online" else method.target_encoder
    else:
        method = BRANCHES[name](name="bone", export=export)
        expected = method.branch.encoder if export == "online" else method.branch.key_encoder
    assert_leaves(method, expected, "bone")


@pytest.mark.parametrize("name", ONLINE)
def test_the_run_s_encoder_is_the_one_that_learned(name):
    method = ONLINE[name](name="motion")
    assert_leaves(method, method.encoder, "motion")


@pytest.mark.parametrize("name", OF_JOINTS)
def test_the_run_s_encoder_sees_positions(name):
    method = OF_JOINTS[name]()
    assert_leaves(method, method.encoder, "joint")


def assert_leaves(method, expected, stream):
    assert isinstance(method, Method)
    ((encoder, name, settings),) = method.encoders().values()
    assert encoder is expected
    assert name == stream
    assert settings is None
