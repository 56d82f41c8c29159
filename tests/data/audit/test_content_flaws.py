"""Coordinates that are not what they are taken for are found in stores as they come, each by its name."""

from dataclasses import replace

import numpy as np
import pytest
from people import KINECT, altered, findings, simulated_people, store_of

from pcm3.data.audit.check import check_store
from pcm3.data.importer import store_recordings
from pcm3.data.store import ClipStore
from pcm3.data.units import unit_of

TRUNK, LEGS = list(KINECT.parts[0]), [*KINECT.parts[3], *KINECT.parts[4]]


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """As a normalised store holds them."""
    return simulated_people(tmp_path_factory.mktemp("people"))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """As the sensor saw them."""
    return simulated_people(tmp_path_factory.mktemp("recorded"), normalise=False)


def turned(clips, rotation, which=lambda index: True):
    """The clips, some of them turned."""
    return [
        replace(clip, frames=(clip.frames @ np.asarray(rotation, np.float32).T if which(index) else clip.frames))
        for index, clip in enumerate(clips)
    ]


def scaled(clips, factor):
    return [replace(clip, frames=clip.frames * np.asarray(factor, np.float32)) for clip in clips]


OPENCV = np.diag([-1.0, -1.0, 1.0])
UPSIDE_DOWN = np.diag([1.0, -1.0, -1.0])
LYING = np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]])


def test_people_who_are_in_order_are_not_found(people, recorded, tmp_path):
    assert findings(tmp_path / "a", people, normalised=True) == {}
    assert findings(tmp_path / "b", recorded, normalised=False) == {}


# One person twice


def test_one_person_twice_is_found_wherever_the_copy_stands(people, tmp_path):
    def copy(frames):
        frames[:, 1] = frames[:, 0]

    def beside(frames):
        frames[:, 1] = frames[:, 0] + np.array([0.7, 0.2, 0], np.float32)

    def nearly(frames):
        noise = np.random.default_rng(0).normal(0, 0.003, frames[:, 0].shape)
        frames[:, 1] = frames[:, 0] + noise.astype(np.float32) + np.float32(0.5)

    for number, change in enumerate((copy, beside, nearly)):
        clips, name = altered(people, change)
        found = findings(tmp_path / str(number), clips, normalised=True)["twice"]
        assert (found.clips, found.wrong) == ([name], False)
        assert found.details == [f"{name}: body 1 is body 0 in 100% of the frames"]


