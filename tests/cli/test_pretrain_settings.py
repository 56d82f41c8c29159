"""What a command line or a file of settings may not ask for: told in one line, exit code 2, before anything is made."""

import json
from dataclasses import dataclass, field

import pytest

from pcm3.cli.parse import parse
from pcm3.cli.pretrain import add_arguments, settings_from
from pcm3.settings.methods import METHODS, Method
from pcm3.settings.pretrain import from_dict, to_dict
from pcm3.settings.renamed import RENAMED, RENAMED_VALUES


@dataclass
class ToyGroup:
    """What a toy can be told."""

    size: int = 3
    """How large, at least 1."""


@dataclass
class ToySettings:
    """A method with a group that no other has."""

    toy: ToyGroup = field(default_factory=ToyGroup)

    @property
    def min_clips(self) -> int:
        """Any clip will do."""
        return 1

    def check(self, run):
        """Its own rule, which looks at the run too."""
        run.require([(1 <= self.toy.size <= run.frames, "toy.size", f"1 to {run.frames}")])


@pytest.fixture(autouse=True)
def toy_method(monkeypatch):
    monkeypatch.setitem(METHODS, "toy", Method(ToySettings, "nowhere", preset=None))


def parsed(*words):
    """Settings of a pretrain command line, through the parser that the command uses."""
    return settings_from(parse("pretrain", "learns", add_arguments, ["store", "--run", "nowhere", *map(str, words)]))


def test_a_row_of_the_table_is_all_that_a_method_needs_to_be_asked_for():
    made = parsed("--method", "toy", "--toy.size", 5, "--frames", 32)
    assert made.method == ToySettings(ToyGroup(5))
    assert made.frames == 32
    assert from_dict(json.loads(json.dumps(to_dict(made)))) == made
    assert to_dict(made)["method"] == "toy"
    made.check()


def test_a_file_names_the_method_and_its_settings_stand_beside_the_runs(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("method: toy\ntoy: {size: 4}\nframes: 32\n")
    assert parsed("--config", file).method == ToySettings(ToyGroup(4))


def test_the_method_of_the_run_that_the_folder_holds_counts_where_none_is_named(tmp_path):
    (tmp_path / "settings.json").write_text(json.dumps({"settings": {"method": "toy"}}))
    assert parsed("--run", tmp_path, "--toy.size", 6).method == ToySettings(ToyGroup(6))


NAMES = ", ".join((*METHODS, "toy"))
OWNER = "is a setting of the method pcm3, and the method here is toy"
FILES = {
    "unknown method": ("method: mocco", f"--config {{file}}: expected a method ({NAMES})"),
    "no method": ("method: 3", f"--config {{file}}: expected a method ({NAMES}), got '3'"),
    "of another method": ("method: toy\nprompts: {{kind: both}}", f"prompts {OWNER}"),
    "a group of another method": (
        "toy: {{size: 3}}",
        "toy is a setting of the method toy, and the method here is pcm3",
    ),
    "of before": ("hidden: 3", "hidden: it is called encoder.hidden_size now"),
    "of before, in a group": ("views: {{turn: 3}}", "views.turn: it is called views.yaw now"),
    "the settings.json of a run": (
        "settings: {{batch: 3}}",
        "--config {file}: expected settings by name, as --print_config writes them, got the settings.json of a run",
    ),
    "another than the preset": ("method: toy", "asks for the method toy, --preset small for pcm3: choose one"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_asks_for_what_the_method_does_not_have_is_told_in_one_line(cli, store_path, tmp_path, name):
    text, told = FILES[name]
    file, run = tmp_path / "c.yaml", tmp_path / "run"
    file.write_text(text.format())
    preset = ["--preset", "small"] if name == "another than the preset" else []
    found = cli("pretrain", store_path, "--run", run, "--config", file, *preset)
    assert (found.code, found.err.count("\n")) == (2, 1)
    assert told.format(file=file) in found.err
    assert not run.exists()


@pytest.mark.parametrize("command", ["pretrain", "tune"])
@pytest.mark.parametrize(("before", "now"), RENAMED.items(), ids=list(RENAMED))
def test_an_earlier_name_of_a_setting_is_answered_with_todays(cli, store_path, tmp_path, command, before, now):
    place = ["--run" if command == "pretrain" else "--out", tmp_path / "new"]
    words = [f"--{before}=1"] if command == "tune" else [f"--{before}", "1"]
    found = cli(command, store_path, *place, *words)
    assert (found.code, found.err.count("\n")) == (2, 1)
    assert f"unknown setting --{before}: it is called --{now} now" in found.err
    assert not (tmp_path / "new").exists()


OLD_VALUES = [(name, before, now) for name, values in RENAMED_VALUES.items() for before, now in values.items()]


@pytest.mark.parametrize("command", ["pretrain", "tune", "config"])
@pytest.mark.parametrize(("name", "before", "now"), OLD_VALUES)
def test_an_earlier_value_of_a_setting_is_answered_with_todays(cli, store_path, tmp_path, command, name, before, now):
    text = f"[bone, {before}]" if name == "encoder.input_features" else before
    words = [f"--{name}={text}"] if command == "tune" else [f"--{name}", text]
    if command == "config":
        group, _, last = name.partition(".")
        (tmp_path / "c.yaml").write_text(f"{group}:\n  {last}: {text}\n")
        words, command = ["--config", tmp_path / "c.yaml"], "pretrain"
    found = cli(command, store_path, "--run" if command == "pretrain" else "--out", tmp_path / "new", *words)
    assert (found.code, found.err.count("\n")) == (2, 1)
    assert f"{name}: '{before}' is called '{now}' now" in found.err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--method", "toy", "--prompts.kind", "both"], f"--prompts.kind {OWNER}"),
        (
            ["--preset", "moco", "--prompts.kind", "both"],
            "--prompts.kind is a setting of the method pcm3, and the meth",
        ),
        (
            ["--preset", "small", "--toy.size", "3"],
            "--toy.size is a setting of the method toy, and the method here is p",
        ),
        (["--method", "toy", "--preset", "small"], "--method asks for the method toy, --preset small for pcm3"),
        (["--method", "mocco"], f"--method: expected a method ({NAMES}), got 'mocco'"),
        (["--method", "toy", "--toy.size", "99"], "setting toy.size: expected 1 to 64, got 99"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_words_that_do_not_go_together_are_told_in_one_line(cli, store_path, tmp_path, words, told):
    found = cli("pretrain", store_path, "--run", tmp_path / "new", *words)
    assert (found.code, found.err.count("\n")) == (2, 1)
    assert told in found.err
    assert not (tmp_path / "new").exists()


def test_a_preset_of_a_method_that_does_not_exist_is_told(cli, store_path, tmp_path, monkeypatch):
    file = tmp_path / "mine.yaml"
    file.write_text("method: lost\n")
    monkeypatch.setattr("pcm3.cli.pretrain_settings.preset_file", lambda name: file)
    found = cli("pretrain", store_path, "--run", tmp_path / "new", "--preset", "mine")
    assert (found.code, found.err.count("\n")) == (2, 1)
    assert f"preset mine: expected a method ({NAMES}), got 'lost'" in found.err
