"""Every method learns from any skeleton: with parts of the body that have no joint, without sides, of few joints."""

import math

import pytest
from toy import BEGINNING, toy_batch

from pcm3.encoders.spec import ClipFormat, EncoderSpec
from pcm3.errors import ConfigError
from pcm3.hierarchy import layout_from_hierarchy
from pcm3.methods.build import build_method
from pcm3.settings.methods import METHODS
from pcm3.settings.presets import settings_of_preset
from pcm3.settings.pretrain import changed, flat
from pcm3.skeleton import load_layout

NARROW = {
    "views.flip_prob": 0.0, "extreme.flip_prob": 0.0, "partial.joints": 1, "objective.queue": 64,
    "objective.embedding": 8, "batch": 4,
}  # fmt: skip
NARROW_PASTE = {"views.flip_prob": 0.0, "encoder.hidden_size": 8, "objective.queue": 4, "batch": 4}
HAND = load_layout("hand21")
OF_PARTS = {"pcm3", "aimclr", "hico", "gl-transformer", "h-transformer", "mamp", "pstl", "skelemixclr", "crrl"}
"""Methods that ask a skeleton for parts, sides or ways between joints, and one of the others."""
STICK = layout_from_hierarchy(["a", "b", "c", "d"], [0, 0, 1, 2], "stick")[0]


@pytest.mark.parametrize(
    "layout", [pytest.param(HAND, marks=pytest.mark.soak), STICK], ids=lambda layout: layout.name
)  # a stick has fewer parts than a hand
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in OF_PARTS else pytest.mark.soak) for name in METHODS]
)
def test_every_method_learns_from_a_skeleton_of_few_parts(name, layout):
    settings = settings_of_preset(METHODS[name].preset)
    narrow = {name: value for name, value in NARROW.items() if name in flat(settings)}
    settings = changed(settings, narrow | {"encoder.hidden_size": 8})
    settings.check()
    spec = EncoderSpec.of(settings.encoder, ClipFormat(layout, 1), settings.stream, settings.frames)
    method = build_method(spec.build, layout, settings).train()
    batch, generator = toy_batch(4, bodies=1, layout=layout)
    output = method(method.views(batch, generator), BEGINNING, generator)
    assert all(math.isfinite(loss.item()) for loss in output.losses.values())
    sum(output.losses.values()).backward()
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in method.parameters())


@pytest.mark.parametrize("layout", [HAND, STICK], ids=lambda layout: layout.name)
def test_something_is_pasted_into_every_clip_and_something_is_left(layout):
    settings = changed(settings_of_preset("skelemixclr-small"), NARROW_PASTE)
    spec = EncoderSpec.of(settings.encoder, ClipFormat(layout, 1), settings.stream, settings.frames)
    method = build_method(spec.build, layout, settings)
    for seed in range(10):
        region = method.views(*toy_batch(20, bodies=1, layout=layout, seed=seed)).region[
            :, 0, :: spec.build().time_stride
        ]
        assert region.flatten(1).any(dim=1).all()
        assert not region.flatten(1).all(dim=1).any()


@pytest.mark.parametrize("name", ["aimclr", "hiclr", "pstl"])
def test_sides_are_not_exchanged_where_there_are_none(name):
    settings = changed(settings_of_preset(f"{name}-small"), {"views.flip_prob": 0.0, "encoder.hidden_size": 8})
    spec = EncoderSpec.of(settings.encoder, ClipFormat(HAND, 1), settings.stream, settings.frames)
    with pytest.raises(ConfigError, match=r"^setting extreme.flip_prob: expected 0 for the layout 'hand21', got 0.5"):
        build_method(spec.build, HAND, settings)
