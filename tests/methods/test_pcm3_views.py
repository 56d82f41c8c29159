from dataclasses import replace

import pytest
import torch

from pcm3.augment.body_shape import mirror, vary_limbs
from pcm3.augment.crop import crop_resize, random_crops
from pcm3.augment.mask import draw_hidden
from pcm3.augment.mix import mix
from pcm3.augment.spatial import shear, spatial_view, turn
from pcm3.errors import ConfigError
from pcm3.geometry import bone, stream
from pcm3.methods.pcm3_views import ViewMaker
from pcm3.settings.pretrain import PretrainSettings
from pcm3.skeleton import load_layout
from pcm3.train.pretrain import view_maker

KINECT2, KINECT1 = load_layout("kinect_v2"), load_layout("kinect_v1")
LENGTHS = [90, 64, 7, 300, 150, 40]


def store(layout=KINECT2, bodies=2, dtype=torch.float32, pose=None):
    """Frames of clips of different lengths, behind each other, with start and length."""
    length = torch.tensor(LENGTHS)
    count = int(length.sum())
    frames = torch.randn((count, bodies, len(layout.joints), 3), generator=torch.Generator().manual_seed(0))
    if pose is not None:
        frames = pose.expand_as(frames)
    return frames.to(dtype), length.cumsum(0) - length, length


def made(maker, frames, seed=0):
    return maker(*frames, torch.Generator().manual_seed(seed))


def linear_map(before, after):
    """The 3 x 3 matrix that takes one to the other, by least squares, and what it leaves."""
    x, y = before.double().reshape(-1, 3), after.double().reshape(-1, 3)
    solved = torch.linalg.lstsq(x, y).solution
    return solved.T, (x @ solved - y).abs().max()


@pytest.mark.parametrize("layout", [KINECT2, KINECT1], ids=lambda layout: layout.name)
@pytest.mark.parametrize("bodies", [1, 2])
@pytest.mark.parametrize("frames", [16, 64])
def test_views_have_one_shape_whatever_the_clips_are(layout, bodies, frames):
    views = made(ViewMaker(layout, frames=frames), store(layout, bodies, torch.float16))
    shape = (len(LENGTHS), frames, bodies, len(layout.joints), 3)
    for view in (views.query, views.key, views.source, views.mixed.clips):
        assert view.shape == shape
        assert view.dtype == torch.float32
        assert view.isfinite().all()
    assert views.hidden.shape == shape[:-1]
    assert views.hidden.dtype == torch.bool


def test_views_are_a_function_of_the_generator():
    maker, frames = ViewMaker(KINECT2), store()

    def tensors(seed):
        views = made(maker, frames, seed)
        return [views.query, views.key, views.source, views.hidden, *views.mixed]

    assert all(torch.equal(a, b) for a, b in zip(tensors(1), tensors(1), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(tensors(1)[:4], tensors(2)[:4], strict=True))


def test_the_store_is_not_changed():
    frames = store()
    kept = frames[0].clone()
    made(ViewMaker(KINECT2), frames)
    assert torch.equal(frames[0], kept)


def test_each_view_is_a_crop_of_its_own():
    # One number that counts frames: without shear and jitter a view shows which frames it is of.
    length = torch.tensor(LENGTHS)
    clock = torch.cat([torch.arange(n, dtype=torch.float32) for n in LENGTHS])
    frames = clock[:, None, None, None].expand(-1, 2, 25, 3)
    maker = ViewMaker(KINECT2, shear=0.0, jitter=0.0, least_frames=16)
    views = maker(frames, length.cumsum(0) - length, length, torch.Generator().manual_seed(0))
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
        views = made(ViewMaker(KINECT2), frames, seed)
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
        views = made(ViewMaker(KINECT2), frames, seed)
        for query, key in zip(views.query, views.key, strict=True):
            outcomes.add(tuple(int((pose == view).all(dim=-1).all(dim=1).all(dim=0).sum()) for view in (query, key)))
    # 10 of 25 joints stay under jitter, none under shear.
    assert outcomes == {(0, 0), (0, 10), (10, 0), (10, 10)}


def test_the_inter_view_is_mixed_from_queries():
    frames = store()
    pasted = 0
    for seed in range(12):
        views = made(ViewMaker(KINECT2), frames, seed)
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
    joint, other = made(ViewMaker(KINECT2), frames), made(ViewMaker(KINECT2, stream=name), frames)
    for view in ("query", "key", "source"):
        expected = stream(getattr(joint, view), name, KINECT2)
        torch.testing.assert_close(getattr(other, view), expected, rtol=0, atol=0)
    assert torch.equal(joint.hidden, other.hidden)
    assert torch.equal(joint.mixed.partner, other.mixed.partner)
    assert not torch.equal(other.query, joint.query)


@pytest.mark.parametrize(
    ("settings", "share"),
    [
        ({"mask": "random", "mask_ratio": 0.2, "mask_bodies": "all"}, 0.2),
        ({"mask": "random", "mask_ratio": 0.8}, 0.4),  # of two bodies one
        ({"mask": "topology", "mask_bodies": "all", "mask_per_clip": True}, None),
    ],
)
def test_the_mask_is_drawn_as_set(settings, share):
    hidden = made(ViewMaker(KINECT2, **settings), store()).hidden
    if share is not None:
        assert hidden.float().mean().item() == pytest.approx(share)
    same = torch.equal(hidden, hidden[:1].expand_as(hidden))
    assert same != settings.get("mask_per_clip", False)


def test_a_clip_shorter_than_the_views_is_stretched_whole():
    frames = torch.linspace(0, 1, 5)[:, None, None, None].expand(-1, 1, 25, 3)
    maker = ViewMaker(KINECT2, shear=0.0, jitter=0.0)
    views = maker(frames, torch.tensor([0, 0]), torch.tensor([5, 5]), torch.Generator().manual_seed(0))
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
        crops = vary_limbs(crops, KINECT2, limbs, generator)
    if degrees:
        crops = turn(crops, degrees, generator)
    both = spatial_view(crops[: 2 * len(start)], "either", 1.0, 0.6, share, generator)
    source = shear(crops[2 * len(start) :], 1.0, generator)
    return *both.chunk(2), source


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"jittered": 0.1},
        {"mirror": 0.5},
        {"limbs": 0.2},
        {"turn": 40.0},
        {"jittered": 0.8, "mirror": 0.7, "limbs": 0.1, "turn": 180.0},
    ],
    ids=str,
)
def test_views_are_drawn_in_one_order_and_what_is_off_draws_nothing(values):
    frames, start, length = store()
    ours, theirs = (torch.Generator().manual_seed(3) for _ in range(2))
    views = ViewMaker(KINECT2, **values)(frames, start, length, ours)
    names = {"jittered": "share", "mirror": "mirrored", "turn": "degrees"}
    expected = one_by_one(start, length, frames, theirs, **{names.get(k, k): v for k, v in values.items()})
    for view, other in zip((views.query, views.key, views.source), expected, strict=True):
        assert torch.equal(view, other)
    hidden = draw_hidden(tuple(views.source.shape[:4]), KINECT2.parts, "topology", 0.6, False, "first", theirs)
    assert torch.equal(views.hidden, hidden)
    for ours_, theirs_ in zip(views.mixed, mix(views.query, KINECT2.parts, False, theirs), strict=True):
        assert torch.equal(ours_, theirs_)
    assert torch.equal(ours.get_state(), theirs.get_state())


