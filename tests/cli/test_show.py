"""``pcm3 show``: files of pictures, which clips are meant, and mistakes."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from ntu_file_text import skeleton_text, walkers
from PIL import Image

from pcm3.data.recording import Interval, Recording
from pcm3.data.store import ClipStore
from pcm3.errors import ConfigError, DataError
from pcm3.render import excerpt as excerpt_module
from pcm3.render import movie
from pcm3.render.draw import PARTS, PARTS_OTHER
from pcm3.render.excerpt import Drawing
from pcm3.render.render import render
from pcm3.render.scene import SENSOR, make_scene
from pcm3.render.selection import SAMPLE, find_name, raw_scenes, running_labels, store_scenes
from pcm3.skeleton import load_layout

V2 = load_layout("kinect_v2")


def scene_of(frames=8, bodies=1, fps=30.0, **more):
    return make_scene(walkers(0, frames, bodies), V2, fps=fps, normalised=False, **more)


def gif(path):
    """Its frames (RGB arrays) and their durations in milliseconds."""
    with Image.open(path) as opened:
        frames, durations = [], []
        for number in range(opened.n_frames):
            opened.seek(number)
            frames.append(np.asarray(opened.convert("RGB")))
            durations.append(opened.info["duration"])
        return frames, durations


def near(picture, colour):
    """How many pixels are of about that colour."""
    return int((np.abs(picture.astype(int) - colour).max(axis=-1) <= 4).sum())


def files_in(folder):
    return sorted(file.name for file in folder.iterdir())


# Movies


@pytest.mark.parametrize(
    "fps", [15.0, 29.97, *(pytest.param(fps, marks=pytest.mark.soak) for fps in (24.0, 30.0, 50.0))]
)
def test_a_gif_keeps_the_true_speed_on_average(tmp_path, fps):
    frames, seconds = render([scene_of(41, fps=fps)], tmp_path / "a.gif", size=100)
    shown, durations = gif(tmp_path / "a.gif")
    assert frames == len(shown) == 41
    assert seconds == pytest.approx(41 / fps)
    assert sum(durations) / 1000 == pytest.approx(41 / fps, abs=0.006)
    assert max(durations) - min(durations) <= 10


def test_a_gif_shows_every_frame_as_it_was_drawn(tmp_path):
    from pcm3.render.sheet import side_by_side

    scene = scene_of(12, bodies=2)
    drawn = [movie.in_palette(frame) for frame in side_by_side([scene], size=120).frames()]
    render([scene], tmp_path / "a.gif", size=120, names=False)
    for shown, expected in zip(gif(tmp_path / "a.gif")[0], drawn, strict=True):
        np.testing.assert_array_equal(shown, np.asarray(expected.convert("RGB")))


def test_frames_that_do_not_differ_are_shown_too(tmp_path):
    still = [Image.new("RGB", (20, 10), "white")] * 5
    movie.save_movie(still, tmp_path / "a.gif", 10.0)
    frames, durations = gif(tmp_path / "a.gif")
    assert len(frames) == 5
    assert sum(durations) == 500
    with Image.open(tmp_path / "a.gif") as opened:
        assert opened.info["loop"] == 0, "for ever"


def test_a_gif_of_a_fast_recording_leaves_frames_out_at_the_same_speed(tmp_path):
    frames, seconds = render([scene_of(120, fps=120.0)], tmp_path / "a.gif", size=60)
    assert frames == 40
    assert sum(gif(tmp_path / "a.gif")[1]) == pytest.approx(1000, abs=6)
    assert seconds == pytest.approx(1.0)


def test_every_and_fps(tmp_path):
    assert render([scene_of(30)], tmp_path / "a.gif", size=60, every=3) == (10, pytest.approx(1.0))
    assert render([scene_of(30)], tmp_path / "a.gif", size=60, fps=10.0) == (30, pytest.approx(3.0))


def test_two_clips_run_by_one_clock_until_the_longer_ends(tmp_path):
    frames, _ = render([scene_of(5), scene_of(9)], tmp_path / "a.gif", size=100)
    shown, _ = gif(tmp_path / "a.gif")
    assert frames == len(shown) == 9
    half = shown[0].shape[1] // 2
    np.testing.assert_array_equal(shown[4][:, :half], shown[8][:, :half])
    assert (shown[4][:, half:] != shown[8][:, half:]).any()


def test_many_clips_become_a_sheet(tmp_path):
    scenes = [scene_of(6 + number, bodies=2, label=f"action {number}", title=f"clip{number}") for number in range(7)]
    assert render(scenes, tmp_path / "a.gif", every=1)[0] == 12
    assert render(scenes, tmp_path / "a.png")[0] == 6
    for file in ("a.gif", "a.png"):
        with Image.open(tmp_path / file) as opened:
            picture = np.asarray(opened.convert("RGB"))
        assert all(near(picture, colour) > 100 for colour in (PARTS[1], PARTS[2], PARTS_OTHER[1], PARTS_OTHER[2]))


def test_a_moving_sheet_lasts_five_seconds_at_most_at_the_true_speed(tmp_path):
    frames, seconds = render([scene_of(number) for number in (200, 300, 40)], tmp_path / "a.gif", size=40)
    assert (frames, seconds) == (75, pytest.approx(5.0))
    shown, durations = gif(tmp_path / "a.gif")
    assert (len(shown), sum(durations)) == (75, 5000)
    half = (shown[0].shape[0] - 20) // 2  # below it the third one begins again after its 20 frames
    assert (shown[0][half:] != shown[10][half:]).any()
    for place in range(20, 75):
        np.testing.assert_array_equal(shown[place][half:], shown[place - 20][half:])


def test_no_picture_holds_hundreds_of_clips(tmp_path):
    for scenes in ([], [scene_of(1)] * 201):
        with pytest.raises(DataError, match="expected 1 to 200 clips in a picture, got"):
            render(scenes, tmp_path / "a.png")


def test_a_png_of_one_clip_is_a_row_of_moments_and_of_one_frame_that_frame_with_names(tmp_path):
    assert render([scene_of(20)], tmp_path / "row.png")[0] == 8
    assert render([scene_of(1)], tmp_path / "one.png")[0] == 1
    with Image.open(tmp_path / "row.png") as row, Image.open(tmp_path / "one.png") as one:
        assert row.width > 4 * row.height
        assert one.width < 2 * one.height


def test_a_file_that_is_there_is_replaced_and_kept_when_drawing_fails(tmp_path):
    path = tmp_path / "a.gif"
    path.write_bytes(b"old")

    def broken():
        yield Image.new("RGB", (9, 9))
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        movie.save_movie(broken(), path, 30.0)
    assert path.read_bytes() == b"old"
    render([scene_of(3)], path, size=60)
    assert path.read_bytes().startswith(b"GIF89a")
    assert files_in(tmp_path) == ["a.gif"]


FFMPEG = """#!{python}
import sys, pathlib
data = sys.stdin.buffer.read({read})
if {fail}:
    sys.exit("Unknown encoder")
