import itertools
from dataclasses import replace

import pytest
import torch
from toy import step, toy_method, toy_settings, toy_views

from pcm3.augment.body_shape import mirror, scale_bones
from pcm3.augment.crop import crop_resize, random_crops
from pcm3.augment.mask import draw_mask
from pcm3.augment.mix import mix
from pcm3.augment.spatial import rotate_yaw, shear, spatial_view
from pcm3.clips import ClipBatch
from pcm3.errors import ConfigError
from pcm3.geometry import bone, stream
from pcm3.methods.pcm3_views import ViewMaker
from pcm3.settings.pretrain import PretrainSettings
from pcm3.skeleton import load_layout

KINECT2, KINECT1 = load_layout("kinect_v2"), load_layout("kinect_v1")
LENGTHS = [90, 64, 7, 300, 150, 40]


def maker(layout=KINECT2, frames=64, stream="joint", **settings):
    """A view maker; settings are of the views, or with a group before two underscores."""
    dotted = {name.replace("__", ".") if "__" in name else f"views.{name}": value for name, value in settings.items()}
    return ViewMaker(layout, stream, frames, toy_settings(dotted))


def batch_of(frames, start, length):
    return ClipBatch(frames, start, length, torch.arange(len(start)), gaps=False)


def store(layout=KINECT2, bodies=2, dtype=torch.float32, pose=None):
    """Frames of clips of different lengths, behind each other, with start and length."""
    length = torch.tensor(LENGTHS)
    count = int(length.sum())
    frames = torch.randn((count, bodies, len(layout.joints), 3), generator=torch.Generator().manual_seed(0))
    if pose is not None:
        frames = pose.expand_as(frames)
    return frames.to(dtype), length.cumsum(0) - length, length


def made(maker, frames, seed=0):
    return maker(batch_of(*frames), torch.Generator().manual_seed(seed))


def linear_map(before, after):
    """The 3 x 3 matrix that takes one to the other, by least squares, and what it leaves."""
    x, y = before.double().reshape(-1, 3), after.double().reshape(-1, 3)
    solved = torch.linalg.lstsq(x, y).solution
    return solved.T, (x @ solved - y).abs().max()


@pytest.mark.parametrize("layout", [KINECT2, KINECT1], ids=lambda layout: layout.name)
@pytest.mark.parametrize("bodies", [1, 2])
@pytest.mark.parametrize("frames", [16, 64])
def test_views_have_one_shape_whatever_the_clips_are(layout, bodies, frames):
    views = made(maker(layout, frames), store(layout, bodies, torch.float16))
    shape = (len(LENGTHS), frames, bodies, len(layout.joints), 3)
    for view in (views.query, views.key, views.source, views.mixed.clips):
        assert view.shape == shape
        assert view.dtype == torch.float32
        assert view.isfinite().all()
    assert views.masked.shape == shape[:-1]
    assert views.masked.dtype == torch.bool


