import numpy as np
import pytest
from ntu_file_text import walkers
from upright_people import FRAMES, standing

from pcm3.data.gravity import AXES, find_up, given_up
from pcm3.data.importer import import_recordings, store_recordings
from pcm3.data.recording import Recording
from pcm3.data.store import ClipStore
from pcm3.errors import ConfigError
from pcm3.skeleton import load_layout

KINECT = load_layout("kinect_v2")
FRAMES_OF_A_WALK = 40


def people(axes=None, count=6):
    """Recordings of people who stand and face anywhere, in a frame of other axes."""
    turned = np.eye(3) if axes is None else axes
    return [Recording(f"r{k}", (standing(k, facing=k) @ turned.T).astype(np.float32)) for k in range(count)]


@pytest.mark.parametrize("which", range(24))
def test_the_axis_along_which_people_stand_is_found(which):
    axes = FRAMES[which]
    found = find_up(people(axes), KINECT)
    assert found.direction == tuple(axes @ [0.0, 1.0, 0.0])
    name = next(name for name, axis in AXES.items() if axis == found.direction)
    assert found.text.startswith(f"up is {name} of the recordings (found in 6 recordings")


def test_a_tilted_camera_is_seen_and_people_who_agree_on_nothing_are_left_alone():
    angle = np.deg2rad(30)
    tilt = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    found = find_up(people(tilt), KINECT)
    assert np.dot(found.direction, tilt @ [0, 1, 0]) > np.cos(np.deg2rad(3))
    assert "30 degrees off the axis y" in found.text
    mixed = [recording for axes in FRAMES[::4] for recording in people(axes, 1)]
    assert find_up(mixed, KINECT).direction is None
    assert find_up([], KINECT).direction is None


def test_a_direction_is_told_by_an_axis_or_three_numbers():
    assert given_up("-y").direction == (0.0, -1.0, 0.0)
    np.testing.assert_allclose(given_up("0,3,4").direction, [0, 0.6, 0.8])
    assert [given_up(word).direction for word in ("Y", "+y", " y", "-Y")] == [
        AXES[name] for name in ("y", "y", "y", "-y")
    ]
    for wrong in ("w", "+-y", "--y", "0,0,0", "1,2", "nan,0,1", ""):
        with pytest.raises(ConfigError, match="setting up: expected x, y, z, -x"):
            given_up(wrong)


@pytest.mark.parametrize("which", range(0, 24, 5))
def test_a_store_does_not_depend_on_the_axes_of_its_recordings(tmp_path, which):
    made = {}
    for name, axes in (("here", None), ("there", FRAMES[which])):
        store_recordings(people(axes), tmp_path / name, layout=KINECT, fps=30.0)
        made[name] = ClipStore.open(tmp_path / name)
    np.testing.assert_allclose(made["there"].frames, made["here"].frames, atol=1e-5)
    assert made["there"].preparation["up"] == list(FRAMES[which] @ [0.0, 1.0, 0.0])
    assert made["here"].normalised


def test_an_import_says_what_it_took_for_up_and_does_as_it_is_told(tmp_path):
    clips = [recording.frames for recording in people()]
    lengths = [len(clip) for clip in clips]
    np.savez(tmp_path / "mine.npz", frames=np.concatenate(clips), length=lengths, layout="kinect_v2")
    report = import_recordings("npz", tmp_path / "mine.npz", tmp_path / "found", progress=False)
    assert report.notes[0].startswith("up is y of the recordings (found in 6 recordings")
    told = import_recordings("npz", tmp_path / "mine.npz", tmp_path / "told", up="-y", progress=False)
    assert told.notes[0] == "up is -y of the recordings, as given"
    heads = [ClipStore.open(tmp_path / name).frames[:, 0, KINECT.joints.index("head"), 2] for name in ("found", "told")]
    assert heads[0].min() > 0 > heads[1].max()
    with pytest.raises(ConfigError, match="setting up: expected it only where clips are turned upright"):
        import_recordings("npz", tmp_path / "mine.npz", tmp_path / "x", rule="released", up="y", progress=False)