width, height = map(int, sys.argv[sys.argv.index("-s") + 1].split("x"))
rate = sys.argv[sys.argv.index("-r") + 1]
pathlib.Path(sys.argv[-1]).write_text(f"{{len(data) / (3 * width * height)}} {{width}} {{height}} {{rate}}")
"""


@pytest.fixture
def ffmpeg(tmp_path, monkeypatch):
    """Puts a program in ffmpeg's place that writes how many frames came, their size and their rate."""

    def put(*, fail=False, read=-1):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        (folder / "ffmpeg").write_text(FFMPEG.format(python=sys.executable, fail=fail, read=read))
        (folder / "ffmpeg").chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))

    return put


def test_an_mp4_gets_every_frame_with_even_sides(tmp_path, ffmpeg):
    ffmpeg()
    render([scene_of(7, fps=29.97)], tmp_path / "a.mp4", size=101, names=False)
    assert (tmp_path / "a.mp4").read_text() == "7.0 122 186 29.97"


@pytest.mark.parametrize("read", [-1, 10], ids=["at its end", "at once"])
def test_what_ffmpeg_says_is_told_and_nothing_is_left(tmp_path, ffmpeg, read):
    ffmpeg(fail=True, read=read)
    with pytest.raises(DataError, match=r"a\.mp4: ffmpeg could not write it: Unknown encoder"):
        render([scene_of(30)], tmp_path / "a.mp4", size=300)
    assert files_in(tmp_path) == ["bin"]


def test_forms_that_cannot_be_written_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match="ffmpeg, which is not on the PATH"):
        movie.check_form(tmp_path / "a.mp4")
    for name in ("a.jpg", "a", "no/a.gif"):
        with pytest.raises(DataError, match="expected a file"):
            movie.check_form(tmp_path / name)
    assert movie.check_form(tmp_path / "A.GIF") == ".gif"


# Long clips


@pytest.fixture
def long_store(write_tiny, tmp_path):
    """A clip of 5,000 frames, and a short one."""
    clips = [Recording("long", walkers(0, 5000, 1).repeat(2, axis=1)), Recording("short", walkers(1, 20, 2))]
    write_tiny(tmp_path / "store", clips, normalised=False)
    return tmp_path / "store"


