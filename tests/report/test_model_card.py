"""The page of a model tells what its run and its results tell, and nothing of the machine that it was made on."""

import json
import shutil

import pytest
import yaml

from pcm3.encoders.files import load_encoder
from pcm3.errors import CheckpointError
from pcm3.report.model_card import model_card


@pytest.fixture
def run(finished_path, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished_path, folder)
    shutil.rmtree(folder / "results", ignore_errors=True)
    return folder


def page(run, licence="CC BY 4.0"):
    return model_card("org/walks", load_encoder(run)[1], run, licence)


def rows(pretrained):
    return [
        {"name": "pretrained", "top1": 0, "values": pretrained},
        {"name": "raw coordinates", "top1": 0, "values": [50.0]},
    ]


def write_results(run, **told):
    (run / "results").mkdir(exist_ok=True)
    (run / "results" / "linear-xsub.json").write_text(json.dumps(told))


def test_it_tells_data_method_steps_and_licence_and_no_path(run):
    text, spec = page(run), load_encoder(run)[1]
    head = yaml.safe_load(text.split("---")[1])
    assert (head["library_name"], head["license_name"]) == ("pcm3", "CC BY 4.0")
    store = json.loads((run / "settings.json").read_text())["store"]
    assert f"{spec.provenance.step:,} steps on {store['clips']:,} clips of `{store['kind']}`" in text
    assert 'pcm3.load("org/walks")' in text
    assert "The data that it learned from: CC BY 4.0." in text
    assert "Not measured" in text
    assert store["path"] not in text
    assert str(run) not in text


def test_figures_stand_beside_the_baselines(run):
    write_results(run, task="linear", protocol="xsub", rows=rows([90.0, 92.0]), store={"kind": "utd-mhad"})
    assert "| linear | utd-mhad | xsub | top-1 % | 91.0 ± 1.4 |  | 50.0 |" in page(run)
    assert "Mean ± standard deviation, measured by" in page(run)
    write_results(run, task="linear", protocol="xsub", rows=rows([90.0]), store={"kind": "utd-mhad"})
    assert "\nMeasured by `pcm3 evaluate`" in page(run), "of one seed there is no deviation"
    write_results(run, something="else")
    assert "Not measured" in page(run)


def test_damaged_results_are_told_in_one_line(run):
    write_results(run, task="linear", rows=[{"name": "pretrained"}])
    with pytest.raises(CheckpointError, match=r"linear-xsub\.json: not results of pcm3 evaluate, or damaged"):
        page(run)


def test_the_licence_is_a_line_whatever_is_told(run):
    text = page(run, 'mine: "all"\n---\n# odd')
    assert yaml.safe_load(text.split("\n---\n")[0].removeprefix("---\n"))["license_name"] == 'mine: "all" --- # odd'