def test_whole_clips_are_kept_or_resampled(tmp_path):
    clip = walkers(0, 700)
    np.savez(tmp_path / "mine.npz", frames=clip, length=[700], layout="kinect_v2", fps=240.0)
    import_recordings("npz", tmp_path / "mine.npz", tmp_path / "whole", progress=False)
    store = ClipStore.open(tmp_path / "whole")
    assert (store.length.tolist(), store.fps, store.cut.tolist()) == ([700], 240.0, [0])
    import_recordings("npz", tmp_path / "mine.npz", tmp_path / "slow", fps=30.0, max_frames=50, progress=False)
    slow = ClipStore.open(tmp_path / "slow")
    assert (slow.length.tolist(), slow.fps, slow.cut.tolist()) == ([50], 30.0, [38])


@pytest.mark.parametrize("layout", ["kinect_v1", "kinect_v2", "sbu15"])
def test_clips_that_were_centred_on_a_joint_are_not_taken_for_clips_without_it(tmp_path, layout):
    made = load_layout(layout)
    people = [standing(k, layout=made, facing=k) for k in range(4)]
    for joint in (made.centre, made.root, 0):
        centred = [Recording(f"r{k}", (clip - clip[:, :, [joint]]).astype(np.float32)) for k, clip in enumerate(people)]
        raw = [Recording(f"r{k}", clip.astype(np.float32)) for k, clip in enumerate(people)]
        reports = [
            store_recordings(some, tmp_path / name, layout=made, fps=30.0, up="y", overwrite=True)
            for name, some in (("centred", centred), ("raw", raw))
        ]
        here, there = (ClipStore.open(tmp_path / name) for name in ("centred", "raw"))
        np.testing.assert_allclose(here.frames, there.frames, atol=1e-5)
        assert (here.preparation["origin"], there.preparation["origin"]) == (joint, None)
        assert here.absent.sum() == 0
        assert any(f"the joint {made.joints[joint]} lies at the origin" in note for note in reports[0].notes)
    never = [clip.astype(np.float32) for clip in people]
    for clip in never:
        clip[:, :, 3] = 0
    store_recordings([Recording(f"r{k}", clip) for k, clip in enumerate(never)], tmp_path / "s", layout=made, fps=30.0)
    assert ClipStore.open(tmp_path / "s").preparation["origin"] is None


def test_who_lies_and_what_stands_around_do_not_tilt_the_others():
    lying = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    some = [*people(count=6), *people(lying, count=3)]
    found = find_up(some, KINECT)
    assert found.direction == (0.0, 1.0, 0.0)
    assert "in 3 they lie, or another way is up" in found.text
    chairs = [
        Recording(
            recording.id, np.concatenate([recording.frames, chair.frames @ FRAMES[7 + k].astype(np.float32)], axis=1)
        )
        for k, (recording, chair) in enumerate(zip(people(), people(), strict=True))
    ]
    assert find_up(chairs, KINECT).direction == (0.0, 1.0, 0.0)


@pytest.mark.parametrize("others", [2, 6])
def test_recordings_of_two_cameras_one_upside_down_are_turned_one_by_one(tmp_path, others):
    upside_down = np.diag([-1.0, -1, 1])
    mixed = [*people(count=20), *people(upside_down, count=others)]
    mixed = [Recording(f"m{k}", recording.frames) for k, recording in enumerate(mixed)]
    report = store_recordings(mixed, tmp_path / "s", layout=KINECT, fps=30.0)
    assert f"{others} of {20 + others} recordings stand upside down beside the others" in report.notes[0]
    assert ClipStore.open(tmp_path / "s").frames[:, 0, KINECT.joints.index("head"), 2].min() > 0
    assert find_up(mixed[:21], KINECT).direction == (0.0, 1.0, 0.0)
    assert "in 1 they lie, or another way is up" in find_up(mixed[:21], KINECT).text


def test_people_without_a_trunk_still_stand(tmp_path):
    some = people(np.diag([-1.0, -1, 1]))
    for recording in some:
        recording.frames[:, :, list(KINECT.parts[0])] = np.nan
    report = store_recordings(some, tmp_path / "s", layout=KINECT, fps=30.0)
    assert report.notes[0].startswith("up is -y of the recordings")