def test_views_are_a_function_of_the_generator():
    of, frames = maker(), store()

    def tensors(seed):
        views = made(of, frames, seed)
        return [views.query, views.key, views.source, views.masked, *views.mixed]

    assert all(torch.equal(a, b) for a, b in zip(tensors(1), tensors(1), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(tensors(1)[:4], tensors(2)[:4], strict=True))


def test_the_store_is_not_changed():
    frames = store()
    kept = frames[0].clone()
    made(maker(KINECT2), frames)
    assert torch.equal(frames[0], kept)


def test_each_view_is_a_crop_of_its_own():
    # One number that counts frames: without shear and jitter a view shows which frames it is of.
    length = torch.tensor(LENGTHS)
    clock = torch.cat([torch.arange(n, dtype=torch.float32) for n in LENGTHS])
    frames = clock[:, None, None, None].expand(-1, 2, 25, 3)
    of = maker(KINECT2, shear=0.0, jitter_joint_ratio=0.0, min_frames=16)
    views = of(batch_of(frames, length.cumsum(0) - length, length), torch.Generator().manual_seed(0))
    shown = torch.stack([views.query, views.key, views.source])[..., 0, 0, 0]
    assert (shown >= 0).all()
    assert (shown.amax(dim=2) <= length - 1).all()
    assert (shown.diff(dim=2) >= 0).all()
    for clip, n in enumerate(LENGTHS):
        if n > 16:
            assert len({tuple(row) for row in shown[:, clip].tolist()}) == 3
        else:
            assert (shown[:, clip] == shown[:1, clip]).all()


def test_the_masked_view_is_always_sheared_and_never_jittered():
    pose = torch.randn((1, 2, 25, 3), generator=torch.Generator().manual_seed(1))
    frames = store(pose=pose)  # nothing moves, so every crop is the pose
    for seed in range(10):
        views = made(maker(KINECT2), frames, seed)
        for source in views.source:
            matrix, rest = linear_map(pose.expand_as(source), source)
            assert rest < 1e-5
            torch.testing.assert_close(matrix.diagonal(), torch.ones(3, dtype=torch.float64), rtol=0, atol=1e-5)
            assert (matrix - torch.eye(3)).abs().max() > 0.05


def test_query_and_key_are_sheared_or_jittered_each_by_itself():
    pose = torch.randn((1, 2, 25, 3), generator=torch.Generator().manual_seed(2))
    frames = store(pose=pose)
    outcomes = set()
    for seed in range(12):
        views = made(maker(KINECT2), frames, seed)
        for query, key in zip(views.query, views.key, strict=True):
            outcomes.add(tuple(int((pose == view).all(dim=-1).all(dim=1).all(dim=0).sum()) for view in (query, key)))
    # 10 of 25 joints stay under jitter, none under shear.
    assert outcomes == {(0, 0), (0, 10), (10, 0), (10, 10)}


def test_the_inter_view_is_mixed_from_queries():
    frames = store()
    pasted = 0
    for seed in range(12):
        views = made(maker(KINECT2), frames, seed)
        partner = views.query[views.mixed.partner]
        from_query, from_partner = views.mixed.clips == views.query, torch.isin(views.mixed.clips, partner)
        if (from_query | from_partner).all():
            pasted += 1
            share = (~from_query)[0].float().mean().item()
            assert views.mixed.ratio[0].item() == pytest.approx(share, abs=0.02)  # jittered zeros may be equal
        else:
            ratio = views.mixed.ratio[:, None, None, None, None]
            expected = (1 - ratio) * views.query + ratio * partner
            torch.testing.assert_close(views.mixed.clips, expected, rtol=1e-5, atol=1e-5)
    assert 0 < pasted < 12


@pytest.mark.parametrize("name", ["bone", "motion"])
def test_bone_and_motion_are_taken_after_the_augmentation(name):
    frames = store()
    joint, other = made(maker(KINECT2), frames), made(maker(KINECT2, stream=name), frames)
    for view in ("query", "key", "source"):
        expected = stream(getattr(joint, view), name, KINECT2)
        torch.testing.assert_close(getattr(other, view), expected, rtol=0, atol=0)
    assert torch.equal(joint.masked, other.masked)
    assert torch.equal(joint.mixed.partner, other.mixed.partner)
    assert not torch.equal(other.query, joint.query)


@pytest.mark.parametrize(
    ("settings", "share"),
    [
        ({"mask__kind": "random", "mask__ratio": 0.2, "mask__bodies": "all"}, 0.2),
        ({"mask__kind": "random", "mask__ratio": 0.8}, 0.4),  # of two bodies one
        ({"mask__kind": "topology", "mask__bodies": "all", "mask__per_clip": True}, None),
    ],
)
def test_the_mask_is_drawn_as_set(settings, share):
    hidden = made(maker(KINECT2, **settings), store()).masked
    if share is not None:
        assert hidden.float().mean().item() == pytest.approx(share)
    same = torch.equal(hidden, hidden[:1].expand_as(hidden))
    assert same != settings.get("mask__per_clip", False)


def test_a_clip_shorter_than_the_views_is_stretched_whole():
    frames = torch.linspace(0, 1, 5)[:, None, None, None].expand(-1, 1, 25, 3)
    of = maker(KINECT2, shear=0.0, jitter_joint_ratio=0.0)
    views = of(batch_of(frames, torch.tensor([0, 0]), torch.tensor([5, 5])), torch.Generator().manual_seed(0))
    for view in (views.query, views.key, views.source):
        torch.testing.assert_close(view[:, 0, 0, 0, 0], torch.zeros(2))
        torch.testing.assert_close(view[:, -1, 0, 0, 0], torch.ones(2))


def one_by_one(start, length, frames, generator, share=0.5, mirrored=0.0, limbs=0.0, degrees=0.0):
    """The query, key and source of the view maker's defaults, written out in the order of the draws."""
    begin, taken = random_crops(length.repeat(3), (0.1, 1.0), 64, generator)
    crops = crop_resize(frames, start.repeat(3) + begin, taken, 64)
    if mirrored:
        chosen = torch.rand(len(start), generator=generator) < mirrored
        crops = mirror(crops, KINECT2, torch.cat([chosen, chosen, chosen]))
    if limbs:
        crops = scale_bones(crops, KINECT2, limbs, generator)
    if degrees:
        crops = rotate_yaw(crops, degrees, generator)
    both = spatial_view(crops[: 2 * len(start)], "either", 1.0, 0.6, share, generator)
    source = shear(crops[2 * len(start) :], 1.0, generator)
    return *both.chunk(2), source


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"jitter_prob": 0.1},
        {"flip_prob": 0.5},
        {"bone_scale": 0.2},
        {"yaw": 40.0},
        {"jitter_prob": 0.8, "flip_prob": 0.7, "bone_scale": 0.1, "yaw": 180.0},
    ],
    ids=str,
)
def test_views_are_drawn_in_one_order_and_what_is_off_draws_nothing(values):
    frames, start, length = store()
    ours, theirs = (torch.Generator().manual_seed(3) for _ in range(2))
    views = maker(KINECT2, **values)(batch_of(frames, start, length), ours)
    names = {"jitter_prob": "share", "flip_prob": "mirrored", "yaw": "degrees", "bone_scale": "limbs"}
    expected = one_by_one(start, length, frames, theirs, **{names.get(k, k): v for k, v in values.items()})
    for view, other in zip((views.query, views.key, views.source), expected, strict=True):
        assert torch.equal(view, other)
    masked = draw_mask(tuple(views.source.shape[:4]), KINECT2.parts, "topology", 0.6, False, "first", theirs)
    assert torch.equal(views.masked, masked)
    for ours_, theirs_ in zip(views.mixed, mix(views.query, KINECT2.parts, False, theirs), strict=True):
        assert torch.equal(ours_, theirs_)
    assert torch.equal(ours.get_state(), theirs.get_state())


