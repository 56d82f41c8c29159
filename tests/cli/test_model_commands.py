"""The commands that use a model, as a user calls them: embed, fit, classify, detect, predict, search."""

import csv
from xml.etree import ElementTree

import numpy as np
import pytest
from ntu_file_text import walkers

import pcm3
from pcm3.data.importer import store_recordings
from pcm3.data.recording import Interval, Recording
from pcm3.encoders.files import save_encoder
from pcm3.encoders.spec import EncoderSpec
from pcm3.skeleton import load_layout

QUICK = {
    "classifier": ["--head.epochs", 5, "--head.drop_epochs", "[3]"],
    "detector": ["--detection.epochs", 1, "--detection.windows", 2],
    "predictor": ["--prediction.seed_frames", 20, "--prediction.predicted_frames", 5, "--prediction.steps", 3],
}
"""By what is fitted."""


@pytest.fixture(scope="module")
def sessions(tmp_path_factory):
    """A model of Kinect v1, a store of clips and one of long recordings, a classifier."""
    folder = tmp_path_factory.mktemp("at_work")
    fed = {"frames": 16, "fps": 30.0, "normalised": True, "rule": "upright"}
    spec = EncoderSpec(load_layout("kinect_v1"), 1, 6, 1, "causal", "last", "joint", **fed)
    save_encoder(folder / "model", spec.build(3), spec)
    about = {"layout": "kinect_v1", "fps": 30.0, "classes": ["bow", "wave"]}
    clips = [Recording(f"c{k}", walkers(k, 40 + k, 1, 20), k % 2, subject=k // 2) for k in range(8)]
    store_recordings(clips, folder / "clips", **about)
    intervals = [(Interval(5, 35, k % 2), Interval(60, 100, (k + 1) % 2)) for k in range(4)]
    long = [Recording(f"a/b{k}", walkers(k, 120, 1, 20), subject=k, intervals=intervals[k]) for k in range(4)]
    store_recordings(long, folder / "long", **about)
    pcm3.load(folder / "model").fit_classifier(folder / "clips", kind="nearest").save(folder / "head")
    return folder


def rows_of(file):
    with file.open(newline="") as opened:
        return list(csv.reader(opened))


def fit(cli, what, sessions, store, head, *words):
    return cli("fit", what, sessions / "model", sessions / store, "--out", head, *QUICK[what], *words)


def test_embed_writes_the_features_of_the_library(cli, sessions, tmp_path):
    found = cli("embed", sessions / "model", sessions / "clips", "--out", tmp_path / "f.npz", "--json")
    assert found.code == 0, found.err
    assert (found.json["clips"], found.json["width"]) == (8, 12)
    features = pcm3.load(sessions / "model").embed(sessions / "clips")
    with np.load(tmp_path / "f.npz") as arrays:
        np.testing.assert_array_equal(arrays["features"], features)
        assert arrays["ids"].tolist() == [f"c{k}" for k in range(8)]
        assert arrays["classes"][arrays["label"]].tolist() == ["bow", "wave"] * 4
    assert cli("embed", sessions / "model", sessions / "clips", "--out", tmp_path / "f.csv").code == 0
    header, *rows = rows_of(tmp_path / "f.csv")
    assert header[:4] == ["id", "class", "subject", "f0"]
    assert rows[3][:3] == ["c3", "wave", "1"]
    np.testing.assert_allclose(np.array([row[3:] for row in rows], np.float32), features, rtol=1e-6)


def test_a_file_is_embedded_as_its_array(cli, sessions, tmp_path):
    np.savez(tmp_path / "walk.npz", clip=walkers(0, 40, 1, 20))
    model = pcm3.load(sessions / "model")
    found = cli("embed", sessions / "model", tmp_path / "walk.npz", "--layout", "kinect_v1", "--fps", 30,
                "--out", tmp_path / "f.npz")  # fmt: skip
    if found.code == 0:
        with np.load(tmp_path / "f.npz") as arrays:
            np.testing.assert_allclose(arrays["features"][0], model.embed(walkers(0, 40, 1, 20)), atol=1e-6)
    else:  # a form of npz that is not read: told in one line
        assert (found.code, found.err.count("\n")) == (2, 1)


def test_fit_and_classify(cli, sessions, tmp_path):
    found = fit(cli, "classifier", sessions, "clips", tmp_path / "head", "--json")
    assert found.code == 0, found.err
    expected = found.json["expected"]
    assert (expected["people"], expected["folds"]) == (4, 4)
    assert f"{expected['accuracy']:.1f}" in found.out
    assert "always predicting the most frequent class: 50.0 %" in found.out
    assert "warning: fewer than 5 clips: bow, wave" in found.out
    head = pcm3.load_head(tmp_path / "head")
    again = cli("classify", tmp_path / "head", sessions / "clips", "--out", tmp_path / "labels.csv", "--json")
    assert again.code == 0, again.err
    header, *rows = rows_of(tmp_path / "labels.csv")
    assert header == ["id", "class", "share", "bow", "wave"]
    assert [row[1] for row in rows] == head.predict(sessions / "clips").tolist()
    shares = head.predict_proba(sessions / "clips")
    np.testing.assert_allclose(np.array([row[3:] for row in rows], np.float32), shares, rtol=1e-5)
    assert [clip["class"] for clip in again.json["clips"]] == [row[1] for row in rows]
    right = np.mean([row[1] == ["bow", "wave"][k % 2] for k, row in enumerate(rows)])
    assert again.json["accuracy"] == pytest.approx(100 * right)


@pytest.fixture
def tables(tmp_path):
    """Six clips as CSV files, centimetres, and a table of four of their labels."""
    names = [f"{joint}_{axis}" for joint in load_layout("kinect_v1").joints for axis in "xyz"]
    for k in range(6):
        rows = (100 * walkers(k, 30, 1, 20)).reshape(30, -1).round(2).tolist()
        with (tmp_path / f"{k}.csv").open("w", newline="") as opened:
            csv.writer(opened).writerows([names, *rows])
    rows = [f"{k}.csv,{('bow', 'wave')[k % 2]},{k // 2}" for k in range(4)]
    (tmp_path / "labels.tsv").write_text("\n".join(["file,label,subject", *rows]))
    return tmp_path


def test_files_are_fitted_on_with_their_table_and_nothing_is_said_of_options_that_are_not_there(
    cli, sessions, tables, tmp_path
):
    files = [tables / f"{k}.csv" for k in range(6)]
    about = ["--fps", 30]
    found = cli("fit", "classifier", sessions / "model", *files, *about, "--out", tmp_path / "h")
    assert (found.code, found.err.count("\n")) == (2, 1)
    assert "of files, --labels TABLE.csv" in found.err
    found = cli("fit", "classifier", sessions / "model", *files, *about, "--labels", tables / "labels.tsv",
                "--out", tmp_path / "h", *QUICK["classifier"], "--json")  # fmt: skip
    assert found.code == 0, found.err
    assert (found.json["expected"]["people"], "bow" in found.out, "(--units)" in found.out) == (2, True, True)
    found = cli("classify", tmp_path / "h", *files, *about, "--pattern", "{label}", "--units", "centimetres")
    assert found.code == 0, found.err
    found = cli("embed", sessions / "model", *files, *about, "--out", tmp_path / "f.npz", "--json")
    assert (found.code, "--labels" in found.out, "--pattern" in found.out) == (0, False, False), found.err
    found = cli("embed", sessions / "model", sessions / "clips", "--pattern", "{label}", "--out", tmp_path / "f.npz")
    assert (found.code, "expected with files, got a store" in found.err) == (2, True), found.err


def test_a_detector_learns_from_files_and_a_table_of_times(cli, sessions, tables, tmp_path):
    rows = [f"{k}.csv,{('bow', 'wave')[k % 2]},{k},0.1,0.8" for k in range(4)]
    (tables / "times.tsv").write_text("\n".join(["file,label,subject,start,stop", *rows]))
    found = cli("fit", "detector", sessions / "model", *sorted(tables.glob("*.csv")), "--fps", 30, "--labels",
                tables / "times.tsv", *QUICK["detector"], "--out", tmp_path / "h", "--expect", "false")  # fmt: skip
    assert (found.code, pcm3.load_head(tmp_path / "h").classes) == (0, ("bow", "wave")), found.err


def test_fit_and_detect_in_every_form(cli, sessions, tmp_path):
    found = fit(cli, "detector", sessions, "long", tmp_path / "head", "--json")
    assert found.code == 0, found.err
    assert set(found.json["expected"]["metrics"]) == {"map_a_voc", "map_v_official", "frame_accuracy"}
    assert (found.json["expected"]["people"], found.json["expected"]["folds"]) == (4, 3)
    assert "(no action at all)" in found.out
    head = pcm3.load_head(tmp_path / "head")
    told = head.predict(sessions / "long")
    assert sum(len(actions) for actions in told) > 0
    for form in ("csv", "json", "elan", "audacity", "pku"):
        words = ["detect", tmp_path / "head", sessions / "long", "--to", form, "--out", tmp_path / form, "--json"]
        found = cli(*words)
        assert found.code == 0, found.err
        assert list(found.json["recordings"]) == [f"a/b{k}" for k in range(4)]
    rows = rows_of(tmp_path / "csv")[1:]
    flat = [(f"a/b{k}", action) for k, actions in enumerate(told) for action in actions]
    assert [row[:2] for row in rows] == [[name, action.label] for name, action in flat]
    np.testing.assert_allclose([float(row[2]) for row in rows], [action.start for _, action in flat], rtol=1e-6)
    document = ElementTree.parse(tmp_path / "elan" / "a%2Fb0.eaf").getroot()
    slots = {slot.get("TIME_SLOT_ID"): int(slot.get("TIME_VALUE")) for slot in document.iter("TIME_SLOT")}
    marked = [
        (one.find("ANNOTATION_VALUE").text, slots[one.get("TIME_SLOT_REF1")], slots[one.get("TIME_SLOT_REF2")])
        for one in document.iter("ALIGNABLE_ANNOTATION")
    ]
    assert marked == [(a.label, round(1000 * a.start), round(1000 * a.stop)) for a in told[0]]
    track = (tmp_path / "audacity" / "a%2Fb0.txt").read_text().splitlines()
    assert [line.split("\t")[2] for line in track] == [action.label for action in told[0]]
    lines = (tmp_path / "pku" / "a%2Fb0.txt").read_text().splitlines()
    assert len(lines) == len(told[0])


def test_fit_and_predict(cli, sessions, tmp_path):
    found = fit(cli, "predictor", sessions, "clips", tmp_path / "head", "--json")
    assert found.code == 0, found.err
    assert "standing still" in found.out
    poses = pcm3.load_head(tmp_path / "head").predict(sessions / "clips")
    assert cli("predict", tmp_path / "head", sessions / "clips", "--out", tmp_path / "p.npz").code == 0
    with np.load(tmp_path / "p.npz") as arrays:
        np.testing.assert_array_equal(arrays["poses"], poses)
        assert arrays["joints"].tolist() == list(load_layout("kinect_v1").joints)
        assert arrays["fps"] == 25
    assert cli("predict", tmp_path / "head", sessions / "clips", "--out", tmp_path / "p.csv").code == 0
    header, first, *rest = rows_of(tmp_path / "p.csv")
    assert header == ["id", "time_s", "joint", "x", "y", "z"]
    assert (first[0], float(first[1])) == ("c0", 0.04)
    assert len(rest) + 1 == poses.shape[0] * poses.shape[1] * poses.shape[2]


def test_clips_too_short_to_go_on_from_are_told_and_the_others_predicted(cli, sessions, tmp_path):
    assert fit(cli, "predictor", sessions, "clips", tmp_path / "head", "--expect", "false").code == 0
    clips = [Recording("long", walkers(0, 40, 1, 20)), Recording("short", walkers(1, 12, 1, 20))]
    store_recordings(clips, tmp_path / "some", layout="kinect_v1", fps=30.0)
    found = cli("predict", tmp_path / "head", tmp_path / "some", "--out", tmp_path / "p.npz", "--json")
    assert (found.code, found.json["clips"]) == (0, 1)
    assert "not used: short: expected at least 0.8 s" in found.out


def test_search_for_clips_and_inside_recordings(cli, sessions, tmp_path):
    found = cli("search", sessions / "model", f"{sessions / 'clips'}:c3", sessions / "clips", "--top", 3, "--json")
    assert found.code == 0, found.err
    assert found.json["matches"][0]["id"] == "c3"
    assert (len(found.json["matches"]), found.json["searched"], found.json["window"]) == (3, 8, 0)
    words = [sessions / "model", f"{sessions / 'clips'}:c3", "--inside", "--index", tmp_path / "index", "--top", 2]
    found = cli("search", *words[:2], sessions / "long", *words[2:], "--out", tmp_path / "m.csv", "--json")
    assert found.code == 0, found.err
    assert found.json["window"] == pytest.approx(43 / 30)
    again = cli("search", *words, "--json")
    assert again.json["matches"] == found.json["matches"]
    assert [row[0] for row in rows_of(tmp_path / "m.csv")[1:]] == [match["id"] for match in found.json["matches"]]


def test_a_clip_of_a_recording_is_named_as_the_refusal_of_all_says(cli, sessions, tmp_path):
    long = sessions / "long"
    refused = cli("search", sessions / "model", long, long)
    query = refused.err.strip().rpartition("name one, as ")[2]
    assert query == f"{long}:a/b0:5-34", "the clip's own name holds a colon"
    found = cli("search", sessions / "model", query, long, "--top", 9, "--json")
    assert found.code == 0, found.err
    assert "a/b0:5-34" in [match["id"] for match in found.json["matches"] if match["score"] > 0.999]
    words = (query, query.replace("5-34", "60-99"), "--out", tmp_path / "c.png")
    found = cli("compare", sessions / "model", *words)
    assert found.code == 0, found.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["embed", "model", "clips", "--out", "f.txt"], "--out: expected a file that ends in .npz or .csv, got f.txt"),
        (["embed", "model", "none", "--out", "f.npz"], "none: expected a store or a file with recordings"),
        (["embed", "model", "clips", "--out", "f.npz", "--fps", 0], "fps: expected frames a second"),
        (["embed", "model", "clips", "--out", "f.npz", "--fps", "1e-9"], "fps: expected frames a second, 0.1 to 10000"),
        (["embed", "model", "clips", "--out", "new/f.npz"], "--out: expected a file in a folder that is there"),
        (["fit", "classifier", "model", "clips", "--out", "h", "--seed", 10**20], "setting seed: expected"),
        (["fit", "classifier", "model", "clips", "--out", "h", "--encoder", "tuned"], "--encoder: expected it with"),
        (["fit", "detector", "model", "long", "--out", "h", "--kind", "nearest"], "--kind: expected it with"),
        (
            ["fit", "classifier", "model", "clips", "--out", "h", "--detection.feature", "frame"],
            "--detection.feature: expected settings of a classifier (--head.…), got one that would be ignored",
        ),
        (
            ["fit", "predictor", "model", "clips", "--out", "h", "--head.lr", 1],
            "--head.lr: expected settings of a predictor (--prediction.…), got one that would be ignored; leave it out",
        ),
        (
            ["fit", "classifier", "model", "clips", "--out", "h", "--kind", "nearest", "--head.epochs", 3],
            "--head.epochs: expected settings of a classifier of nearest neighbours (which has none), got one",
        ),
        (
            ["evaluate", "linear", "--model", "model", "--store", "clips", "--test.crops", 4],
            "--test.crops: expected settings of linear (--head.…), got one that would be ignored; leave it out",
        ),
        (
            ["evaluate", "finetune", "--model", "model", "--store", "clips", "--quick", "--subset.shares", "[0.5]"],
            "--subset.shares: expected settings of finetune (--finetune.…), got one that would be ignored",
        ),
        (["fit", "classifier", "model", "clips", "--out", "."], "expected a new folder or a head to replace"),
        (["search", "model", "clips", "clips"], "clips: expected one motion, got 8 clips: name one, as clips:c0"),
        (["search", "model", "clips:c1", "clips", "--window", 1], "--window: expected --inside"),
        (["search", "model", "clips:c1", "long", "--inside", "--window", 0], "setting window: expected seconds"),
        (["compare", "model", "clips:c1", "clips:c2", "--out", "c.xyz"], "--out: expected a file that ends in .png"),
        (["embed", "model", "clips", "long", "--out", "f.npz"], "expected one store alone, or files, got 2"),
        (["embed", "clips", "clips", "--out", "f.npz"], "expected a run folder, got a store"),
        (["fit", "clasifier", "model", "clips", "--out", "h"], "did you mean 'classifier'?"),
        (["fit", "detector", "model", "clips", "--out", "h"], "expected untrimmed recordings"),
        (["fit", "classifier", "model", "clips", "--out", "clips"], "--out: expected a folder of its own"),
        (["embed", "head", "clips", "--out", "f.npz"], "head: expected a model, got a head: its model is head/model"),
        (["search", "head", "clips:c1", "clips"], "head: expected a model, got a head: its model is head/model"),
        (["classify", "head", "clips", "--model", "head"], "head: expected a model, got a head: its model is"),
        (["classify", "model", "clips"], "model: expected a head, got a model: pcm3 fit writes heads (pcm3 fit class"),
        (["classify", "head/model", "clips"], "head/model: expected a head, got its model: the head is head"),
        (["stream", "model"], "model: expected a head, got a model"),
        (["detect", "clips", "long"], "clips: expected a head, got a store: pcm3 fit writes heads"),
        (["classify", "head/head.json", "clips"], "head/head.json: expected the folder of a head, got a file"),
        (["classify", ".", "clips"], "expected a head"),
        (["classify", "none", "clips"], "none: expected a folder with a head, and there is none"),
        (["detect", "none", "long", "--to", "exel"], "did you mean 'elan'?"),
        (["search", "model", "clips:c9", "clips"], "expected a clip of it behind the colon, got 'c9'"),
        (["search", "model", "clips:c1"], "expected where to look"),
        (["search", "model", "clips:c1", "clips", "--top", 0], "top"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(cli, sessions, monkeypatch, words, message):
    monkeypatch.chdir(sessions)
    found = cli(*words)
    assert (found.code, found.err.count("\n")) == (2, 1), found.err
    assert message in found.err


def test_a_head_of_another_kind_or_model_is_refused(cli, sessions, tmp_path):
    fit(cli, "classifier", sessions, "clips", tmp_path / "head", "--expect", "false")
    found = cli("detect", tmp_path / "head", sessions / "long")
    assert (found.code, found.err) == (
        2,
        f"pcm3 detect: {tmp_path / 'head'}: expected a detector, got a classifier: pcm3 fit detector writes one\n",
    )
    spec = EncoderSpec(load_layout("kinect_v1"), 1, 6, 1, "causal", "last", "joint")
    save_encoder(tmp_path / "other", spec.build(4), spec)
    found = cli("classify", tmp_path / "head", sessions / "clips", "--model", tmp_path / "other")
    assert found.code == 2
    assert "was fitted on another model" in found.err


def test_an_index_that_is_there_is_used_and_that_is_said(cli, sessions, tmp_path):
    words = [
        "search",
        sessions / "model",
        f"{sessions / 'clips'}:c3",
        sessions / "clips",
        "--index",
        tmp_path / "index",
    ]
    assert "note" not in cli(*words).out
    assert "note: searched as the index in" in cli(*words).out
    assert "note" not in cli(*words[:3], *words[4:]).out


def test_a_file_that_cannot_be_read_does_not_end_a_search(cli, sessions, tmp_path):
    names = [f"{joint}_{axis}" for joint in load_layout("kinect_v1").joints for axis in "xyz"]
    for k in range(3):
        rows = np.round(walkers(k, 30, 1, 20).reshape(30, -1), 4).tolist() if k else [[0] * 60] * 30
        with (tmp_path / f"{k}.csv").open("w", newline="") as opened:
            csv.writer(opened).writerows([names, *rows])
    found = cli(
        "search", sessions / "model", tmp_path / "1.csv", tmp_path, "--fps", 30, "--layout", "kinect_v1", "--json"
    )
    assert found.code == 0, found.err
    assert found.json["searched"] == 2
    assert "not used: 0" in found.out


def test_a_head_is_written_where_nothing_can_be_said_of_it(cli, sessions, tmp_path):
    clips = [Recording(f"c{k}", walkers(k, 40, 1, 20), k) for k in range(2)]
    store_recordings(clips, tmp_path / "two", layout="kinect_v1", fps=30.0, classes=["bow", "wave"])
    found = cli("fit", "classifier", sessions / "model", tmp_path / "two", "--kind", "nearest", "--out", tmp_path / "h")
    assert (found.code, pcm3.load_head(tmp_path / "h").classes) == (0, ("bow", "wave")), found.err
    assert "note: no word on what to expect of it: expected two clips of a class" in found.out
