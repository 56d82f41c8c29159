"""Wrong command lines of every kind: one line, exit code 2, nothing written; a sample of those of `wrong_words`."""

import random
import re
import shlex
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from ntu_file_text import walkers
from wrong_words import parser_of, wrong_lines

from pcm3.cli.mistakes import in_one_line, in_words
from pcm3.cli.parse import parse_with
from pcm3.cli.proposals import after_fitting
from pcm3.data.store import ClipStore
from pcm3.data.verified import verified
from pcm3.errors import ConfigError, command
from pcm3.methods.build import build_method
from pcm3.settings.methods import METHODS
from pcm3.settings.pretrain import PretrainSettings, changed, flat
from pcm3.skeleton import load_layout
from pcm3.train.footprint import GIB, check_memory, least_bytes
from pcm3.train.plan import encoder_spec
from pcm3.train.run_folder import RunFolder

PYTHON = re.compile(r"Union|NoneType|<class|typing|Traceback|subtypes|jsonargparse|Errno")
SAMPLE = 5
"""Of each command's lines that the test tries; the whole of them, 1,900, takes minutes."""


def base_of(name, places, tiny_words):
    """Words with which the command would begin, if nothing were wrong."""
    store, run, new = places["store"], places["run"], places["new"]
    return [str(word) for word in {
        "pretrain": [store, "--run", new, *tiny_words()],
        "evaluate": ["linear-cached", "--model", run, "--store", store],
        "tune": [store, "--out", new],
        "reproduce": ["table7", "--store", store, "--out", new],
        "demo": ["--folder", new],
        "simulate": [new],
        "import": ["npz", places["none"], new],
        "show": [store, "--out", f"{new}.gif"],
        "benchmark": ["pretrain", "--hidden_size", "8", "--batch", "4", "--steps", "1"],
    }[name]]  # fmt: skip


@pytest.fixture
def places(store_path, run_path, tmp_path):
    (tmp_path / "file").write_bytes(bytes(range(256)))
    names = {name: tmp_path / name for name in ("new", "none", "file")}
    verified(ClipStore.open(store_path))  # or the first command of all that reads the store would remember that it did
    return {"store": store_path, "run": run_path} | names


def assert_one_line(found, *told):
    assert (found.code, found.out, found.err.count("\n")) == (2, "", 1), found
    assert not PYTHON.search(found.err), found.err
    assert len(found.err) < 500
    for part in told:
        assert part in found.err


@pytest.mark.parametrize(
    "name", ["pretrain", "evaluate", "tune", "reproduce", "demo", "simulate", "import", "show", "benchmark"]
)
def test_values_that_an_option_cannot_have_are_told_in_one_line(cli, places, tiny_words, content, name, monkeypatch):
    monkeypatch.chdir(places["run"].parent)
    base = base_of(name, places, tiny_words)
    lines = list(wrong_lines(name, base))
    before = content(places["run"].parent), content(places["store"])
    for (option, value), words in random.Random(name).sample(lines, min(2 if name == "tune" else SAMPLE, len(lines))):
        assert_one_line(cli(name, *words))
        assert (content(places["run"].parent), content(places["store"])) == before, (option, value)