def test_of_a_long_clip_the_first_frames_are_drawn_and_told(cli, long_store, tmp_path, monkeypatch):
    monkeypatch.setattr(excerpt_module, "DRAWN", 30)
    found = cli("show", long_store, "long", "--size", 60, "--out", tmp_path / "a.gif", "--json")
    assert "a.gif: 1 clip, 30 frames, 1.0 s" in found.out
    assert found.json["drawn"] == ["long: frames 0 to 29 of 5,000; --frames A-B draws others, --every N only every Nth"]
    assert found.json["drawn"][0] in found.out
    found = cli("show", long_store, "long", "--size", 60, "--every", 100, "--out", tmp_path / "a.gif", "--json")
    assert (found.json["frames"], found.json["drawn"][0][:32]) == (30, "long: frames 0 to 2,999 of 5,000")
    found = cli("show", long_store, "long", "--size", 60, "--frames", "4990-", "--out", tmp_path / "a.gif", "--json")
    assert (found.json["frames"], found.json["drawn"]) == (10, [])
    found = cli("show", long_store, "long", "--size", 60, "--frames", "1000-", "--out", tmp_path / "a.gif", "--json")
    assert (found.json["frames"], found.json["drawn"][0][:36]) == (120, "long: frames 1,000 to 1,119 of 5,000")


def test_a_still_picture_of_a_long_clip_looks_at_frames_from_all_of_it(cli, long_store, tmp_path):
    found = cli("show", long_store, "long", "--out", tmp_path / "a.png", "--json")
    assert found.json["drawn"] == ["long: 295 evenly spread frames of 0 to 4,999"]
    (scene,) = store_scenes(ClipStore.open(long_store), ["long"], Drawing(".png"))
    assert (scene.numbers[0], scene.numbers[-1], len(scene)) == (0, 4998, 295)
    np.testing.assert_array_equal(np.diff(scene.numbers), 17)
    many = cli("show", long_store, "long", "short", "long", "--out", tmp_path / "b.gif", "--size", 40, "--json")
    assert (many.json["frames"], many.json["drawn"]) == (75, ["2 of 3 clips are drawn for their first 5 seconds"])


def test_fewer_frames_are_drawn_of_large_pictures_and_of_many_bodies():
    def drawn(bodies=2, **about):
        return len(Drawing(**about).excerpt("a", 10**6, bodies, 30.0, 1).frames)

    assert drawn() == 900
    assert drawn(asked=slice(5, None)) == 3600
    assert drawn(bodies=100) == 18
    assert drawn(size=840) == 225
    assert drawn(size=4000) == 10
    assert drawn(every=7) == 6300
    assert len(Drawing().excerpt("a", 10**6, 2, 480.0, 1).frames) == 9000, "of which every tenth"


def test_a_recording_is_drawn_in_part_with_its_running_label(tmp_path, write_tiny):
    store = untrimmed(write_tiny, tmp_path / "store")
    (scene,) = store_scenes(store, ["long2"], Drawing(asked=slice(14, 17)))
    assert scene.labels == ("nod", "nod + raise arm", "nod + raise arm")
    assert scene.numbers.tolist() == [14, 15, 16]


def test_clips_far_away_of_one_frame_without_a_body_or_with_strange_names_are_drawn(write_tiny, tmp_path, cli):
    far = walkers(0, 9, 2) + np.float32(900)
    names = ["far", "apart", "one frame", "nobody", "ünï ☃ " + "x" * 190]
    clips = [Recording(name, walkers(1, 9, 2)) for name in names]
    clips[0] = Recording("far", far)
    clips[1].frames[:, 1] -= np.float32(900)
    clips[2] = Recording("one frame", walkers(2, 1, 1).repeat(2, axis=1))
    clips[3].frames[:] = 0
    write_tiny(tmp_path / "store", clips, normalised=False)
    for number in range(len(clips)):
        for form in ("gif", "png"):
            found = cli("show", tmp_path / "store", number, "--size", 60, "--out", tmp_path / f"{number}.{form}")
            assert found.code == 0, found.err
    assert (
        cli("show", tmp_path / "store", 2, "--out", tmp_path / "a.gif").out.strip().endswith("1 clip, 1 frame, 0.0 s")
    )


# Which clips


