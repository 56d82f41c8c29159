"""``pcm3 stream`` and ``pcm3 play``: lines of JSON in, a line out for each; on stdin and on ports."""

import io
import json
import os
import re
import socket
import sys
import threading
from pathlib import Path
from queue import Queue

import numpy as np
import pytest
from ntu_file_text import walkers

import pcm3
from pcm3.cli import main
from pcm3.cli.live_lines import LONGEST, LineStream, parse_frame
from pcm3.cli.live_ports import on_udp, on_websocket
from pcm3.data.importer import store_recordings
from pcm3.data.recording import Interval, Recording
from pcm3.encoders.files import save_encoder
from pcm3.encoders.spec import EncoderSpec
from pcm3.errors import ConfigError, DataError
from pcm3.settings.tasks import DetectionSettings, LinearSettings, PredictionSettings
from pcm3.skeleton import load_layout

KINECT1 = load_layout("kinect_v1")


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    """A folder with a model, a detector of frames, a classifier and a predictor on it."""
    folder = tmp_path_factory.mktemp("heads")
    fed = {"frames": 16, "fps": 30.0, "normalised": True, "rule": "upright"}
    spec = EncoderSpec(KINECT1, 1, 6, 1, "causal", "mean", "joint", **fed)
    save_encoder(folder / "model", spec.build(3), spec)
    model = pcm3.load(folder / "model")
    made = [Recording(f"r{k}", walkers(k, 80, 1, 20), intervals=(Interval(5, 35, k),)) for k in range(2)]
    store_recordings(made, folder / "long", layout="kinect_v1", fps=30.0, classes=["bow", "wave"])
    frames = DetectionSettings(epochs=1, windows=2, stretch=60, drop_epochs=[1], feature="frame", activity=0.01)
    model.fit_detector(folder / "long", settings=frames).save(folder / "detector")
    clips = [walkers(k, 40, 1, 20) for k in range(4)]
    model.fit_classifier(clips, list("abab"), settings=LinearSettings(epochs=1)).save(folder / "classifier")
    short = PredictionSettings(seed_frames=20, predicted_frames=5, hidden_size=8, steps=1)
    model.fit_predictor(clips, settings=short).save(folder / "predictor")
    return folder


def line_of(frame, **more):
    return json.dumps({"joints": frame.tolist()} | more)