WRONG = {
    "seed below 0": (["--seed", "-1"], ["seed", "at least 0"]),
    "seed of more than 64 bits": (["--seed", str(2**64)], ["seed", "9,223,372"]),
    "width": (["--encoder.hidden_size", "300000"], ["setting encoder.hidden_size", "GiB of memory"]),
    "layers": (["--encoder.layers", "10000000"], ["setting encoder.layers", "GiB of memory"]),
    "queue": (["--objective.queue", "1000000000"], ["setting objective.queue", "GiB of memory"]),
    "embedding": (["--objective.embedding", "900000000"], ["setting objective.embedding", "GiB"]),
    "frames": (["--frames", "160000000"], ["setting frames", "GiB of memory"]),
    "threads": (["--threads", "5000"], ["setting threads", "512"]),
    "half a step": (["--steps", "1.5"], ["setting steps: expected a whole number or null, got 1.5\n"]),
    "no number": (["--minutes", "nan"], ["setting minutes: expected a number or null, got nan\n"]),
    "not a finite number": (["--minutes", ".inf"], ["setting minutes", "finite", "got inf"]),
    "a group": (["--views", "3"], ["setting views: expected its settings by name, as --views.crop, got 3\n"]),
    "a list": (["--optimiser.drop_epochs", "3.5"], ["expected a list of whole numbers, got 3.5\n"]),
    "a mapping": (
        ["--encoder.hidden_size", "{{a: 1}}"],
        ["setting encoder.hidden_size: expected a whole number, got {'a': 1}\n"],
    ),
    "config: bytes": (["--config", "{file}"], ["--config", "not text in UTF-8"]),
    "config: folder": (["--config", "{store}"], ["--config", "is a folder"]),
    "config: none": (["--config", "{none}"], ["--config", "does not exist"]),
    "run: empty": (["--run", ""], ["--run: expected a value, got an empty word"]),
    "run: the store": (["--run", "{store}"], ["--run", "is a store"]),
    "run: in the store": (["--run", "{store}/a/b"], ["--run", "lies in the store"]),
    "run: above the store": (["--run", "{store}/.."], ["--run", "the store", "lies in"]),
    "run: a file": (["--run", "{file}"], ["--run", "is a file"]),
    "run: below a file": (["--run", "{file}/run"], ["--run", "is a file"]),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_run_that_cannot_be_is_refused_before_anything_is_written(cli, places, tiny_words, content, mistake):
    words, told = WRONG[mistake]
    before = content(places["run"].parent), content(places["store"])
    base = [word for word in tiny_words() if not word.startswith(("--precision", "--prompts.kind"))]
    found = cli("pretrain", places["store"], "--run", places["new"], *base, "--prompts.kind=none", "--precision=32",
                *(word.format(**places) for word in words))  # fmt: skip
    assert (content(places["run"].parent), content(places["store"])) == before
    assert_one_line(found, *told)
    assert not places["new"].exists()


BOMB = "a: &a [x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{of}'] * 9)}]\n" for of, name in pairwise("abcdefghijklm")
)
FILES = {
    "aliases of aliases": (BOMB, "aliases make more than 50,000 values"),
    "a part of itself": ("views: &a [*a]", "aliases make more than 50,000 values"),
    "twice": ("frames: 8\nframes: 16", "'frames' stands twice (line 2, column 1)"),
    "deep": ("frames: " + "[" * 5000, "nested too deeply"),
    "large": ("".join(f"x{number}: 1\n" for number in range(20_000)), "more than 131,072"),
    "a Python object": ("frames: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
    "no YAML": ("frames: [8", "(line 1, column 11)"),
    "a bell": ("frames: \a", "not what YAML may be"),
}


@pytest.mark.parametrize(
    ("name", "mistake"),
    [*(("pretrain --config", mistake) for mistake in FILES), ("tune --candidates", "twice")],
)
def test_files_of_settings_that_are_none_are_told_at_once(cli, places, tiny_words, tmp_path, name, mistake):
    command, option = name.split()
    (tmp_path / "bad.yaml").write_text(FILES[mistake][0])
    found = cli(command, *base_of(command, places, tiny_words), option, tmp_path / "bad.yaml")
    assert_one_line(found, option, "bad.yaml", FILES[mistake][1])
    assert not places["new"].exists()


@pytest.mark.parametrize(
    ("words", "setting", "value"),
    [
        (["evaluate", "semi", "--model", "r", "--subset.shares", "0.1", "--store", "s"], "subset.shares", [0.1]),
        (
            ["evaluate", "semi", "--model", "r", "--subset.shares=[0.1, 0.2]", "--store", "s"],
            "subset.shares",
            [0.1, 0.2],
        ),
        (
            ["evaluate", "semi", "--model", "r", "--subset.kinds=stratified", "--store", "s"],
            "subset.kinds",
            ["stratified"],
        ),
        (["reproduce", "table2", "--store", "s", "--out", "o", "--rows", "MS²L"], "rows", ["MS²L"]),
        (["reproduce", "table8", "--store", "s", "--out", "o", "--rows", "intra, inter"], "rows", ["intra, inter"]),
        (["pretrain", "s", "--run", "r", "--exclude_subjects", "3"], "exclude_subjects", [3]),
        (["tune", "s", "--out", "o", "--seeds", "[1, 2]"], "seeds", [1, 2]),
    ],
)
def test_a_list_of_one_needs_no_brackets(words, setting, value):
    assert parse_with(parser_of(words[0], words[1:]), words[1:])[setting] == value


def test_of_an_option_told_twice_the_last_counts_for_the_preset_too(cli, tmp_path):
    found = cli("pretrain", "store", "--run", "run", "--preset", "small", "--preset", "paper", "--print_config")
    assert found.out == cli("pretrain", "store", "--run", "run", "--preset", "paper", "--print_config").out
    found = cli("tune", "store", "--out", tmp_path / "o", "--candidates", "small", "--candidates", tmp_path / "none")
    assert_one_line(found, "expected a file of candidates")


ELSEWHERE = {
    "reproduce: file": (["reproduce", "table7", "--store", "{store}", "--out", "{file}"], ["--out", "is a file"]),
    "reproduce: store": (["reproduce", "table7", "--store", "{store}", "--out", "{store}"], ["--out", "is a store"]),
    "tune: store": (["tune", "{store}", "--out", "{store}/x"], ["--out", "lies in the store"]),
    "evaluate: file": (
        ["evaluate", "retrieval", "--model", "{run}", "--store", "{store}", "--out", "{file}"],
        ["--out", "is a file"],
    ),
    "evaluate: store": (
        ["evaluate", "retrieval", "--model", "{run}", "--store", "{store}", "--out", "{store}"],
        ["--out", "is a store"],
    ),
    "evaluate: a store as model": (
        ["evaluate", "retrieval", "--model", "{store}", "--store", "{store}"],
        ["got a store", "pcm3 pretrain", "--run RUN"],
    ),
    "evaluate: a run as store": (["evaluate", "retrieval", "--model", "{run}", "--store", "{run}"], ["store"]),
    "pretrain: a run as store": (["pretrain", "{run}", "--run", "{new}"], ["store"]),
    "demo: file": (["demo", "--folder", "{file}"], ["--folder", "is a file"]),
    "simulate: file": (["simulate", "{file}"], ["is a file"]),
    "benchmark: folder": (["benchmark", "import", "--out", "{run}"], ["--out", "is a folder"]),
    "benchmark: memory": (["benchmark", "linear", "--clips", "900000000"], ["setting clips", "GiB"]),
    "import: over its source": (["import", "npz", "{run}", "{run}", "--overwrite"], ["source"]),
    "import: over something else": (["import", "npz", "{file}", "{run}", "--overwrite"], ["--overwrite"]),
}


@pytest.mark.parametrize("mistake", ELSEWHERE)
def test_places_that_belong_to_something_else_are_refused(cli, places, content, mistake):
    words, told = ELSEWHERE[mistake]
    before = content(places["run"].parent), content(places["store"])
    found = cli(*(word.format(**places) for word in words))
    assert (content(places["run"].parent), content(places["store"])) == before
    assert_one_line(found, *told)


READ_ONLY = {
    "pretrain": ["pretrain", "{store}", "--run", "{new}"],
    "evaluate: --out": ["evaluate", "retrieval", "--model", "{run}", "--store", "{store}", "--out", "{new}/a/b"],
    "evaluate: in the run": ["evaluate", "retrieval", "--model", "{run}", "--store", "{store}"],
    "tune": ["tune", "{store}", "--out", "{new}"],
    "reproduce": ["reproduce", "table7", "--store", "{store}", "--out", "{new}"],
    "simulate": ["simulate", "{new}"],
    "demo": ["demo", "--folder", "{new}"],
    "import": ["import", "npz", "{file}", "{new}"],
    "benchmark": ["benchmark", "encode", "--out", "{new}.json"],
    "show": ["show", "{store}", "--out", "{new}.gif"],
}


@pytest.mark.parametrize("mistake", READ_ONLY)
def test_a_place_that_cannot_be_written_is_told_before_the_work(cli, places, content, mistake, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)  # those who run tests may be allowed everything
    before = content(places["run"].parent)
    found = cli(*(word.format(**places) for word in READ_ONLY[mistake]))
    assert content(places["run"].parent) == before
    assert_one_line(found, "expected a folder to write to", "cannot be written")


def test_the_system_s_numbers_of_errors_are_not_told(cli, places):
    for kind in ("pyskl", "ctrgcn"):
        assert_one_line(cli("import", kind, places["none"], places["new"]), "No such file or directory")


def test_a_run_that_came_to_no_checkpoint_does_not_keep_the_folder_from_the_right_settings(
    cli, store_path, tiny_words, tmp_path, trace, finished_path
):
    wild = cli("pretrain", store_path, "--run", tmp_path / "run", *tiny_words(), "--optimiser.lr", "1e12")
    assert wild.code == 1
    assert RunFolder(tmp_path / "run").settings.exists()
    assert cli("pretrain", store_path, "--run", tmp_path / "run", *tiny_words()).code == 0
    trace(tmp_path / "run").assert_equals(trace(finished_path))


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("ms2l", "objective.head_hidden"),
        ("longt-gan", "objective.discriminator_hidden"),  # so large that its size overflows
        ("longt-gan", "objective.decoder_hidden"),
        ("crrl", "objective.queue"),
        ("hico", "objective.queue"),
        ("hysp", "objective.head_hidden"),
        ("pstl", "objective.embedding"),
        ("mamp", "objective.decoder_hidden"),
        ("isc", "second.hidden_size"),
        ("isc", "second.channels"),
        ("aimclr", "encoder.channels"),
        pytest.param("aimclr", "encoder.layers", marks=pytest.mark.soak),
        pytest.param("isc", "second.layers", marks=pytest.mark.soak),
        ("mamp", "objective.decoder_layers"),
    ],
)
def test_a_size_that_another_method_has_is_named_where_it_does_not_fit(tiny, method, name):
    settings = tiny({"method": method, name: 10**9})
    with pytest.raises(ConfigError, match=f"setting {name}: .* GiB of memory"):
        check_memory(encoder_spec(load_layout("kinect_v2"), 2, settings), settings, torch.device("cpu"))


