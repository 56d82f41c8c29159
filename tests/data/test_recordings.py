"""Recordings by the names of their files, for the library; what a source is told to be."""

import numpy as np
import pytest
from bvh_text import text
from ntu_file_text import skeleton_text, walkers

from pcm3.data.recognise import recognise
from pcm3.data.recordings import read_files, read_recordings
from pcm3.data.source_index import Options
from pcm3.errors import DataError
from pcm3.skeleton import load_layout


def test_a_file_is_read_by_its_name_alone(tmp_path):
    frames = walkers(0, 9, 2)
    (tmp_path / "walk.skeleton").write_text(skeleton_text(frames))
    (recording,) = read_recordings(tmp_path / "walk.skeleton")
    np.testing.assert_allclose(recording.frames, frames, atol=1e-5)
    (again,) = read_recordings(str(tmp_path / "walk.skeleton"), kind="skeleton")
    np.testing.assert_array_equal(again.frames, recording.frames)


def test_what_a_file_does_not_tell_is_asked_for(tmp_path):
    np.save(tmp_path / "walk.npy", walkers(0, 9, 1, 20)[:, 0])
    with pytest.raises(DataError, match="which skeleton is it"):
        read_recordings(tmp_path / "walk.npy", fps=30.0)
    with pytest.raises(DataError, match="how many frames a second"):
        read_recordings(tmp_path / "walk.npy", layout="kinect_v1")
    files = read_files(tmp_path / "walk.npy", Options(load_layout("kinect_v1"), fps=25.0))
    assert (files.fps, files.layout.name, files.recordings[0].id) == (25.0, "kinect_v1", "walk")


def test_several_files_must_be_alike(tmp_path):
    np.save(tmp_path / "a.npy", walkers(0, 9, 1, 25))
    (tmp_path / "b.skeleton").write_text(skeleton_text(walkers(1, 7)))
    paths = [tmp_path / "a.npy", tmp_path / "b.skeleton"]
    read = read_recordings(paths, layout="kinect_v2", fps=30.0)
    assert [recording.id for recording in read] == ["a", "b"]
    twice = read_recordings([paths[1], paths[1]])
    assert [recording.id for recording in twice] == ["b", "b.2"]
    (tmp_path / "c.bvh").write_text(text())
    with pytest.raises(DataError, match=r"c\.bvh: expected layout kinect_v2 as in .*b\.skeleton, got .*: give"):
        read_files([paths[1], tmp_path / "c.bvh"])
    with pytest.raises(DataError, match="expected the name of a file at least"):
        read_recordings([])


def test_files_keep_the_order_in_which_they_are_named(tmp_path):
    for seed, name in enumerate("abc"):
        np.save(tmp_path / f"{name}.npy", walkers(seed, 9, 1, 25))
    named = [tmp_path / f"{name}.npy" for name in "cabc"]
    read = read_recordings(named, layout="kinect_v2", fps=30.0)
    assert [recording.id for recording in read] == ["c", "a", "b", "c.2"]
    for file, recording in zip(named, read, strict=True):
        np.testing.assert_allclose(recording.frames, np.load(file), atol=1e-6)


def test_files_of_other_rates_are_resampled_whether_they_are_of_one_format_or_of_two(tmp_path):
    frames = walkers(1, 31)
    (tmp_path / "b.skeleton").write_text(skeleton_text(frames))
    np.save(tmp_path / "a.npy", frames[::2])
    files = read_files([tmp_path / "b.skeleton", tmp_path / "a.npy"], Options(load_layout("kinect_v2"), fps=15.0))
    assert "recordings of 15 frames a second are resampled to 30" in files.notes
    first, second = (recording.frames for recording in files.recordings)
    np.testing.assert_allclose(second[::2], first[::2], atol=1e-5)
    names = [f"{joint}_{axis}" for joint in load_layout("kinect_v1").joints for axis in "xyz"]
    for name, rate in (("x", 60), ("y", 60), ("z", 30)):
        body = walkers(2, 41, 1, 20)[:: 60 // rate].reshape(-1, 60).round(4).tolist()
        rows = [",".join(map(str, [k / rate, *row])) for k, row in enumerate(body)]
        (tmp_path / f"{name}.csv").write_text("\n".join([",".join(["time", *names]), *rows]))
    files = read_files([tmp_path / f"{name}.csv" for name in "xyz"])
    assert (files.fps, [len(recording.frames) for recording in files.recordings]) == (60.0, [41, 41, 41])
    assert "taken for csv: 3 recordings" in files.notes
    assert "recordings of 30 frames a second are resampled to 60" in files.notes


def test_files_of_another_skeleton_among_those_named_are_told_and_the_others_read(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.bvh").write_text(text() if name < "c" else text().replace("Head", "Hat"))
    files = read_files([tmp_path / f"{name}.bvh" for name in "abc"])
    assert [recording.id for recording in files.recordings] == ["a", "b"]
    assert len(files.lost) == 1
    assert "c.bvh" in files.lost[0][0]
    assert "expected the joints of layout" in files.lost[0][1]


def test_pcm3s_own_form_and_data_sets_are_recognised(tmp_path):
    np.savez(tmp_path / "mine.npz", frames=walkers(0, 9, 1, 20), length=[4, 5], layout="kinect_v1", fps=25.0)
    files = read_files(tmp_path / "mine.npz")
    assert (len(files.recordings), files.fps) == (2, 25.0)
    folder = tmp_path / "ntu"
    folder.mkdir()
    for action in (1, 60):
        (folder / f"S001C001P001R001A{action:03}.skeleton").write_text(skeleton_text(walkers(action, 5)))
    assert recognise(folder).kind == "ntu60"
    (folder / "S001C001P001R001A061.skeleton").write_text(skeleton_text(walkers(3, 5)))
    assert recognise(folder).kind == "ntu120"
    assert "3 of 3 files" in recognise(folder).why


@pytest.mark.parametrize("name", ["notes.txt", "movie.mp4"])
def test_what_nobody_knows_is_called_by_its_ending(tmp_path, name):
    (tmp_path / name).write_bytes(b"nothing of use")
    with pytest.raises(DataError, match=rf"expected recordings of a kind that pcm3 knows, got 1 \.{name[-3:]}"):
        recognise(tmp_path)
    with pytest.raises(DataError, match=r"there is none|are none"):
        recognise(tmp_path / "nowhere")
