"""What a model is compared with: what its features are, and what is told of them."""

from dataclasses import replace

import bvh_text
import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient

import pcm3
from pcm3.api import Model
from pcm3.augment.crop import crop_resize
from pcm3.encoders.files import load_encoder, save_encoder
from pcm3.errors import CheckpointError
from pcm3.settings.tasks import TaskSettings
from pcm3.tasks.evaluate import untrained
from pcm3.tasks.setup import Setup
from pcm3.web import beside
from pcm3.web.comparison import compare
from pcm3.web.explorer import Explorer
from pcm3.web.maps import turned_like
from pcm3.web.routes import explorer_app


@pytest.fixture
def another(finished_path, tmp_path):
    """A model of another width and another stream, on the same clips."""
    _, spec = load_encoder(finished_path)
    changed = replace(spec, hidden_size=6, stream="motion", frames=20, normalise_features=False)
    save_encoder(tmp_path / "another", changed.build(3), changed)
    return tmp_path / "another"


def test_another_model_has_the_features_of_embed_and_its_own_neighbours(compare_with, another, store):
    explorer = compare_with(another)
    other = pcm3.load(another, device="cpu")
    np.testing.assert_array_equal(explorer.other.features, other.embed(store))
    np.testing.assert_array_equal(explorer.mine.features, explorer.model.embed(store))
    assert [side.name for side in explorer.sides] == ["mine", "another"]
    client = TestClient(explorer_app(explorer))
    near = client.get("/api/other/clips/3/neighbours?k=5").json()
    rows = explorer.other.features / np.linalg.norm(explorer.other.features, axis=1, keepdims=True)
    assert near["clips"] == [clip for clip in np.argsort(1 - rows @ rows[3], kind="stable") if clip != 3][:5]


def test_raw_coordinates_are_those_of_the_central_crop(compare_with, store):
    explorer = compare_with("raw")
    length, frames = int(store.length[4]), explorer.model.spec.frames
    start = int(length * 0.025)
    clip = torch.from_numpy(store.clip(4))
    crop = crop_resize(clip, torch.tensor([start]), torch.tensor([length - 2 * start]), frames, False)
    np.testing.assert_allclose(explorer.other.features[4], crop.flatten().numpy(), atol=1e-6)


def test_raw_coordinates_of_many_clips_are_bounded(store, monkeypatch):
    assert beside.raw_frames(store, 64) == 64
    monkeypatch.setattr(beside, "MOST_RAW", 24 * 150 * 20)
    assert beside.raw_frames(store, 64) == 20
    monkeypatch.setattr(beside, "MOST_RAW", 1)
    assert beside.raw_frames(store, 64) == beside.LEAST_FRAMES
    assert beside.raw_frames(store, 6) == 6


@pytest.mark.parametrize("normalise", [False, True])
def test_the_untrained_encoder_is_the_first_that_evaluate_puts_beside(finished_path, store, tmp_path, normalise):
    encoder, spec = load_encoder(finished_path)
    spec, every = replace(spec, normalise_features=normalise), np.arange(len(store))
    wanted = untrained(Setup(store, spec, every, every, TaskSettings(), torch.device("cpu")), 0)
    model = Model(spec.build(), spec, torch.device("cpu"))
    found = beside.beside("untrained", model, store, lambda: model.bank(store), tmp_path).fed[0]
    assert {*found.state_dict()} == {*wanted.state_dict()}
    for name, tensor in found.state_dict().items():
        torch.testing.assert_close(tensor, wanted.state_dict()[name])
    assert any((one != two).any() for one, two in zip(found.parameters(), encoder.parameters(), strict=True))


def test_a_model_that_does_not_fit_the_store_is_refused_and_the_folder_stays_free(
    finished_path, store, tmp_path, another
):
    model = pcm3.load(finished_path, device="cpu")
    encoder, spec = load_encoder(another)
    save_encoder(tmp_path / "turned", encoder, replace(spec, normalised=False))
    for word, told in ((tmp_path / "turned", "as recorded"), (tmp_path / "nowhere", "nothing is there")):
        with pytest.raises(CheckpointError, match=told):
            Explorer.open(model, store, tmp_path / "kept", compare=str(word))
    Explorer.open(model, store, tmp_path / "kept").stop()