@pytest.mark.parametrize("network", ["gru", "transformer", "graph"])
@pytest.mark.parametrize("kind", ["adamw", pytest.param("sgd", marks=pytest.mark.soak)])
@pytest.mark.parametrize("method", ["pcm3", "moco", "cmd"])
def test_the_least_memory_is_nearly_that_of_the_weights_and_no_more(tiny, network, kind, method):
    changes = {"encoder.hidden_size": 64, "encoder.layers": 2, "encoder.kind": network,
               "encoder.direction": "bidirectional", "batch": 4,
               "optimiser.kind": kind, "objective.queue": 5000}  # fmt: skip
    settings = changed(replace(tiny(), method=METHODS[method].settings()), changes)
    spec = encoder_spec(load_layout("kinect_v2"), 2, settings)
    made = build_method(spec.build, spec.layout, settings)
    moved = [one for one in made.parameters() if one.requires_grad]
    held = sum(one.nbytes for one in [*made.parameters(), *made.buffers()])
    real = held + sum(one.nbytes for one in moved) * (2 if kind == "sgd" else 3)
    step = 4 * 4 * settings.frames * (3 * 150 + 2 * 128) * len(made.encoders())
    assert 0.95 * real < least_bytes(spec, settings) <= 1.02 * real + step


def test_stages_that_double_are_counted_so(tiny):
    changes = {"method": "moco", "encoder.kind": "stgcn", "encoder.direction": "bidirectional"}
    settings = tiny(changes | {"encoder.channels": 4, "encoder.layers": 7})
    spec = encoder_spec(load_layout("kinect_v2"), 2, settings)
    with torch.device("meta"):
        made = build_method(spec.build, spec.layout, settings)
    real = 4 * sum(one.numel() for one in made.parameters())
    assert 0.5 * real < least_bytes(spec, settings) < 4 * real