def test_masks_prefer_what_moves_where_they_are_asked_to():
    frames, start, length = store()
    moving = list(KINECT2.parts[2])
    frames[:, :, [joint for joint in range(25) if joint not in moving]] = 0.0  # all but one part stand still
    settings = {"mask__per_clip": True, "mask__ratio": 0.2, "shear": 0.0, "jitter_prob": 0.0}
    shares = {}
    for choice in ("uniform", "motion"):
        views = maker(KINECT2, **(settings | {"mask__choice": choice}))(
            batch_of(frames, start, length), torch.Generator().manual_seed(3)
        )
        shares[choice] = views.masked[..., 0, moving[0]].float().mean().item()
    assert shares["uniform"] == pytest.approx(0.2, abs=0.15)
    assert shares["motion"] > 0.85


@pytest.mark.parametrize("values", [{"noise": 0.1}, {"flicker": 0.5}, {"noise": 0.1, "flicker": 0.5}], ids=str)
def test_a_worse_sensor_spares_what_is_to_be_predicted_and_draws_after_all_else(values):
    frames, start, length = store()
    plain, worse = (
        maker(KINECT2, **settings)(batch_of(frames, start, length), torch.Generator().manual_seed(3))
        for settings in ({}, values)
    )
    for name in ("query", "key"):
        before, after = getattr(plain, name), getattr(worse, name)
        changed = (before != after).any(dim=-1)
        assert changed.any(), name
        if "noise" not in values:
            assert not after[changed].any()
    assert plain.source.shape == worse.source.shape
    assert (worse.source != 0).all() or "flicker" not in values


