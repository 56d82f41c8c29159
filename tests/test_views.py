import pytest
import torch

from pcm3.augment.views import ViewMaker
from pcm3.geometry import stream
from pcm3.skeleton import load_layout

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
