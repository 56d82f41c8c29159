import json
import re

import matplotlib.image
import numpy as np
import pytest

from pcm3.data.store import ClipStore
from pcm3.errors import RunFailed, install
from pcm3.experiments import demo as module
from pcm3.experiments.demo import demo
from pcm3.tasks.linear import LinearSettings
from pcm3.train import plan as sizes
from pcm3.train.pretrain import pretrain
from pcm3.train.run_folder import RunFolder

SIMULATION = {"subjects": 4, "repetitions": 1, "cameras": 3, "actions": 3, "seed": 0}


@pytest.fixture(scope="module")
def made(tiny, tmp_path_factory):
    """The folder of the smallest demo there is, what it gave and what it said."""
    folder, said = tmp_path_factory.mktemp("demo") / "new" / "demo", []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(LinearSettings, "__init__", quick_head)
        patched.setattr(module.pictures, "feature_map", feature_map)
        told = demo(folder, tiny(protocol="xsub"), said.append, **SIMULATION)
    return folder, told, said


real_head = LinearSettings.__init__


def quick_head(self, epochs=3, **more):
    real_head(self, epochs=epochs, **more)


draw_feature_map = module.pictures.feature_map


def feature_map(panels, *rest):
    """The picture asks for float64 and t-SNE gives float32 (see the test below)."""
    draw_feature_map({name: points.astype(np.float64) for name, points in panels.items()}, *rest)


def test_the_feature_map_takes_what_t_sne_gives(tmp_path):
    points = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)
    draw_feature_map({"one": points}, np.array([0, 0, 1, 1]), ["a", "b"], tmp_path / "map.png")


def test_the_demo_goes_the_whole_way_and_leaves_every_file(made):
    folder, told, said = made
    assert [line[:3] for line in said] == ["1/5", "2/5", "3/5", "4/5", "5/5"]
    assert len(list((folder / "raw").glob("*.skeleton"))) == 4 * 3 * 3
    store = ClipStore.open(folder / "store")
    assert len(store) == 36
    assert told["pretrain"]["steps"] == 10
    assert told["report"] == str(folder / "report.html")
    for picture in ("actions", "accuracy", "features"):
        assert matplotlib.image.imread(folder / "pictures" / f"{picture}.png").shape[0] > 100
    assert not [path for path in folder.iterdir() if "partial" in path.name]


def test_every_figure_of_the_demo_is_told_three_times_alike(made):
    folder, told, _ = made
    page = (folder / "report.html").read_text()
    assert told["tasks"]
    for task, result in told["tasks"].items():
        held = json.loads((folder / "run" / "results" / f"{task}-xsub.json").read_text())
        assert {name: held[name] for name in result} == result
        for row in result["rows"]:
            spread = "" if row["top1_sd"] is None else f" ± {row['top1_sd']:.1f}"
            assert f"<td>{row['name']}</td><td>{row['top1']:.1f}{spread}</td>" in page


def test_the_page_tells_the_sizes_that_were_chosen_and_why(tiny, tmp_path):
    run = RunFolder(tmp_path)
    run.begin(tiny({"encoder.hidden_size": 24}, batch=6), {})
    assert module._chosen(tmp_path) == ""
    (tmp_path / sizes.FILE).write_text('["hidden_size 24: few", "batch 6: half"]')
    assert module._chosen(tmp_path) == " (chosen: hidden_size 24: few; batch 6: half)"


def test_the_page_tells_the_width_and_the_batch_of_the_run(made):
    assert "two halves of 8 units" in (made[0] / "report.html").read_text()
    assert "10 steps of 8 clips" in (made[0] / "report.html").read_text()


def test_both_encoders_of_the_feature_map_are_fitted_where_features_are_standardised(made, tiny, monkeypatch, tmp_path):
    store, features, centres = ClipStore.open(made[0] / "store"), module.extract, []
    pretrain(
        store, tmp_path / "run", tiny({"encoder.normalise_features": True}, protocol="xsub", steps=2), progress=False
    )

    def watched(encoder, *rest):
        centres.append(encoder.readout.centre.abs().sum().item())
        return features(encoder, *rest)

    monkeypatch.setattr(module, "extract", watched)
    points, labels = module._feature_map(store, tmp_path / "run")
    assert {len(one) for one in points.values()} == {len(labels)}
    assert len(centres) == 2
    assert min(centres) > 0