def posed(**values):
    """Query, key and source (3, B, V, 3) of clips that never move, from the first body, not sheared or jittered."""
    pose = torch.randn((1, 1, 25, 3), generator=torch.Generator().manual_seed(1))
    views = made(maker(KINECT2, shear=0.0, jitter_joint_ratio=0.0, **values), store(bodies=1, pose=pose), seed=2)
    return pose[0, 0], torch.stack([views.query, views.key, views.source])[:, :, 0, 0]


def test_the_same_clips_are_mirrored_in_all_three_views():
    pose, views = posed(flip_prob=0.5)
    reflected = mirror(pose.expand(1, 1, 1, 25, 3), KINECT2, torch.tensor([True]))[0, 0, 0]
    plain = (views - pose).abs().amax(dim=(2, 3)) < 1e-5
    seen_in_a_mirror = (views - reflected).abs().amax(dim=(2, 3)) < 1e-5
    assert (plain != seen_in_a_mirror).all()
    assert (plain == plain[:1]).all()
    assert 0 < plain[0].sum() < len(LENGTHS)


def test_every_view_has_its_own_limbs_and_its_own_turn():
    pose, views = posed(bone_scale=0.3)
    length = bone(views, KINECT2).norm(dim=-1).flatten(0, 1)
    assert len({tuple(row) for row in length.round(decimals=4).tolist()}) == 3 * len(LENGTHS)
    torch.testing.assert_close(views[:, :, KINECT2.centre], pose[KINECT2.centre].expand(3, len(LENGTHS), 3))

    pose, views = posed(yaw=30.0)
    torch.testing.assert_close(views.norm(dim=-1), pose.norm(dim=-1).expand(3, len(LENGTHS), 25))
    assert len({round(x, 5) for x in views[:, :, 5, 0].flatten().tolist()}) == 3 * len(LENGTHS)


def test_a_share_of_none_or_all_is_exactly_that():
    pose, views = posed(flip_prob=1.0)
    assert not torch.isclose(views[:, :, 5, 0], pose[5, 0]).any()
    pose, views = posed(flip_prob=0.0)
    torch.testing.assert_close(views, pose.expand_as(views))


def test_a_layout_that_knows_no_left_and_right_cannot_be_mirrored():
    layout = replace(KINECT1, name="stick", mirror=())
    with pytest.raises(ConfigError, match=r"views\.flip_prob.*'stick'.*no mirror pairs"):
        maker(layout, flip_prob=0.5)
    maker(layout, bone_scale=0.1)


USES = {
    ("intra", "inter", "mask", "predict"): {"query", "mixed", "key", "source", "observed", "masked"},
    ("intra", "inter"): {"query", "mixed", "key"},
    ("intra",): {"query", "key"},
    ("mask",): {"key", "source", "observed", "masked"},
    (): set(),
}
"""Positives → the views that are used where nothing is predicted."""


@pytest.mark.parametrize(("positives", "used"), USES.items())
@pytest.mark.parametrize("prediction", [0.0, 1.0])
def test_a_view_that_nothing_uses_is_not_made(positives, used, prediction):
    of = maker(KINECT2, objective__positives=list(positives), objective__prediction_weight=prediction)
    used = used | {"source", "observed", "masked"} if prediction else used
    if not used:
        return
    views = made(of, store())
    assert {name for name, view in views._asdict().items() if view is not None} == used


def test_without_a_weight_the_contrast_uses_no_view_but_a_moving_average_needs_its_own():
    weights = {"objective__contrast_weight": 0.0, "objective__distillation_weight": 0.0}
    assert maker(**weights).used == ["source"]
    assert maker(**weights, objective__export="ema").used == ["key", "source"]