def stream(cli, monkeypatch, text, *words):
    """The answers to the text on standard input."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    found = cli("stream", *words)
    return found, [json.loads(line) for line in found.out.splitlines()]


def test_every_frame_is_answered_by_what_the_library_tells(cli, monkeypatch, heads):
    recording = walkers(5, 60, 1, 20)
    found, answers = stream(
        cli, monkeypatch, "".join(line_of(frame[0]) + "\n" for frame in recording), heads / "detector", "--up", "y"
    )
    assert found.code == 0, found.err
    assert [answer["line"] for answer in answers] == list(range(60))
    assert all(answer["label"] is None and answer["share"] is None for answer in answers[:29])
    own = pcm3.load_head(heads / "detector").stream(up="y")
    for answer, frame in zip(answers, recording, strict=True):
        result = own.push(frame)
        if result is not None:
            assert answer["label"] == result.label
            assert answer["share"] == pytest.approx(result.share, abs=1e-5)
            assert answer["time"] == pytest.approx(result.time, abs=1e-5)
            assert 0 < answer["delay_ms"] < 10_000


def test_between_two_windows_the_last_label_holds_and_its_delay_grows(cli, monkeypatch, heads):
    text = "".join(line_of(frame[0], time=10 + k / 30) + "\n" for k, frame in enumerate(walkers(5, 40, 1, 20)))
    found, answers = stream(cli, monkeypatch, text, heads / "classifier", "--window", 1, "--hop", 5, "--json")
    assert found.code == 0, found.err
    assert answers.pop() == {"lines": 40, "errors": 0}
    assert {answer["label"] for answer in answers[:29]} == {None}
    assert [round(answer["time"], 3) for answer in answers[29:39]] == [round(10 + 29 / 30, 3)] * 5 + [
        round(10 + 34 / 30, 3)
    ] * 5
    assert answers[33]["delay_ms"] > 4000 / 30
    assert all(answer["label"] in ("a", "b") for answer in answers[29:])


BROKEN = {
    "no JSON": ("{", "expected a line of JSON"),
    "nothing": ("", "expected a line of JSON"),
    "deep": ("[" * 100_000, "expected a line of JSON"),
    "other JSON": ("[1]", 'expected {"joints"'),
    "no joints": ("{}", 'expected {"joints"'),
    "both": ('{"joints": [], "bodies": []}', 'expected {"joints"'),
    "a number": ('{"joints": 1}', "joints: expected a list, or places by name, got 1"),
    "other bodies": ('{"bodies": {}}', "bodies: expected a list"),
    "other layout": ('{"joints": [[1, 2, 3]]}', r"expected a frame (20, 3)"),
    "letters": ('{"joints": [["a", 2, 3]]}', "got numbers in another form"),
    "far": (line_of(np.full((20, 3), 1e9)), "expected metres"),
    "infinite": (line_of(np.full((20, 3), np.inf)), "expected metres"),
    "time": (line_of(np.ones((20, 3)), time="now"), "time: expected seconds, got 'now'"),
    "no time": (line_of(np.ones((20, 3)), time=float("nan")), "time: expected seconds"),
    "long": (" " * (2 * LONGEST + 5), "expected a line of at most 1,048,576 bytes"),
    "other names": ('{"joints": {"nose\\u0007": [0, 0, 0]}}', "cannot be retargeted"),
}


def test_a_broken_line_is_answered_by_an_error_and_the_stream_goes_on(cli, monkeypatch, heads):
    frames = [line_of(frame[0]) for frame in walkers(5, 40, 1, 20)]
    text = "\n".join([*frames[:20], *(line for line, _ in BROKEN.values()), *frames[20:]])
    found, answers = stream(cli, monkeypatch, text, heads / "detector", "--up", "y", "--json")
    assert found.code == 0, found.err
    assert answers.pop() == {"lines": 40 + len(BROKEN), "errors": len(BROKEN)}
    for answer, (name, (_, message)) in zip(answers[20:], BROKEN.items(), strict=False):
        assert message in answer["error"], name
        assert set(answer) == {"line", "error"}
        assert answer["error"].isprintable()
    whole = stream(cli, monkeypatch, "\n".join(frames), heads / "detector", "--up", "y")[1]
    assert [answer["share"] for answer in answers[-5:]] == [answer["share"] for answer in whole[-5:]]


def test_forms_of_a_frame():
    named = {"head": [0, 1, 2], "neck": None}
    assert parse_frame('{"joints": [[1, 2, 3], [null, null, null]], "time": 2}') == ([[1, 2, 3], [None] * 3], 2)
    assert parse_frame(json.dumps({"joints": named})) == (named, None)
    assert parse_frame(json.dumps({"bodies": [named, {"joints": named}]})) == ([named, named], None)
    assert parse_frame('{"joints": null}') == parse_frame('{"bodies": []}') == ([], None)
    with pytest.raises(DataError):
        parse_frame(b"\xff\xfe")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "expected a folder with a head, and there is none"),
        (["predictor"], "expected a classifier or a detector, got a predictor"),
        (["classifier", "--fps", "0"], "fps: expected frames a second"),
        (["classifier", "--window", "-1"], "setting window: expected seconds"),
        (["detector", "--up", "left"], "setting up: expected x, y, z"),
        (["detector", "--udp", "70000"], "--udp: expected a port"),
        (["detector", "--origin", "null"], "--origin: expected it with --websocket"),
        (["detector", "--websocket", "0", "--origin", "lab.example"], "--origin: expected https://host"),
        (["detector", "--udp", "0", "--websocket", "0"], "expected one of --udp and --websocket"),
        (["detector", "--layout", "hand21"], "cannot be retargeted"),
    ],
)
def test_bad_use_is_told_in_one_line(cli, heads, words, message):
    found = cli("stream", heads / words[0], *words[1:])
    assert (found.code, found.err.count("\n")) == (2, 1)
    assert message in found.err


def test_it_ends_when_whoever_sends_is_gone(heads, monkeypatch):
    (its_input, sent), (received, its_output) = os.pipe(), os.pipe()
    words, codes = ["stream", str(heads / "detector"), "--up", "y"], []
    with open(its_input) as stdin, open(its_output, "w") as stdout, open(received) as answers:  # noqa: PTH123
        monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setattr(sys, "stdout", stdout)
        answering = threading.Thread(target=lambda: codes.append(main(words)), daemon=True)
        answering.start()
        with open(sent, "w") as frames:  # noqa: PTH123
            frames.write("".join(line_of(frame[0]) + "\n" for frame in walkers(5, 31, 1, 20)))
            frames.flush()
            told = [json.loads(answers.readline()) for _ in range(31)]  # each comes at once, not at the end
            assert told[-1]["share"] is not None
            frames.write('{"joints": [')  # and is cut off in the middle of a line
        answering.join(60)
        assert codes == [0]
        assert "error" in json.loads(answers.readline())


def listening(on, heads, said=None):
    """The port on which a thread answers; what it says after that goes into a list."""
    head, ports = pcm3.load_head(heads / "classifier"), Queue()
    say = lambda text: ports.put(text) if "listening" in text or said is None else said.append(text)  # noqa: E731
    make = lambda: LineStream(lambda: head.stream(window=0.2, hop=1))  # noqa: E731
    threading.Thread(target=on, args=(0, make, say), daemon=True).start()
    return int(ports.get(timeout=20).rsplit(":", 1)[1])


def test_datagrams_are_answered_and_every_sender_has_a_stream_of_its_own(heads):
    port = listening(on_udp, heads)
    recording = walkers(5, 8, 1, 20)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        for own in (one, other):
            own.settimeout(20)
            own.connect(("127.0.0.1", port))
        for number, frame in enumerate(recording):
            one.send(line_of(frame[0]).encode())
            answer = json.loads(one.recv(1 << 16))
            assert answer["line"] == number
        assert answer["label"] in ("a", "b")
        other.send(b"what?")
        answer = json.loads(other.recv(1 << 16))
        assert answer["line"] == 0
        assert "expected a line of JSON" in answer["error"]


def test_websockets_are_answered_but_not_to_pages_from_elsewhere(heads):
    client = pytest.importorskip("websockets.sync.client")
    from websockets.exceptions import InvalidStatus

    port = listening(on_websocket, heads)
    with client.connect(f"ws://127.0.0.1:{port}", origin="http://localhost:8000") as connection:
        for frame in walkers(5, 7, 1, 20):
            connection.send(line_of(frame[0]))
            answer = json.loads(connection.recv(timeout=20))
        assert answer["label"] in ("a", "b")
    foreign = (
        "https://elsewhere.example",
        "null",
        "http://localhost.elsewhere.example",
        "http://127.0.0.1@elsewhere.example",
    )
    for origin in foreign:
        with pytest.raises(InvalidStatus, match="HTTP 403"), client.connect(f"ws://127.0.0.1:{port}", origin=origin):
            pass
    said = []
    port = listening(lambda *given: on_websocket(*given, ["null"]), heads, said)
    with client.connect(f"ws://127.0.0.1:{port}", origin="null"):
        pass
    for _ in range(2):
        with pytest.raises(InvalidStatus), client.connect(f"ws://127.0.0.1:{port}", origin=foreign[0]):
            pass
    assert said == [f"refused a page of {foreign[0]} (--origin {foreign[0]} lets such pages in)"]


def test_the_page_of_the_examples_says_what_is_in_the_answers(heads):
    page = (Path(__file__).parents[2] / "examples" / "live_page.html").read_text(encoding="utf-8")
    assert len(page.splitlines()) <= 45
    lines = LineStream(lambda: pcm3.load_head(heads / "classifier").stream(window=0.2, hop=1))
    answers = [json.loads(lines.answer(line_of(frame[0]))) for frame in walkers(5, 7, 1, 20)]
    assert set(re.findall(r"answer\.(\w+)", page)) - {"error"} <= set(answers[-1])


@pytest.mark.parametrize(("on", "kind"), [(on_udp, socket.SOCK_DGRAM), (on_websocket, socket.SOCK_STREAM)])
def test_a_port_that_is_taken_is_named(on, kind):
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"^--(udp|websocket): port {port} of this machine is taken: choose"):
            on(port, LineStream, print)


def test_play_takes_no_store(cli, tmp_path):
    store_recordings([Recording("a", walkers(0, 40))], tmp_path / "s", layout="kinect_v2", fps=30.0)
    found = cli("play", tmp_path / "s")
    assert (found.code, "expected files with recordings, got a store" in found.err) == (2, True), found.err


def test_play_gives_the_frames_of_a_file_that_stream_takes(cli, monkeypatch, heads, tmp_path):
    recording = walkers(6, 40, 1, 20)
    recording[3, 0, 4] = 0
    np.save(tmp_path / "walk.npy", recording[:, 0])
    found = cli("play", tmp_path / "walk.npy", "--layout", "kinect_v1", "--fps", 30, "--speed", 1000, "--json")
    assert found.code == 0, found.err
    *lines, last = found.out.splitlines()
    assert json.loads(last) == {"frames": 40, "fps": 30.0, "layout": "kinect_v1"}
    played = [json.loads(line) for line in lines]
    assert [line["time"] for line in played] == pytest.approx([k / 30 for k in range(40)], abs=1e-6)
    assert set(KINECT1.joints) - set(played[3]["bodies"][0]) == {KINECT1.joints[4]}
    found, answers = stream(cli, monkeypatch, "\n".join(lines), heads / "classifier", "--window", 1, "--up", "y")
    expected = pcm3.load_head(heads / "classifier").predict_proba(recording[:30], up="y")
    assert answers[29]["share"] == pytest.approx(float(expected.max()), abs=1e-4)
    for wrong in (["--speed", 0], ["--layout", "kinect_v9"]):
        found = cli("play", tmp_path / "walk.npy", *wrong)
        assert (found.code, found.err.count("\n")) == (2, 1)
