import inspect
import json
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ntu_file_text import skeleton_text, walkers

from pcm3.data import importer
from pcm3.data.datasets import DATASETS, PublishedCounts, find_dataset
from pcm3.data.formats.table import FORMATS
from pcm3.data.importer import import_recordings
from pcm3.data.info import describe, protocol_lines
from pcm3.data.prepare import Recipe, prepare
from pcm3.data.protocol import split
from pcm3.data.readers import ntu
from pcm3.data.recordings import read_files
from pcm3.data.source_index import Options
from pcm3.data.store import ClipStore
from pcm3.errors import ConfigError, DataError
from pcm3.files import PARTIAL
from pcm3.skeleton import load_layout

KINECT = load_layout("kinect_v2")


def names(count):
    """NTU names: every action, subjects and cameras in turn."""
    return [f"S003C{1 + i % 3:03}P{1 + i % 7:03}R001A{1 + i % 60:03}.skeleton" for i in range(count)]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    raw = tmp_path_factory.mktemp("written")
    (raw / "deep" / "er").mkdir(parents=True)
    for number, name in enumerate(names(40)):
        where = raw / ("deep/er" if number % 2 else ".")
        (where / name).write_text(skeleton_text(walkers(number, 5 + number % 9, 1 + number % 3)))
    return raw


@pytest.fixture
def folder(written, tmp_path):
    """A copy of the files, to be damaged."""
    return Path(shutil.copytree(written, tmp_path / "raw"))


def run(source, store, kind="ntu60", **settings):
    return import_recordings(kind, source, store, progress=False, **settings)


def test_store_holds_each_recording_prepared_and_in_order(folder, tmp_path):
    report = run(folder, tmp_path / "s")
    store = ClipStore.open(tmp_path / "s")
    assert (report.clips, report.skipped, report.frames) == (40, [], len(store.frames))
    assert report.seconds > 0
    assert report.clips_per_s == pytest.approx(40 / report.seconds)
    assert store.ids.tolist() == sorted(name.removesuffix(".skeleton") for name in names(40))
    for index, name in enumerate(store.ids):
        file = next(folder.rglob(f"{name}.skeleton"))
        recording = ntu.parse(file.name, file.read_bytes())
        np.testing.assert_array_equal(store.clip(index), prepare(recording, Recipe(KINECT, 2))[0].frames)
        assert (store.label[index], store.subject[index], store.camera[index], store.setup[index]) == (
            recording.label, recording.subject, recording.camera, 3,
        )  # fmt: skip
    assert (store.kind, store.fps, store.layout, store.normalised) == ("ntu60", 30.0, KINECT, True)
    assert (len(store.classes), store.protocols) == (60, ntu.PROTOCOLS_60)
    assert {len(side) for side in split(store, "xview")} == {26, 14}


def tree(path):
    return {file.name: file.read_bytes() for file in path.iterdir()}


