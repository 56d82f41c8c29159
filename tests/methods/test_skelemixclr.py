import numpy as np
import pytest
import reference
import torch
from toy import BEGINNING, KINECT2, toy_batch, toy_skelemixclr

from pcm3.augment.mix import paste
from pcm3.encoders.spec import ClipFormat, EncoderSpec
from pcm3.errors import ConfigError
from pcm3.geometry import stream
from pcm3.methods.skelemixclr import build
from pcm3.methods.views import TwoViews
from pcm3.settings.methods import METHODS
from pcm3.settings.presets import settings_of_preset
from pcm3.settings.pretrain import changed
from pcm3.settings.skelemixclr import SkeleMixCLRSettings


def views_of(method, size=5, seed=0):
    """In float64."""
    views = method.views(*toy_batch(size, seed=seed))
    return type(views)(*(view.double() if view.is_floating_point() else view for view in views))


def of_parts(method, clips, region):
    """Means of the joints' features where something was pasted and elsewhere, clip by clip and place by place."""
    with torch.no_grad():
        features = method.branch.encoder.joint_frames(clips).numpy()
    stride, sums = method.branch.encoder.time_stride, np.zeros((2, len(clips), features.shape[-1]))
    for clip, of_clip in enumerate(features):
        counts = [0, 0]
        for frame, body, joint in np.ndindex(of_clip.shape[:3]):
            part = 0 if region[clip, frame * stride, joint] else 1
            sums[part, clip] += of_clip[frame, body, joint]
            counts[part] += 1
        sums[:, clip] /= np.array(counts)[:, None]
    return sums


def slowly(method, views, temperature):
    """The terms and the loss, from the features on, number by number in float64."""
    numbers = reference.Numbers(method.branch.state_dict(), 4, "bidirectional", 2, 25)
    branch = method.branch
    with torch.no_grad():
        query, key = (
            numbers.project_normed(projector, encoder.frames(view).numpy().mean(axis=1))
            for projector, encoder, view in (
                ("projector", branch.encoder, views.query), ("key_projector", branch.key_encoder, views.key),
            )
        )  # fmt: skip
    queue, partner = numbers.of["queue.keys"], views.partner.numpy()
    terms = {"instance": reference.info_nce(query, key, queue, temperature), "pasted": 0.0, "context": 0.0}
    for number in range(views.pasted.shape[1]):
        parts = of_parts(method, views.pasted[:, number], views.region[:, number].numpy())
        pasted, context = (numbers.project_normed("projector", part) for part in parts)
        for name, own, its_key, other in (
            ("pasted", pasted, key[partner[:, number]], context), ("context", context, key, pasted),
        ):  # fmt: skip
            losses = [
                reference.info_nce(own[clip : clip + 1], its_key[clip : clip + 1], [*queue, other[clip]], temperature)
                for clip in range(len(own))
            ]
            terms[name] += np.mean(losses)
    return terms, terms["instance"] + (terms["pasted"] + terms["context"]) / 2, key


@pytest.mark.parametrize(("layers", "count", "per_clip"), [(1, 1, False), (2, 2, True)])
def test_every_term_and_the_keys_are_those_of_the_slow_reference(layers, count, per_clip):
    method = toy_skelemixclr(layers=layers, count=count, per_clip=per_clip, temperature=0.3, projector_norm=True)
    method, views = method.double().train(), views_of(method)
    terms, loss, keys = slowly(method, views, 0.3)
    output = method(views, BEGINNING, torch.Generator())
    assert output.terms.keys() == terms.keys()
    for name, value in terms.items():
        assert output.terms[name].item() == pytest.approx(value, rel=1e-9), name
    assert output.losses["all"].item() == pytest.approx(loss, rel=1e-9)
    np.testing.assert_allclose(output.state["keys"].numpy(), keys, rtol=0, atol=1e-10)


def test_a_part_is_no_teacher_of_the_other_part():
    method = toy_skelemixclr().double()
    vectors = torch.nn.functional.normalize(torch.randn(3, 4, 5, dtype=torch.float64), dim=-1)
    part, key, other = (vector.requires_grad_() for vector in vectors)
    method.contrast(part, key, other).backward()
    assert part.grad.abs().min() > 0
    assert other.grad is None


def test_views_are_two_of_each_clip_and_what_is_pasted_is_the_first_one_s_stream():
    for name in ("joint", "bone", "motion"):
        method, (batch, ours), (_, theirs) = toy_skelemixclr(name=name, count=2), toy_batch(5), toy_batch(5)
        views = method.views(batch, ours)
        plain = method.maker.two_views(batch, theirs)
        query, key = (stream(view, name, KINECT2) for view in plain)
        assert torch.equal(TwoViews(query, key).query, views.query)
        assert torch.equal(key, views.key)
        for number in range(2):
            for found, expected in zip(views[2:], paste(query, KINECT2.parts, False, theirs), strict=True):
                assert torch.equal(found[:, number], expected)


def test_every_region_is_seen_in_the_features_however_few_frames_stand_in_them():
    few = {"encoder.layers": 3, "frames": 16, "encoder.hidden_size": 8, "encoder.channels": 4, "batch": 4}
    settings = changed(settings_of_preset("skelemixclr-small"), few)
    spec = EncoderSpec.of(settings.encoder, ClipFormat(KINECT2, 2), settings.stream, settings.frames)
    method = build(spec.build, KINECT2, settings)
    for seed in range(20):
        region = method.views(*toy_batch(20, seed=seed)).region[:, 0, :: method.branch.encoder.time_stride]
        assert region.flatten(1).any(dim=1).all()
        assert not region.flatten(1).all(dim=1).any()
    with pytest.raises(ConfigError, match=r"^setting frames: expected at least 16 .* each feature .* 4 frames, got 15"):
        build(spec.build, KINECT2, changed(settings, {"frames": 15}))


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"encoder.kind": "transformer", "encoder.channels": 0}, "encoder.kind: expected stgcn or agcn for"),
     ({"encoder.pooling": "mean_max"}, "encoder.pooling: expected mean for the method skelemixclr"),
     ({"paste.count": 0}, "paste.count: expected at least 1"), ({"objective.queue": 0}, "objective.queue: expected")],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(changes, told):
    assert METHODS["skelemixclr"].settings is SkeleMixCLRSettings
    with pytest.raises(ConfigError, match=told):
        changed(settings_of_preset("skelemixclr-small"), changes).check()