def posed(**values):
    """Query, key and source (3, B, V, 3) of clips that never move, from the first body, not sheared or jittered."""
    pose = torch.randn((1, 1, 25, 3), generator=torch.Generator().manual_seed(1))
    views = made(ViewMaker(KINECT2, shear=0.0, jitter=0.0, **values), store(bodies=1, pose=pose), seed=2)
    return pose[0, 0], torch.stack([views.query, views.key, views.source])[:, :, 0, 0]


def test_the_same_clips_are_mirrored_in_all_three_views():
    pose, views = posed(mirror=0.5)
    reflected = mirror(pose.expand(1, 1, 1, 25, 3), KINECT2, torch.tensor([True]))[0, 0, 0]
    plain = (views - pose).abs().amax(dim=(2, 3)) < 1e-5
    seen_in_a_mirror = (views - reflected).abs().amax(dim=(2, 3)) < 1e-5
    assert (plain != seen_in_a_mirror).all()
    assert (plain == plain[:1]).all()
    assert 0 < plain[0].sum() < len(LENGTHS)


def test_every_view_has_its_own_limbs_and_its_own_turn():
    pose, views = posed(limbs=0.3)
    length = bone(views, KINECT2).norm(dim=-1).flatten(0, 1)
    assert len({tuple(row) for row in length.round(decimals=4).tolist()}) == 3 * len(LENGTHS)
    torch.testing.assert_close(views[:, :, KINECT2.centre], pose[KINECT2.centre].expand(3, len(LENGTHS), 3))

    pose, views = posed(turn=30.0)
    torch.testing.assert_close(views.norm(dim=-1), pose.norm(dim=-1).expand(3, len(LENGTHS), 25))
    assert len({round(x, 5) for x in views[:, :, 5, 0].flatten().tolist()}) == 3 * len(LENGTHS)


def test_a_share_of_none_or_all_is_exactly_that():
    pose, views = posed(mirror=1.0)
    assert not torch.isclose(views[:, :, 5, 0], pose[5, 0]).any()
    pose, views = posed(mirror=0.0)
    torch.testing.assert_close(views, pose.expand_as(views))


def test_a_layout_that_knows_no_left_and_right_cannot_be_mirrored():
    layout = replace(KINECT1, name="stick", mirror=())
    with pytest.raises(ConfigError, match=r"views\.flip_prob.*'stick'.*no mirror pairs"):
        ViewMaker(layout, mirror=0.5)
    assert ViewMaker(layout, limbs=0.1).mirror == 0.0


def test_the_view_maker_of_a_run_has_what_is_set_and_both_have_the_same_defaults():
    settings = PretrainSettings()
    assert view_maker(KINECT2, settings) == ViewMaker(KINECT2)
    views = settings.method.views
    views.yaw, views.bone_scale, views.flip_prob, views.jitter_prob = 30.0, 0.1, 0.5, 0.2
    maker = view_maker(KINECT2, settings)
    assert (maker.turn, maker.limbs, maker.mirror, maker.jittered) == (30.0, 0.1, 0.5, 0.2)


@pytest.mark.parametrize(
    ("name", "fine", "wrong"),
    [
        ("jitter_prob", (0.0, 0.5, 1.0), (-0.1, 1.1, float("nan"))),
        ("yaw", (0.0, 30.0, 180.0), (-1.0, 181.0, float("nan"))),
        ("bone_scale", (0.0, 0.2, 0.99), (-0.1, 1.0, float("nan"))),
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