def test_the_store_is_the_same_to_the_byte_for_any_number_of_workers_and_any_packing(folder, tmp_path):
    (folder / "S001C001P001R001A001.skeleton").write_text("1\n")  # damaged
    (folder / "S001C001P001R001A002.skeleton").write_text("1\n0\n")  # empty
    packed = tmp_path / "zips"
    packed.mkdir()
    files = sorted(folder.rglob("*.skeleton"))
    for half in (0, 1):
        with zipfile.ZipFile(packed / f"nturgbd_{half}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for file in files[half::2]:
                archive.write(file, f"nturgb+d_skeletons/{file.name}")
    run(folder, tmp_path / "one", workers=1)
    run(folder, tmp_path / "two", workers=2)
    report = run(packed, tmp_path / "zipped", workers=2)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    for name in ("frames.npy", "clips.npz"):
        assert tree(tmp_path / "one")[name] == tree(tmp_path / "zipped")[name]
    assert report.clips == 40
    assert len(report.skipped) == 2


def test_every_file_that_is_no_clip_is_in_the_report_with_its_reason(folder, tmp_path):
    (folder / "S001C001P001R001A001.skeleton").write_bytes(b"\x00\xff" * 100)
    (folder / "S001C001P001R001A002.skeleton").write_text("2\n0\n0\n")
    (folder / "S001C001P001R001A061.skeleton").write_text("2\n0\n0\n")
    (folder / "mine.skeleton").write_text("0")
    (folder / "deep" / names(1)[0]).write_text("0")
    (folder / "readme.txt").write_text("not a recording")
    (folder / "._S001C001P001R001A003.skeleton").write_text("what macOS leaves")
    report = run(folder, tmp_path / "s")
    skipped = dict(report.skipped)
    assert report.clips == 40
    assert set(skipped) == {
        "S001C001P001R001A001.skeleton", "S001C001P001R001A002.skeleton", "S001C001P001R001A061.skeleton",
        "mine.skeleton", f"deep/{names(1)[0]}",
    }  # fmt: skip
    assert skipped["S001C001P001R001A001.skeleton"].startswith("line 1: expected the number of frames, got")
    assert skipped["S001C001P001R001A002.skeleton"] == "missing skeleton: no body in any frame"
    assert skipped["S001C001P001R001A061.skeleton"] == "action 61 is not one of the 60 classes"
    assert skipped["mine.skeleton"] == "expected a name like SsssCcccPpppRrrrAaaa.skeleton"
    double = f"the id '{names(1)[0].removesuffix('.skeleton')}' is taken by '{names(1)[0]}'"
    assert skipped[f"deep/{names(1)[0]}"] == double
    stored = json.loads((tmp_path / "s" / "store.json").read_text())["report"]
    notes = ["a part of NTU RGB+D 60: 44 of its 56,880 recordings"]
    assert stored == {"clips": 40, "left_out": [list(pair) for pair in report.skipped], "notes": notes}
    assert report.notes == notes


@pytest.mark.parametrize("workers", [1, 2])
def test_strict_stops_at_a_file_that_cannot_be_read_and_writes_nothing(folder, tmp_path, workers):
    (folder / "S001C001P001R001A001.skeleton").write_text("7\n")
    with pytest.raises(DataError, match=r"A001\.skeleton: line 1: says 7 frames|line 2"):
        run(folder, tmp_path / "s", strict=True, workers=workers)
    assert [entry.name for entry in tmp_path.iterdir()] == ["raw"]


def test_strict_does_not_mind_recordings_that_are_left_out_by_rule(folder, tmp_path):
    (folder / "S001C001P001R001A002.skeleton").write_text("2\n0\n0\n")
    (folder / "S001C001P001R001A061.skeleton").write_text("2\n0\n0\n")
    assert run(folder, tmp_path / "s", strict=True).clips == 40
    (folder / "mine.skeleton").write_text("0")
    with pytest.raises(DataError, match=r"mine\.skeleton: .*expected a name like"):
        run(folder, tmp_path / "t", strict=True)


def test_nothing_to_import_is_an_error_that_says_what_was_looked_for(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no recordings of kind ntu60 there"):
        run(tmp_path / "empty", tmp_path / "s")
    with pytest.raises(DataError, match="expected a folder, a zip or a file with recordings, but there is none"):
        run(tmp_path / "nowhere", tmp_path / "s")
    (tmp_path / "empty" / "S001C001P001R001A001.skeleton").write_text("x")
    with pytest.raises(DataError, match=r"none of 1 recordings can be used: 1 x line 1: .* \(S001"):
        run(tmp_path / "empty", tmp_path / "s")
    (tmp_path / "bad.zip").write_bytes(b"PK not really")
    with pytest.raises(DataError, match=r"bad\.zip: expected a zip, but it cannot be read as one"):
        run(tmp_path / "bad.zip", tmp_path / "s")


def test_settings_that_make_no_sense_are_config_errors(folder, tmp_path):
    for settings in ({"workers": 0}, {"max_frames": 0}, {"layout": "kinect_v1"}):
        with pytest.raises(ConfigError):
            run(folder, tmp_path / "s", **settings)


def test_what_a_kind_has_no_use_for_is_not_dropped_in_silence(folder, tmp_path):
    with pytest.raises(ConfigError, match=r"setting labels: expected it with utkinect, .*files of your own .*; ntu60"):
        import_recordings("auto", folder, tmp_path / "store", labels="labels.csv")
    with pytest.raises(ConfigError, match="setting units: expected it with files of your own"):
        read_files(folder, Options(units="mm"))


def test_the_table_of_kinds_tells_which_options_their_readers_look_at():
    for kind in set(DATASETS) - set(FORMATS):
        read = DATASETS[kind].read
        source = inspect.getsource(sys.modules[getattr(read, "func", read).__module__])
        looked_at = set(re.findall(r"options\.(\w+)", source)) - {"layout", "fps"}
        assert set(DATASETS[kind].options) == looked_at, kind


def test_kinds_are_known_and_near_misses_are_guessed():
    assert set(DATASETS) >= {"ntu60", "ntu120", "nw-ucla", "utd-mhad", "msr-action3d", "npz"}
    with pytest.raises(DataError, match="got 'ntu61'; did you mean 'ntu60'"):
        find_dataset("ntu61")
    with pytest.raises(DataError, match="did you mean 'utd-mhad'"):
        find_dataset("UTD_MHAD")
    for kind in DATASETS.values():
        assert kind.layout is None or load_layout(kind.layout)
        assert len(set(kind.classes)) == len(kind.classes)


def test_length_normalisation_and_precision_can_be_chosen(folder, tmp_path):
    run(folder, tmp_path / "s", max_frames=6, normalise=False, dtype="float16")
    store = ClipStore.open(tmp_path / "s")
    assert store.length.max() == 6
    assert store.frames.dtype == np.float16
    assert not store.normalised
    assert store.clip(0)[:, 0, :, 2].mean() > 1  # still in front of the camera


def write_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


GOOD = skeleton_text(walkers(0, 5))


def test_names_that_lead_outside_a_zip_are_left_out(tmp_path):
    inside = tmp_path / "in"
    inside.mkdir()
    numbers = {1: "../", 2: "/etc/", 4: "a/../../"}
    outside = [f"{start}S001C001P001R001A{action:03}.skeleton" for action, start in numbers.items()]
    write_zip(inside / "n.zip", dict.fromkeys([*outside, "a/S001C001P001R001A003.skeleton"], GOOD))
    report = run(inside, tmp_path / "s")
    assert ClipStore.open(tmp_path / "s").ids.tolist() == ["S001C001P001R001A003"]
    assert {reason for _, reason in report.skipped} == {"the name leads outside the zip"}
    assert len(report.skipped) == 3
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["in", "s"]


def test_backslashes_in_a_zip_divide_as_slashes_do(tmp_path):
    names = [f"S001C001P001R001A00{number}.skeleton" for number in (1, 2, 3)]
    for divider in ("/", "\\"):
        packed = tmp_path / f"{ord(divider)}.zip"
        write_zip(packed, {f"data{divider}skeletons{divider}{name}": GOOD for name in names})
        with zipfile.ZipFile(packed, "a") as archive:
            archive.writestr(f"data{divider}empty{divider}", b"")
            archive.writestr(f"data{divider}__MACOSX{divider}._x.skeleton", b"")
        report = run(packed, tmp_path / f"store{ord(divider)}")
        assert (report.clips, report.skipped) == (3, [])
    assert tree(tmp_path / "store47") == tree(tmp_path / "store92")


def test_what_cannot_be_read_in_a_zip_is_told_with_what_to_do(tmp_path):
    good, other = "S001C001P001R001A001.skeleton", "S001C001P001R001A002.skeleton"
    write_zip(tmp_path / "n.zip", {good: GOOD, "more.zip": b"PK", "a\x1b[2Jb.zip": b"PK", f"x/{other}": GOOD})
    data = bytearray((tmp_path / "n.zip").read_bytes())
    directory = data.index(b"PK\x01\x02" + data[data.index(b"PK\x01\x02") + 4 :][:40], 0)
    place = data.index(f"x/{other}".encode(), directory) - 46
    data[place + 8] |= 1  # says that it is encrypted
    (tmp_path / "n.zip").write_bytes(data)
    report = run(tmp_path / "n.zip", tmp_path / "s")
    assert report.clips == 1
    assert sorted(report.skipped) == [
        (r"a\x1b[2Jb.zip", "a zip inside a zip; unpack the outer one first"),
        ("more.zip", "a zip inside a zip; unpack the outer one first"),
        (f"x/{other}", "it is encrypted; unpack the zip with its password first"),
    ]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_a_zip_holds_twice_is_taken_only_if_both_are_the_same(tmp_path):
    name, other = "S001C001P001R001A001.skeleton", "S001C001P001R001A002.skeleton"
    with zipfile.ZipFile(tmp_path / "n.zip", "w") as archive:
        for member, content in ((name, GOOD), (name, GOOD), (f"a/{other}", GOOD), (f"a\\{other}", GOOD + " ")):
            archive.writestr(member, content)
    report = run(tmp_path / "n.zip", tmp_path / "s")
    assert report.clips == 1
    ((file, reason),) = report.skipped
    assert file == f"a/{other}"
    assert "more than once, with different content" in reason


def test_a_zip_bomb_costs_one_clip_and_little_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("pcm3.data.archives.SIZE_LIMIT", 2**20)
    bomb = b"1\n" + b" " * 2**25
    write_zip(tmp_path / "n.zip", {"S001C001P001R001A001.skeleton": bomb, "S001C001P001R001A002.skeleton": GOOD})
    report = run(tmp_path / "n.zip", tmp_path / "s")
    assert (report.clips, report.skipped) == (
        1, [("S001C001P001R001A001.skeleton", "expected a recording, got more than 1 MB: cut it into parts")],
    )  # fmt: skip


def test_damaged_zips_cost_what_is_damaged(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    write_zip(source / "good.zip", {"S001C001P001R001A001.skeleton": GOOD, "S001C001P001R001A002.skeleton": GOOD})
    data = bytearray((source / "good.zip").read_bytes())
    data[100:140] = bytes(40)
    (source / "good.zip").write_bytes(data)
    (source / "cut.zip").write_bytes(data[:500])
    report = run(source, tmp_path / "s")
    assert ClipStore.open(tmp_path / "s").ids.tolist() == ["S001C001P001R001A002"]
    assert sorted(file for file, _ in report.skipped) == ["cut.zip", "good.zip/S001C001P001R001A001.skeleton"]


def test_links_are_followed_but_not_in_circles(folder, tmp_path):
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "data").symlink_to(folder)
    (folder / "deep" / "up").symlink_to(folder)
    assert run(linked, tmp_path / "s").clips == 40


def test_a_single_file_is_a_source(folder, tmp_path):
    assert run(next(folder.rglob("*.skeleton")), tmp_path / "s").clips == 1


def test_progress_goes_to_stderr_and_nothing_to_stdout(folder, tmp_path, capsys, monkeypatch):
    bar = importer.tqdm
    monkeypatch.setattr(importer, "tqdm", lambda *words, **named: bar(*words, **named | {"delay": 0}))
    import_recordings("ntu60", folder, tmp_path / "s")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "40/40" in captured.err


def test_an_import_that_is_quick_shows_no_bar(folder, tmp_path, capsys):
    import_recordings("ntu60", folder, tmp_path / "s")
    assert capsys.readouterr().err == ""


def test_recordings_with_classes_of_their_own_are_not_taken_for_ntu(folder, tmp_path):
    (folder / "classes.txt").write_text("\n".join(f"class {number}" for number in range(60)))
    run(folder, tmp_path / "s")
    store = ClipStore.open(tmp_path / "s")
    assert (store.kind, store.classes[3], list(store.protocols)) == ("ntu-format", "class 3", ["xsub", "xview"])


IMPORT = """
import sys, time
from pcm3.data import importer, prepare
plain = prepare.prepare
def slow(*args):
    time.sleep(0.1)  # of 40 clips most are to come when it is killed, however busy the machine is
    return plain(*args)
prepare.prepare = slow
if __name__ == "__main__":
    settings = {"overwrite": True, "workers": int(sys.argv[3]), "progress": False}
    importer.import_recordings("ntu60", sys.argv[1], sys.argv[2], **settings)
"""


def start(tmp_path, folder, store, workers):
    script = tmp_path / "slow_import.py"
    script.write_text(IMPORT)
    process = subprocess.Popen([sys.executable, script, folder, store, str(workers)], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 30
    while not any("pcm3-partial" in entry.name for entry in store.parent.iterdir()):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.1)
    return process


def children(pid):
    return [int(line) for line in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="watches processes through /proc")
@pytest.mark.parametrize(
    ("number", "workers"),
    [
        *(pytest.param(*both, marks=pytest.mark.soak) for both in ((signal.SIGKILL, 1), (signal.SIGINT, 2))),
        (signal.SIGKILL, 2),
    ],
)
def test_a_killed_import_leaves_the_old_store_and_no_process(folder, tmp_path, number, workers):
    store = tmp_path / "place" / "s"
    run(folder, store)
    before = ClipStore.open(store).checksum
    process = start(tmp_path, folder, store, workers)
    helpers = children(process.pid)
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode != 0
    assert ClipStore.open(store).checksum == before
    left = [entry.name for entry in store.parent.iterdir() if entry.name != "s"]
    assert len([name for name in left if name.endswith(PARTIAL)]) == (1 if number == signal.SIGKILL else 0)
    assert number == signal.SIGKILL or left == []
    deadline = time.monotonic() + 10
    while any(alive(helper) for helper in helpers):
        assert time.monotonic() < deadline, "a helper process outlived its parent"
        time.sleep(0.02)
    run(folder, store, overwrite=True)
    assert [entry.name for entry in store.parent.iterdir()] == ["s"]


def test_importing_pcm3_data_does_not_import_torch():
    code = "import sys, pcm3.data.importer, pcm3.data.audit.check, pcm3.data.info; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_small_sources_are_read_without_other_processes(folder, monkeypatch, tmp_path):
    seen = []
    plain = importer.worker_processes
    monkeypatch.setattr(importer, "worker_processes", lambda count: seen.append(count) or plain(count))
    run(folder, tmp_path / "s")
    assert seen == [1]


def test_clips_that_a_list_names_are_left_out(folder, tmp_path):
    listed = names(40)[:3]
    (tmp_path / "missing.txt").write_text("\n".join(["Samples with missing skeletons:", *listed[:2], listed[2][:-9]]))
    report = run(folder, tmp_path / "s", skip_list=tmp_path / "missing.txt")
    assert report.clips == 37
    assert sorted(Path(file).name for file, _ in report.skipped) == sorted(listed)
    assert {reason for _, reason in report.skipped} == {"named in missing.txt"}


def test_a_list_that_is_not_there_is_refused(folder, tmp_path):
    with pytest.raises(DataError, match=r"missing\.txt: expected a text file"):
        run(folder, tmp_path / "s", skip_list=tmp_path / "missing.txt")
    assert not (tmp_path / "s").exists()


def test_a_whole_data_set_is_told_from_a_part_and_from_one_that_is_too_large(folder, tmp_path, monkeypatch):
    def note(published, **settings):
        monkeypatch.setitem(DATASETS, "ntu60", replace(find_dataset("ntu60"), published=published))
        return run(folder, tmp_path / "s", overwrite=True, **settings).notes

    assert note(PublishedCounts("NTU", 50, 48)) == ["a part of NTU: 40 of its 50 recordings"]
    assert note(PublishedCounts("NTU", 40, 40)) == ["the whole of NTU: 40 clips, as published"]
    (told,) = note(PublishedCounts("NTU", 40, 38))
    assert told.startswith("NTU has 38 clips in published results, this store 40; published results skip")
    (tmp_path / "missing.txt").write_text("\n".join(names(40)[:2]))
    listed = {"skip_list": tmp_path / "missing.txt"}
    assert note(PublishedCounts("NTU", 40, 38), **listed) == ["the whole of NTU: 38 clips, as published"]
    assert note(PublishedCounts("NTU", 40, 37), **listed) == ["NTU has 37 clips in published results, this store 38"]


def test_the_sides_of_a_protocol_stand_beside_the_published_ones(folder, tmp_path, monkeypatch):
    run(folder, tmp_path / "s")
    train, test = (len(side) for side in split(ClipStore.open(tmp_path / "s"), "xview"))

    def told(*published):
        monkeypatch.setitem(
            DATASETS,
            "ntu60",
            replace(find_dataset("ntu60"), published=PublishedCounts("NTU", 40, 40, {"xview": published})),
        )
        return protocol_lines(describe(ClipStore.open(tmp_path / "s")))["xview"]

    assert told(train, test) == f"{train} clips train, {test} test: as published"
    assert told(train + 1, test) == f"{train} clips train, {test} test (published: {train + 1}, {test})"
    assert told(40_091, 16_487) == f"{train} clips train, {test} test"