def test_what_is_not_used_draws_nothing():
    frames, start, length = store()
    ours, theirs = (torch.Generator().manual_seed(3) for _ in range(2))
    views = maker(objective__positives=["intra", "inter"], objective__prediction_weight=0.0)(
        batch_of(frames, start, length), ours
    )
    begin, taken = random_crops(length.repeat(2), (0.1, 1.0), 64, theirs)
    both = spatial_view(crop_resize(frames, start.repeat(2) + begin, taken, 64), "either", 1.0, 0.6, 0.5, theirs)
    assert torch.equal(torch.cat([views.query, views.key]), both)
    for ours_, theirs_ in zip(views.mixed, mix(views.query, KINECT2.parts, False, theirs), strict=True):
        assert torch.equal(ours_, theirs_)
    assert torch.equal(ours.get_state(), theirs.get_state())


@pytest.mark.parametrize(
    ("name", "fine", "wrong"),
    [
        ("jitter_prob", (0.0, 0.5, 1.0), (-0.1, 1.1, float("nan"))),
        ("yaw", (0.0, 30.0, 180.0), (-1.0, 181.0, float("nan"))),
        ("tilt", (0.0, 30.0, 180.0), (-1.0, 181.0, float("nan"))),
        ("bone_scale", (0.0, 0.2, 0.99), (-0.1, 1.0, float("nan"))),
        ("noise", (0.0, 0.02, 1.0), (-0.1, 1.1, float("nan"))),
        ("flicker", (0.0, 0.3, 1.0), (-0.1, 1.1, float("nan"))),
        ("flip_prob", (0.0, 0.5, 1.0), (-0.1, 1.1, float("nan"))),
    ],
)
def test_a_setting_of_the_views_that_makes_no_sense_is_refused(name, fine, wrong):
    settings = PretrainSettings()
    views = settings.method.views
    for value in fine:
        setattr(views, name, value)
        settings.check()
    for value in wrong:
        setattr(views, name, value)
        with pytest.raises(ConfigError, match=rf"setting views\.{name}: expected .*, got {value}"):
            settings.check()


def test_a_worse_sensor_sees_the_masked_view_too_and_what_is_to_be_rebuilt_is_spared():
    clean, noisy = (toy_views(6, settings={"views.noise": noise}) for noise in (0.0, 0.03))
    assert clean.observed is clean.source
    off = (noisy.observed - noisy.source).abs()
    assert 0.001 < off.mean() < 0.03
    method, views = toy_method(**{"views.noise": 0.03}), noisy
    fed, told = [], []
    method.domain_prompts["mask"].register_forward_pre_hook(lambda _, args: fed.append(args[0]))
    method.miss = lambda predicted, source, masked: told.append(source) or predicted.square().mean()
    step(method, views)
    assert torch.equal(fed[0], method.encoder.build_inputs(views.observed, views.masked))
    assert told[0] is views.source


@pytest.mark.parametrize("kind", ["filled", "whole"])
def test_what_is_predicted_becomes_a_view_by_the_sensor_of_the_others(kind):
    """Reference, joint by joint: the sensor's error is added to the prediction, what the sensor lost stays lost."""
    views = toy_views(6, settings={"views.noise": 0.03, "views.flicker": 0.3})
    method, predicted = toy_method(**{"objective.predicted_view": kind}), torch.randn_like(views.source)
    view = method.predicted_view(predicted, views.source, views.observed, views.masked)
    lost = 0
    for place in itertools.product(*map(range, views.masked.shape)):
        true, seen = views.source[place], views.observed[place]
        if bool((seen == 0).all()) and bool((true != 0).any()):
            lost += 1
            expected = torch.zeros(3)
        elif kind == "filled" and not views.masked[place]:
            expected = seen
        else:
            expected = predicted[place] + (seen - true)
        torch.testing.assert_close(view[place], expected, rtol=0, atol=1e-6)
    assert lost > 0
    clean = toy_views(6)
    filled = method.predicted_view(predicted, clean.source, clean.observed, clean.masked)
    by_hand = torch.where(clean.masked.unsqueeze(-1), predicted, clean.source)
    assert torch.equal(filled, by_hand if kind == "filled" else predicted), "without a worse sensor as it was"