def test_the_size_that_is_to_blame_is_named(tiny, monkeypatch):
    from pcm3.train import footprint

    monkeypatch.setattr(footprint, "memory_of", lambda device: GIB)
    for name, value in (("encoder.layers", 10**7), ("objective.queue", 10**8), ("frames", 16 * 10**7)):
        settings = tiny({name: value})
        with pytest.raises(ConfigError, match=rf"^setting {name}: expected a size that fits into the 1 GiB"):
            check_memory(encoder_spec(load_layout("kinect_v2"), 2, settings), settings, torch.device("cpu"))


def test_words_too_many_are_named_with_where_to_look(cli):
    told = "got too many words: run store another (pcm3 evaluate --help tells what goes where)"
    assert_one_line(cli("evaluate", "retrieval", "run", "store", "another"), told)


def test_commands_to_be_copied_survive_a_shell():
    words = ["pcm3", "info", "my store/ü $HOME"]
    assert command(*words) == "pcm3 info 'my store/ü $HOME'"


def test_types_are_told_in_words():
    assert in_words(int | None) == "a whole number or null"
    assert in_words(tuple[float, float]) == "a list of 2 numbers"
    text = 'Parser key "steps": Does not validate Subtypes: [int] Given value: 1.5'
    assert in_one_line(text, {"steps": int | None}, "") == "setting steps: expected a whole number or null, got 1.5"
    text = 'Parser key "store": Not of type Path: expected str, bytes or os.PathLike object, not dict'
    assert in_one_line(text, {"store": Path}, "") == "setting store: expected a path, got something else"
    name = in_one_line("Problems parsing config", {}, "").rpartition("'")[0].rpartition("'")[2].partition(":")[0]
    assert name in flat(PretrainSettings()), "the example is a setting"
    assert PretrainSettings().check() is None


