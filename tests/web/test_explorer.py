import os
import sys
from threading import get_native_id
from unittest.mock import Mock

import numpy as np
import pytest

import pcm3
from pcm3.errors import CheckpointError, ConfigError
from pcm3.render.scene import make_scene
from pcm3.web import explorer as explorer_module
from pcm3.web.embedded import EmbeddedClips
from pcm3.web.explorer import Explorer
from pcm3.web.kept import folder_beside
from pcm3.web.skeletons import skeleton


def test_features_are_those_of_embed_and_neighbours_those_of_all_cosines(computed):
    features = computed.model.embed(computed.store)
    np.testing.assert_array_equal(computed.mine.features, features)
    rows = features / np.linalg.norm(features, axis=1, keepdims=True)
    near, far = computed.mine.neighbours(5, 4)
    wanted = [clip for clip in np.argsort(1 - rows @ rows[5], kind="stable") if clip != 5][:4]
    assert near.tolist() == wanted
    np.testing.assert_allclose(far, 1 - rows[near] @ rows[5], atol=1e-6)
    assert computed.mine.neighbours(0, 100)[0].tolist().count(0) == 0


def test_another_visit_finds_the_maps_that_are_kept(explorer, store, finished_path, monkeypatch):
    explorer.work()
    before = explorer.mine.arrays
    explorer.stop()
    again = Explorer.open(pcm3.load(finished_path, device="cpu"), store, explorer.labels.file.parent)
    monkeypatch.setattr("pcm3.web.embedded.extract", None)
    again.work()
    assert again.progress.stage == "done"
    for name, array in again.mine.arrays.items():
        np.testing.assert_allclose(array, before[name], rtol=1e-3, atol=1e-3)
    kept = again.mine.kept
    assert list(kept.read(len(store), features=True)) == ["features"]  # the maps do not wait for these
    assert "pca" in kept.read(len(store), features=False)
    again.mine.kept.file.write_bytes(again.mine.kept.file.read_bytes()[:200])
    assert again.mine.kept.read(len(store), features=False) == again.mine.kept.read(len(store), features=True) == {}
    again.stop()


def test_an_error_in_the_background_is_told(explorer, monkeypatch, capsys):
    monkeypatch.setattr("pcm3.web.explorer.pca_map", lambda features: 1 / 0)
    explorer.work()
    assert (explorer.progress.stage, explorer.progress.error) == ("failed", "division by zero")
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_where_nothing_can_be_kept_the_page_has_all_the_same(explorer, store, monkeypatch, capsys):
    """A full disk, say: the next visit computes anew."""
    monkeypatch.setattr("pcm3.web.kept.write_atomically", Mock(side_effect=OSError(28, "No space left on device")))
    for name in ("pca", "tsne"):
        explorer.mine.once(name, lambda: np.zeros((len(store), 2), np.float32))
    assert list(explorer.maps[0]) == ["pca", "tsne"]
    said = f"note: {explorer.mine.kept.file}: not kept (No space left on device): the next visit computes it anew\n"
    assert capsys.readouterr().err == said


def test_two_explorers_do_not_write_the_same_labels(explorer, store, finished_path):
    with pytest.raises(ConfigError, match="another explorer"):
        Explorer.open(explorer.model, store, explorer.labels.file.parent)


def test_a_store_that_the_model_cannot_be_fed_with_is_refused(write_tiny, finished_path, tmp_path):
    other = write_tiny(tmp_path / "other", normalised=False)
    with pytest.raises(CheckpointError):
        Explorer.open(pcm3.load(finished_path, device="cpu"), other, tmp_path / "kept")


def test_columns_say_what_is_known_of_each_clip(explorer):
    columns = explorer.columns
    np.testing.assert_array_equal(columns["subject"], explorer.store.subject)
    assert set(columns["side xsub"][np.isin(explorer.store.subject, [1, 2, 4])]) == {0}
    assert set(columns["side xsub"][explorer.store.subject == 3]) == {1}


def test_a_skeleton_is_the_scene_that_show_draws(store):
    scene = make_scene(store.clip(2), store.layout, fps=store.fps, normalised=store.normalised)
    got = skeleton(store, 2)
    np.testing.assert_allclose(got[scene.present], scene.points[scene.present], atol=1e-6)
    assert np.isnan(got[~scene.present]).all()


def test_what_is_kept_lies_beside_the_store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert folder_beside(tmp_path / "a.b") == (tmp_path / "a.b.explore").resolve()
    assert folder_beside(tmp_path.__class__(".")) == tmp_path.resolve().with_name(f"{tmp_path.resolve().name}.explore")


def test_on_a_first_visit_there_is_a_map_of_poses_until_the_model_has_encoded_the_clips(explorer, store, monkeypatch):
    seen, embed = [], EmbeddedClips.embed
    monkeypatch.setattr(
        EmbeddedClips, "embed", lambda own, on_block: (seen.append(explorer.maps[0]), embed(own, on_block))[1]
    )
    explorer.mine.arrays["tsne"] = np.zeros((len(store), 2), np.float32)
    explorer.work()
    assert list(seen[0]) == ["poses", "tsne"]
    same = np.linalg.norm(
        seen[0]["poses"][store.label == 2] - seen[0]["poses"][store.label == 2].mean(0), axis=1
    ).mean()
    assert same < np.linalg.norm(seen[0]["poses"], axis=1).mean()  # squats lie together, no model needed
    assert list(explorer.maps[0]) == ["pca", "tsne"]
    assert "poses" not in explorer.mine.kept.read(len(store), features=False)


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority of their own")
def test_the_work_in_the_background_gives_way_and_nobody_else_does(explorer, store, monkeypatch):
    found = {}
    nice = lambda: os.getpriority(os.PRIO_PROCESS, get_native_id())  # noqa: E731
    poses, embed = explorer_module.pose_map, EmbeddedClips.embed
    monkeypatch.setattr(explorer_module, "pose_map", lambda store: (found.update(poses=nice()), poses(store))[1])
    monkeypatch.setattr(EmbeddedClips, "embed", lambda *given: (found.update(features=nice()), embed(*given))[1])
    explorer.mine.arrays["tsne"] = np.zeros((len(store), 2), np.float32)
    before = nice()
    explorer.begin().join()
    assert explorer.progress.stage == "done"
    assert found == {"poses": before, "features": max(before, explorer_module.YIELDS)}
    assert nice() == before


def test_no_work_goes_on_when_the_explorer_is_closed(explorer):
    """A thread that computes while the interpreter goes takes the process down with it."""
    thread = explorer.begin()
    explorer.stop()
    assert not thread.is_alive()
    assert explorer.progress.stage != "failed"