def test_names_are_whole_or_begin_or_are_numbers():
    names = ["walk", "walk_1", "run_1", "run_2", "12"]
    assert find_name("walk", names, numbered=5) == 0
    assert find_name("walk_", names, numbered=5) == 1
    assert find_name("3", names, numbered=5) == find_name("#3", names, numbered=5) == 3
    assert find_name("12", names, numbered=5) == 4
    for wrong, told in (
        ("run", "'run' begins 2 names: run_1, run_2: give more of it"),
        ("wolk", "there is no clip 'wolk'; the nearest of 5: walk"),
        ("#5", "there is no clip '#5'"),
        ("-1", "there is no clip '-1'"),
        ("²", "there is no clip"),
    ):
        with pytest.raises(DataError, match=told):
            find_name(wrong, names, numbered=5)


def test_a_store_shows_the_first_clip_of_each_class(store):
    scenes = store_scenes(store)
    assert [scene.name for scene in scenes] == list(store.classes)
    assert [scene.title for scene in scenes] == [str(store.ids[list(store.label).index(label)]) for label in range(3)]


def untrimmed(write_tiny, path):
    """A store of two recordings of 50 frames with intervals, opened."""
    intervals = (Interval(5, 20, 1), Interval(15, 30, 0))
    recordings = [
        Recording(f"long{number}", walkers(number, 50, 2), intervals=intervals, subject=number) for number in (1, 2)
    ]
    write_tiny(path, recordings, normalised=False)
    return ClipStore.open(path)


def test_an_untrimmed_recording_is_shown_with_its_running_label(tmp_path, write_tiny):
    store = untrimmed(write_tiny, tmp_path / "store")
    (scene,) = store_scenes(store, ["long2"])
    assert (len(scene), scene.title, scene.view) == (50, "long2", SENSOR)
    assert scene.labels[0] == scene.labels[30] == ""
    assert scene.labels[5] == "nod"
    assert scene.labels[15] == "nod + raise arm"
    assert scene.labels[29] == "raise arm"
    assert scene.name == "long2"
    (clip,) = store_scenes(store, ["0"])
    assert (len(clip), clip.name) == (15, "nod")


def test_running_labels_stay_inside_the_recording():
    assert running_labels([Interval(1, 9, 0), Interval(0, 1, 5)], range(3), ["wave"]) == ["class 5", "wave", "wave"]


@pytest.fixture
def ntu_zip(tmp_path):
    path = tmp_path / "raw.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for action in range(1, 21):
            frames = walkers(action, 6, 2)
            archive.writestr(f"S001C001P001R001A{action:03}.skeleton", skeleton_text(frames))
    return path


def test_raw_recordings_are_shown_as_they_are(ntu_zip):
    (scene,) = raw_scenes("ntu60", ntu_zip, ["S001C001P001R001A007"])
    assert (len(scene), scene.title, scene.labels[0], scene.view) == (6, "S001C001P001R001A007", "throw", SENSOR)
    moved = scene.points[..., [0, 2, 1]] * [1, 1, -1] - walkers(7, 6, 2)
    np.testing.assert_allclose(moved, np.broadcast_to(moved[0, 0, 0], moved.shape), atol=1e-4)
    assert len(raw_scenes("ntu60", ntu_zip)) == SAMPLE


def test_raw_mistakes(ntu_zip, tmp_path):
    with pytest.raises(DataError, match="there is no clip 'S002'"):
        raw_scenes("ntu60", ntu_zip, ["S002"])
    with pytest.raises(ConfigError, match="ntu60 has the layout kinect_v2"):
        raw_scenes("ntu60", ntu_zip, layout="kinect_v1")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no recordings of kind ntu60"):
        raw_scenes("ntu60", tmp_path / "empty")


# The command


def test_the_command_writes_a_gif_and_tells_so(cli, store_path, tmp_path):
    out = tmp_path / "a.gif"
    found = cli("show", store_path, "clip03", "--frames", "10-19", "--size", 120, "--out", out, "--json")
    assert found.code == 0, found.err
    told = json.loads(found.out.splitlines()[-1])
    assert told == {"file": str(out), "frames": 10, "seconds": pytest.approx(0.333), "drawn": []}
    assert len(gif(out)[0]) == 10