def test_what_was_computed_is_kept_and_found_again(compare_with, another, monkeypatch, finished_path, store):
    before = compare_with(another)
    before.stop()
    monkeypatch.setattr("pcm3.web.embedded.extract", None)
    folder = before.labels.file.parent
    again = Explorer.open(before.model, store, folder, compare=str(another))
    again.work()
    assert again.progress.stage == "done"
    assert len(list(folder.glob("maps-*.npz"))) == 2
    np.testing.assert_allclose(again.other.features, before.other.features, atol=2e-3, rtol=2e-3)
    again.stop()


def test_the_page_is_told_of_both_sides(compare_with):
    explorer = compare_with("raw")
    client = TestClient(explorer_app(explorer))
    about, status = client.get("/api/about").json(), client.get("/api/status").json()
    assert about["sides"] == ["mine", "raw coordinates"]
    assert (status["maps"], status["compared"]) == ([["pca", "tsne"]] * 2, True)
    told = client.get("/api/comparison/summary").json()
    units = tuple(side.unit_rows for side in explorer.sides)
    wanted = compare(units, explorer.comparison.classifiers[0].label, *explorer._known, lambda: None)
    assert told["changed"] == wanted.changed.tolist()
    assert told["kept"] == pytest.approx(wanted.kept.mean())
    assert told["taught_here"] == [True, False]
    rows = np.frombuffer(client.get("/api/comparison/clips").content, np.float32).reshape(5, 24)
    np.testing.assert_allclose(rows[0], wanted.kept, atol=1e-6)
    for place, (name, side) in enumerate([("linear", 0), ("linear", 1), ("1-NN", 0), ("1-NN", 1)]):
        (one,) = (one for one in told["judged"] if one["name"] == name)
        assert 100 * np.mean(rows[1 + place] == explorer.store.label) == pytest.approx(one["correct"][side])
    places = np.frombuffer(client.get("/api/other/map/pca").content, np.float32).reshape(24, 2)
    np.testing.assert_allclose(places, turned_like(explorer.other.arrays["pca"], explorer.mine.arrays["pca"]))
    for path in ("other/map/x", "other/map/features", "other/clips/24/neighbours", "other/guests/0/neighbours"):
        assert client.get(f"/api/{path}").status_code == 404


def test_a_dropped_file_falls_on_both_maps(compare_with):
    explorer = compare_with("raw")
    client = TestClient(explorer_app(explorer))
    walk = bvh_text.text(frames=40, scale=4.0).encode()
    (told,) = client.post("/api/guests", params={"name": "a.bvh"}, content=walk).json()["guests"]
    assert [set(places) for places in told["places"]] == [{"pca", "tsne"}] * 2
    near = client.get(f"/api/other/guests/{told['number']}/neighbours").json()
    feature = explorer.guests[told["number"]].features[1]
    assert near["clips"] == np.argsort(-explorer.other.likeness(feature), kind="stable")[:12].tolist()


def test_models_of_one_name_are_called_as_they_were_given(finished_path, store, tmp_path):
    model, words = pcm3.load(finished_path, device="cpu"), str(finished_path)
    explorer = Explorer.open(model, store, tmp_path / "kept", name="other/finished", compare=words)
    assert [side.name for side in explorer.sides] == ["other/finished", words]
    explorer.stop()


def test_who_compares_with_nothing_has_no_other_side(client):
    assert client.get("/api/about").json()["sides"] == ["model"]
    for path in ("other/map/pca", "comparison/summary", "comparison/clips", "other/clips/3/neighbours"):
        assert client.get(f"/api/{path}").status_code == 404


def test_a_map_is_turned_and_mirrored_and_not_changed():
    rng = np.random.default_rng(0)
    places = rng.normal(size=(30, 2)).astype(np.float32)
    angle = 2.1
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ np.diag([1, -1])
    np.testing.assert_allclose(turned_like((places @ turn).astype(np.float32), places), places, atol=1e-5)
