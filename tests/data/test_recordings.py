"""Recordings by the names of their files, for the library; what a source is told to be."""

import numpy as np
import pytest
from ntu_file_text import skeleton_text, walkers

from pcm3.data.recognise import recognise
from pcm3.data.recordings import read_files, read_recordings
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
    files = read_files(tmp_path / "walk.npy", layout=load_layout("kinect_v1"), fps=25.0)
    assert (files.fps, files.layout.name, files.recordings[0].id) == (25.0, "kinect_v1", "walk")


def test_several_files_must_be_alike(tmp_path):
    np.save(tmp_path / "a.npy", walkers(0, 9, 1, 25))
    (tmp_path / "b.skeleton").write_text(skeleton_text(walkers(1, 7)))
    paths = [tmp_path / "a.npy", tmp_path / "b.skeleton"]
    read = read_recordings(paths, layout="kinect_v2", fps=30.0)
    assert [recording.id for recording in read] == ["a", "b"]
    twice = read_recordings([paths[1], paths[1]])
    assert [recording.id for recording in twice] == ["b", "b.2"]
    with pytest.raises(DataError, match=r"b\.skeleton: expected fps 25\.0 as in .*a\.npy, got 30"):
        read_recordings(paths, layout="kinect_v2", fps=25.0)
    with pytest.raises(DataError, match="expected the name of a file at least"):
        read_recordings([])


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