def test_the_demo_chooses_its_sizes_unless_told(cli, tmp_path, monkeypatch):
    asked = []

    def watched(folder, settings, say, **simulation):
        asked.append(settings)
        raise RunFailed("seen")

    monkeypatch.setattr(module, "demo", watched)
    cli("demo", "--folder", tmp_path / "demo")
    cli("demo", "--folder", tmp_path / "demo", "--steps", 7, "--encoder.hidden_size", 16)
    assert [(one.encoder.hidden_size, one.batch, one.epochs, one.steps, one.minutes) for one in asked] == [
        (0, 0, 0, None, 4.0),
        (16, 0, 0, 7, None),
    ]


def test_the_demo_ends_with_the_command_that_shows_its_clips(cli, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "demo", lambda *words, **more: {"tasks": {}, "report": "page", "seconds": 60})
    folder = tmp_path / "my demo"
    shown = f"pcm3 explore '{folder}/run' '{folder}/store'"
    with_all = cli("demo", "--folder", folder).out
    assert shown in with_all
    assert "pcm3[web]" not in with_all
    monkeypatch.setattr("pcm3.cli.demo.find_spec", lambda name: None if name == "uvicorn" else name)
    without = cli("demo", "--folder", folder).out
    assert shown in without
    assert f"\nwhich needs two more libraries: {install('web')}\n" in without


def test_a_task_of_the_demo_without_epochs_has_no_column_for_the_best(cli, tmp_path, monkeypatch):
    clips = {"train_clips": 4, "test_clips": 2}
    row = {"name": "pretrained", "values": [50.0], "top1": 50.0}
    tasks = {
        "linear-cached": {"rows": [row | {"best_top1": 60.0}], **clips},
        "retrieval": {"rows": [row], **clips},
    }
    monkeypatch.setattr(module, "demo", lambda *words, **more: {"tasks": tasks, "report": "page", "seconds": 60})
    linear, retrieval = cli("demo", "--folder", tmp_path / "demo").out.split("retrieval:")
    assert "best epoch on test" in linear
    assert "60.0" in linear
    assert "best epoch on test" not in retrieval
    assert "50.0" in retrieval


def test_the_page_of_the_demo_can_be_mailed(made):
    page = (made[0] / "report.html").read_text()
    assert "http://" not in page
    assert "https://" not in page
    sources = re.findall(r'src="([^"]*)', page)
    assert len(sources) == 5
    assert all(source.startswith("data:image/png;base64,") for source in sources)


def test_the_demo_again_makes_nothing_twice(made, tiny, trace, monkeypatch):
    folder, told, _ = made
    weights = trace(folder / "run")
    raw = {path: path.stat().st_mtime_ns for path in (folder / "raw").iterdir()}

    def fail(*_, **__):
        raise AssertionError("made again")

    monkeypatch.setattr(module, "simulate", fail)
    monkeypatch.setattr(module, "import_recordings", fail)
    monkeypatch.setattr(LinearSettings, "__init__", quick_head)
    monkeypatch.setattr(module.pictures, "feature_map", feature_map)
    again = demo(folder, tiny(protocol="xsub"), lambda line: None, **SIMULATION)
    trace(folder / "run").assert_equals(weights)
    assert raw == {path: path.stat().st_mtime_ns for path in (folder / "raw").iterdir()}
    assert {task: result["rows"] for task, result in again["tasks"].items()} == {
        task: result["rows"] for task, result in told["tasks"].items()
    }


def test_a_demo_stopped_while_simulating_begins_that_step_again(tiny, tmp_path, monkeypatch):
    def stop(folder, **_):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "half").write_text("")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module, "simulate", stop)
        with pytest.raises(KeyboardInterrupt):
            demo(tmp_path / "demo", tiny(protocol="xsub"), lambda line: None, **SIMULATION)
    assert not (tmp_path / "demo" / "raw").exists()

    class EnoughError(Exception):
        pass

    def enough(kind, raw, store):
        assert not (raw / "half").exists()
        assert len(list(raw.glob("*.skeleton"))) == 36
        raise EnoughError

    monkeypatch.setattr(module, "import_recordings", enough)
    with pytest.raises(EnoughError):
        demo(tmp_path / "demo", tiny(protocol="xsub"), lambda line: None, **SIMULATION)