def test_half_precision_far_from_the_origin_is_told(tmp_path):
    far = [Recording(f"r{k}", recording.frames + np.float32(400)) for k, recording in enumerate(people())]
    made = {"layout": KINECT, "fps": 30.0, "dtype": "float16", "overwrite": True}
    notes = store_recordings(far, tmp_path / "s", normalise=False, **made).notes
    assert any("are 250 mm apart in float16: --dtype float32 keeps them" in note for note in notes)
    assert not any("float16" in note for note in store_recordings(far, tmp_path / "s", **made).notes)
    assert not any("float16" in n for n in store_recordings(people(), tmp_path / "s", normalise=False, **made).notes)


def test_a_joint_that_is_never_there_is_not_taken_for_the_origin_where_people_only_begin_there(tmp_path):
    way = np.linspace(0, 1, FRAMES_OF_A_WALK)[:, None, None, None] * np.array([1.2, 0.0, 0.4])
    walking = [np.repeat(standing(k, frames=1), FRAMES_OF_A_WALK, axis=0) + way for k in range(6)]
    begun = [(clip - clip[:1, :, [KINECT.root]]).astype(np.float32) for clip in walking]
    for clip in begun:
        clip[:, :, KINECT.root] = 0
    made = {"layout": KINECT, "fps": 30.0, "up": "y", "overwrite": True}
    report = store_recordings([Recording(f"r{k}", clip) for k, clip in enumerate(begun)], tmp_path / "s", **made)
    assert not any("lies at the origin" in note for note in report.notes)
    assert ClipStore.open(tmp_path / "s").absent.sum() == 6 * FRAMES_OF_A_WALK
    rng = np.random.default_rng(0)
    centred = [(clip - clip[:, :, [KINECT.root]]).astype(np.float32) for clip in walking]
    for clip in centred:
        clip[rng.random(clip.shape[:3]) < 0.1] = np.nan
    report = store_recordings([Recording(f"r{k}", clip) for k, clip in enumerate(centred)], tmp_path / "s", **made)
    assert any("lies at the origin" in note for note in report.notes)


@pytest.mark.parametrize("nothing", [0.0, np.nan])
@pytest.mark.parametrize("joint", [KINECT.centre, KINECT.root])
def test_clips_that_were_centred_may_lack_another_joint(tmp_path, joint, nothing):
    clips = [(clip - clip[:, :, [joint]]).astype(np.float32) for clip in (standing(k, facing=k) for k in range(6))]
    for clip in clips:
        clip[:, :, 22] = nothing
    made = {"layout": KINECT, "fps": 30.0, "up": "y"}
    store_recordings([Recording(f"r{k}", clip) for k, clip in enumerate(clips)], tmp_path / "s", **made)
    store = ClipStore.open(tmp_path / "s")
    assert store.preparation["origin"] == joint
    assert store.absent.tolist() == [len(clip) for clip in clips], "of joint 22 alone"


def test_only_the_body_that_was_centred_has_its_joint_at_the_origin(tmp_path):
    pairs = [np.concatenate([standing(k), standing(k + 9) + np.array([1.0, 0, 0])], axis=1) for k in range(6)]
    seen = [(pair - pair[:, :1, [KINECT.root]]).astype(np.float32) for pair in pairs]
    gappy = [pair.copy() for pair in seen]
    for pair in gappy:
        pair[3:6, 1, KINECT.root] = 0
    made = {"layout": KINECT, "fps": 30.0, "up": "y"}
    for name, some in (("whole", seen), ("gappy", gappy)):
        report = store_recordings([Recording(f"r{k}", pair) for k, pair in enumerate(some)], tmp_path / name, **made)
        assert any("lies at the origin" in note for note in report.notes)
    whole, filled = (ClipStore.open(tmp_path / name) for name in ("whole", "gappy"))
    assert filled.filled.tolist() == [3] * 6
    assert np.abs(whole.frames - filled.frames).max() < 0.3