def test_one_person_twice_is_found_where_it_is_so_for_part_of_the_clip(people, tmp_path):
    def flicker(frames):
        frames[5:12, 1] = frames[5:12, 0]  # the tracker sees a second person for a moment

    def at_first(frames):
        other = people[11].frames[:, 0]
        frames[:, 1] = other[np.arange(len(frames)) % len(other)]
        frames[: len(frames) // 2, 1] = frames[: len(frames) // 2, 0] + np.float32(0.3)

    clips, name = altered(people, flicker)
    assert findings(tmp_path / "a", clips, normalised=True)["twice"].details[0].endswith("in 100% of the frames")
    clips, name = altered(people, at_first)
    found = findings(tmp_path / "b", clips, normalised=True)["twice"]
    assert found.clips == [name]
    assert "in 5" in found.details[0] or "in 49%" in found.details[0]


def test_one_person_twice_is_found_after_the_import_has_looped_the_copy(recorded, tmp_path):
    clips = [replace(clip, frames=clip.frames.copy()) for clip in recorded]
    clips[5].frames[20:35, 1] = clips[5].frames[20:35, 0] + np.float32(0.1)
    store_recordings(clips, tmp_path / "made", layout=KINECT, fps=30.0, bodies=2, rule="released")
    found = {finding.name: finding for finding in check_store(ClipStore.open(tmp_path / "made")).findings}
    assert found["twice"].clips == [clips[5].id]


def test_a_copy_that_lacks_joints_is_one_all_the_same_and_another_person_is_not(people, tmp_path):
    def with_gaps(frames):
        frames[:, 1] = frames[:, 0] + np.float32(0.4)
        frames[:, 1, ::5] = 0

    def another(frames):
        other = people[11].frames[:, 0]
        frames[:, 1] = other[np.arange(len(frames)) % len(other)] + np.float32(0.4)

    clips, name = altered(people, with_gaps)
    assert findings(tmp_path / "a", clips, normalised=True)["twice"].clips == [name]
    clips, _ = altered(people, another)
    assert "twice" not in findings(tmp_path / "b", clips, normalised=True)


# Which way is up


def test_single_bodies_that_lie_or_stand_on_their_heads_are_listed(people, tmp_path):
    clips = turned(turned(people, UPSIDE_DOWN, lambda i: i == 3), LYING, lambda i: i == 7)
    found = findings(tmp_path, clips, normalised=True)
    assert found["upside_down"].clips == [clips[3].id]
    assert found["tilted"].clips == [clips[7].id]
    assert "axes" not in found
    degrees = float(found["upside_down"].details[0].split(": ")[1].split()[0])
    assert degrees > 150


@pytest.mark.parametrize("every", [2, 4])
def test_many_bodies_upside_down_are_one_line_that_names_the_option(people, tmp_path, every):
    found = findings(tmp_path, turned(people, UPSIDE_DOWN, lambda i: i % every == 0), normalised=True)
    assert len(found["axes"].clips) == 24 // every
    assert "--rule upright and --up AXIS" in found["axes"].text
    assert not {"upside_down", "tilted"} & set(found)


def test_a_store_whose_axes_are_all_wrong_is_told(people, tmp_path):
    found = findings(tmp_path, turned(people, LYING), normalised=True)
    assert len(found["axes"].clips) == 24


def test_recordings_as_they_are_are_compared_with_each_other(recorded, tmp_path):
    opencv = turned(recorded, OPENCV)
    assert findings(tmp_path / "a", opencv, normalised=False) == {}
    one = findings(tmp_path / "b", turned(recorded, OPENCV, lambda i: i == 2), normalised=False)
    assert one["upside_down"].clips == [recorded[2].id]
    half = findings(tmp_path / "c", turned(recorded, OPENCV, lambda i: i % 2 == 0), normalised=False)
    assert "different axes" in half["axes"].text
    assert any(line.endswith("along -y") for line in half["axes"].details)
    assert any(line.endswith("along +y") for line in half["axes"].details)


# Units and dimensions


@pytest.mark.parametrize(
    ("factor", "told"),
    [
        (100, "They look like centimetres: multiply the coordinates by 0.01 and import again"),
        (1000, "They look like millimetres: multiply the coordinates by 0.001"),
        (0.05, "is the unit the metre?"),
    ],
)
def test_units_are_named(people, tmp_path, factor, told):
    assert told in findings(tmp_path, scaled(people, factor))["units"].text
    assert unit_of(1.7) == "metres"


def test_flat_bodies_are_found_and_pixels_named(people, recorded, tmp_path):
    assert len(findings(tmp_path / "a", scaled(recorded, [1, 1, 0]), normalised=False)["flat"].clips) == 24
    pixels = scaled(recorded, [200, 200, 0])
    for clip in pixels:
        clip.frames[:, 0, :, 2] = 0.9  # a confidence
    found = findings(tmp_path / "b", pixels, normalised=False)
    assert found["units"].text.endswith("They look like pixels")
    assert "confidence" in found["flat"].text
    one, name = altered(people, lambda frames: np.multiply(frames, [1, 0, 1], out=frames, casting="unsafe"))
    assert findings(tmp_path / "c", one, normalised=True)["flat"].clips == [name]


# Absence


def gaps(share, seed=0):
    """Takes joints away at random."""

    def change(frames):
        frames[:, 0][np.random.default_rng(seed).random(frames[:, 0].shape[:2]) < share] = 0

    return change


def test_clips_in_which_much_is_absent_are_found_and_nothing_else_is_said_of_them(people, tmp_path):
    clips, name = altered(people, gaps(0.3))
    found = findings(tmp_path, clips, normalised=True)
    assert set(found) == {"absent", "much_absent"}
    assert found["much_absent"].clips == [name]
    assert found["much_absent"].details == [f"{name}: body 0: 28%"]  # the centre of a normalised clip is never absent


def test_a_little_absence_everywhere_is_one_line(people, tmp_path):
    clips = [replace(clip, frames=clip.frames.copy()) for clip in people]
    for number, clip in enumerate(clips):
        gaps(0.05, number)(clip.frames)
    found = findings(tmp_path, clips, normalised=True)
    assert set(found) == {"absent"}
    assert found["absent"].text.startswith("4.7% of the joints are absent")


def test_joints_that_no_clip_has_are_named_and_count_as_no_loss(people, tmp_path):
    clips = [replace(clip, frames=clip.frames.copy()) for clip in people]
    for clip in clips:
        clip.frames[:, :, [7, 21]] = 0
    found = findings(tmp_path, clips, normalised=True)
    assert set(found) == {"absent_joint"}
    assert found["absent_joint"].text.endswith(f": {KINECT.joints[7]}, {KINECT.joints[21]}")


def test_a_number_that_stands_for_absent_is_found(recorded, tmp_path):
    clips = [replace(clip, frames=clip.frames.copy()) for clip in recorded]
    for number, clip in enumerate(clips):
        clip.frames[:, 0][np.random.default_rng(number).random(clip.frames[:, 0].shape[:2]) < 0.1] = -1
    found = findings(tmp_path, clips, normalised=False)
    assert len(found["one_place"].clips) == 24
    assert "-1 stand for absent" in found["one_place"].text


def test_a_clip_of_one_frame_and_one_without_legs_can_be_checked(people, tmp_path):
    clips = [replace(clip, frames=clip.frames.copy()) for clip in people]
    clips[0] = replace(clips[0], frames=clips[0].frames[:1])
    clips[1].frames[:, :, LEGS] = 0
    store = store_of(tmp_path, clips, normalised=True)
    assert len(ClipStore.open(store.path)) == 24
    found = findings(tmp_path / "again", clips, normalised=True)
    assert found["much_absent"].clips == [clips[1].id]
    assert not {"axes", "tilted", "upside_down"} & set(found)


# What preparing has changed


def test_what_is_cut_off_dropped_and_filled_is_told_by_check_and_info(recorded, tmp_path, cli):
    clips = [replace(clip, frames=clip.frames.copy()) for clip in recorded]
    clips[2].frames[:, 1] = clips[11].frames[np.arange(len(clips[2].frames)) % len(clips[11].frames), 0]
    gaps(0.02)(clips[4].frames)
    store_recordings(clips, tmp_path / "made", layout=KINECT, fps=30.0, bodies=1, max_frames=60)
    store = ClipStore.open(tmp_path / "made")
    found = {finding.name: finding for finding in check_store(store).findings}
    assert found["dropped"].clips == [clips[2].id]
    assert found["gaps"].clips == [clips[4].id]
    assert found["cut"].clips == [clip.id for clip in clips if len(clip.frames) > 60]
    assert not any(found[name].wrong for name in ("dropped", "gaps", "cut"))
    told = cli("info", store.path, "--json")
    assert told.json["changes"] == [found[name].text for name in ("cut", "dropped", "gaps")]
    assert all(line in told.out for line in told.json["changes"])
    assert "by the rule upright, up was (0, 1, 0)" in told.out