def proposed(found):
    assert found.code == 0, found.err
    (line,) = [line.removeprefix("next: ") for line in found.out.splitlines() if line.startswith("next: ")]
    words = shlex.split(line)
    assert words[0] == "pcm3"
    return words[1:]


@pytest.mark.parametrize(
    ("name", "unlabelled", "expected"),
    [("unlabelled", 24, "embed"), ("some lábels", 12, "evaluate"),
     pytest.param("my störe", 0, "evaluate", marks=pytest.mark.soak)],
)  # fmt: skip
def test_what_is_proposed_next_can_be_run_as_it_stands(
    cli, recordings, write_tiny, tiny_words, tmp_path, monkeypatch, name, unlabelled, expected
):
    monkeypatch.chdir(tmp_path)
    clips = [replace(clip, label=clip.label if k >= unlabelled else -1) for k, clip in enumerate(recordings)]
    write_tiny(tmp_path / name, clips, classes=("raise arm", "nod", "hand over"))
    words = proposed(cli("pretrain", tmp_path / name, "--run", tmp_path / f"{name} run", *tiny_words(steps=2)))
    assert words[0] == expected
    assert cli(*words, *(["--seeds", "1"] if expected == "evaluate" else [])).code == 0


def test_from_files_to_labels_by_what_is_proposed_next(cli, tiny_words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [f"{joint}_{axis}" for joint in load_layout("kinect_v1").joints for axis in "xyz"]
    (tmp_path / "takes").mkdir()
    for k in range(8):
        rows = [",".join(map(str, row)) for row in walkers(k, 40, 1, 20).reshape(40, -1).round(4).tolist()]
        (tmp_path / "takes" / f"t{k}.csv").write_text("\n".join([",".join(names), *rows]))
    table = [f"t{k}.csv,{('bow', 'wave')[k % 2]},{k // 4}" for k in range(6)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label,subject", *table]))
    quick = {"pretrain": [word for word in tiny_words(batch=4) if "protocol" not in word],
             "fit": ["--head.epochs", "2", "--head.drop_epochs", "[1]"]}  # fmt: skip
    words, passed = ["import", "auto", "takes", "store", "--labels", "labels.csv", "--fps", "30"], []
    while words[0] != "classify":
        passed.append(words[0])
        words = proposed(cli(*words, *quick.get(words[0], [])))
    assert passed == ["import", "pretrain", "fit"]
    assert cli(*words).code == 0
    assert len((tmp_path / "labels2.csv").read_text().splitlines()) == 9


def test_after_a_fit_on_files_they_are_classified_with_what_was_told_of_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = {"fps": 30.0, "layout": None, "up": "-y", "units": None}
    assert after_fitting("classifier", Path("h"), [Path("a b.csv"), Path("c.csv")], told) == [
        "pcm3 classify h 'a b.csv' c.csv --fps 30 --up -y --out labels.csv"
    ]