def test_without_a_name_for_the_file_one_is_found_in_the_folder(cli, store_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli("show", store_path, "#3", "--frames", "0-2").code == 0
    assert cli("show", store_path, "5", "clip04", "--every", 20).code == 0
    assert cli("show", store_path).code == 0
    assert files_in(tmp_path) == ["clip03.gif", "clip05+clip04.gif", "sheet.png"]


def test_options_of_the_command(cli, store_path, tmp_path):
    words = ["show", store_path, "0", "1", "--every", 4, "--fps", 20, "--names", "--view", -30, 45]
    assert cli(*words, "--out", tmp_path / "a.gif").code == 0
    with Image.open(tmp_path / "a.gif") as opened:
        assert opened.width > 1000, "names need room"
    for name in ("on.png", "off.png"):
        more = ["--names", "false"] if name == "off.png" else []
        assert cli("show", store_path, "0", "--frames", "3", *more, "--out", tmp_path / name).code == 0
    with Image.open(tmp_path / "on.png") as on, Image.open(tmp_path / "off.png") as off:
        assert on.width > off.width + 100


def test_raw_recordings_by_the_command(cli, ntu_zip, tmp_path):
    words = ["show", ntu_zip, "S001C001P001R001A007", "--kind", "ntu60"]
    assert cli(*words, "--out", tmp_path / "a.png").code == 0
    assert cli("show", ntu_zip, "--kind", "ntu60", "--out", tmp_path / "b.gif").code == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["clip99"], "there is no clip 'clip99'; the nearest of 24: clip"),
        (["clip"], "'clip' begins 24 names"),
        (["0", "--out", "a.tiff"], "a.tiff: expected a file that ends in .gif, .mp4, .png"),
        (["0", "--frames", "9-3"], "expected A-B, A- or A"),
        (["0", "--frames", "x"], "expected A-B, A- or A, numbers of frames from 0 on, got 'x'"),
        (["0", "--frames", "900-"], "expected some of the frames 0 to"),
        (["0", "--every", "0"], "--every: expected more than 0"),
        (["0", "--fps", "-1"], "--fps: expected more than 0"),
        (["0", "--size", "99999"], "--size: expected 40 to 4000 pixels"),
        (["0", "--kind", "ntu"], "expected a kind of data set"),
        (["0", "--out", "."], "expected a file"),
        (["0", "--out", "no/a.gif"], "expected a file in a folder that is there, but no is not: make it first"),
        (["0", "--view", "1e300", "0"], "--view: expected two angles in degrees"),
        (["0", "--layout", "kinect_v1"], "--layout is for raw recordings"),
    ],
)
def test_mistakes_are_told_in_one_line_and_leave_nothing(cli, store_path, tmp_path, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    found = cli("show", store_path, *words)
    assert found.code == 2
    assert told in found.err
    assert found.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_showing_needs_neither_torch_nor_matplotlib(store_path, tmp_path):
    look = "import sys; from pcm3.cli import main; main(sys.argv[1:])\n"
    look += "print(*sorted({'torch', 'matplotlib', 'scipy', 'sklearn'} & set(sys.modules)))"
    words = ["show", store_path, "0", "--frames", "0-3", "--out", tmp_path / "a.gif"]
    done = subprocess.run([sys.executable, "-c", look, *words], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1:] == [""]


# Real data

DATA = os.environ.get("PCM3_DATA")


@pytest.mark.data
@pytest.mark.skipif(DATA is None, reason="PCM3_DATA does not name a folder with the real data sets")
@pytest.mark.parametrize(("kind", "folder"), [("utd-mhad", "utd_mhad"), ("msr-action3d", "msr_action3d")])
def test_who_was_recorded_faces_us_with_the_right_hand_on_the_left(kind, folder, tmp_path):
    scenes = raw_scenes(kind, Path(DATA, folder))
    joint = scenes[0].layout.joints.index
    for scene in scenes:
        seen = scene.project(scene.view)[0, 0]
        assert seen[joint("right_shoulder"), 0] < seen[joint("left_shoulder"), 0]
        assert seen[joint("head"), 1] > seen[joint("left_foot"), 1] + 1
    assert render(scenes, tmp_path / "a.png")[0] == 6


def test_raw_files_are_shown_by_what_they_are(cli, tmp_path):
    file = tmp_path / "walk.skeleton"
    file.write_text(skeleton_text(walkers(1, 5)))
    done = cli("show", file, "--frames", "0", "--out", tmp_path / "a.png")
    assert done.code == 0, done.err
    assert "note: taken for skeleton: 1 of 1 files look so" in done.out
    np.save(tmp_path / "walk.npy", walkers(1, 5, 1, 20))
    told = cli("show", tmp_path / "walk.npy", "--out", tmp_path / "b.png")
    assert (told.code, told.err.count("\n")) == (2, 1)
    assert "which skeleton is it?" in told.err
    done = cli("show", tmp_path / "walk.npy", "--layout", "kinect_v1", "--out", tmp_path / "b.png")
    assert done.code == 0, done.err
    assert cli("show", tmp_path / "nothing").code == 2
