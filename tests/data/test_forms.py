"""A file given to a kind that does not read it is called what it is, with who reads it or what to do."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
from ntu_field_forms import crowd, ctr_clip, one_hot
from ntu_file_text import skeleton_text, walkers

from pcm3.cli import main
from pcm3.data.datasets import DATASETS
from pcm3.data.forms import form_of, mistaken, nothing_of
from pcm3.data.importer import import_recordings
from pcm3.errors import DataError


def archive(**members):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as made:
        for name, content in members.items():
            made.writestr(name.replace("__", "/"), content)
    return data.getvalue()


def arrays(**held):
    data = io.BytesIO()
    np.savez(data, **held)
    return data.getvalue()


def array(held, **options):
    data = io.BytesIO()
    np.save(data, held, **options)
    return data.getvalue()


def tar():
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as made:
        made.addfile(tarfile.TarInfo("a"))
    return data.getvalue()


BVH = "HIERARCHY\nROOT Hips\n{\n  OFFSET 0 0 0\n}\nMOTION\nFrames: 1\n"
CSV = "time,x1,y1,z1\n0,0.1,0.2,0.3\n1,0.1,0.2,0.3\n"
C3D = bytes([2, 0x50]) + bytes(600)
FILES = {
    "an_empty": (b"", "empty"),
    "bvh": (BVH.encode(), "a BVH file"),
    "bvh_bom": (b"\xef\xbb\xbf" + BVH.encode(), "a BVH file"),
    "csv": (CSV.encode(), "a CSV table"),
    "csv_utf16": (CSV.encode("utf-16"), "a CSV table"),
    "long_csv": ((CSV * 500).encode(), "a CSV table"),
    "semicolons": (CSV.replace(",", ";").encode(), "a table"),
    "tabs": (CSV.replace(",", "\t").encode(), "a table of tabs"),
    "c3d": (C3D, "a C3D file"),
    "json": (json.dumps({"people": [{"pose": [1, 2]}]}).encode(), "a JSON file"),
    "json_list": (b"[[1.0, 2.0]]", "a JSON file"),
    "mat": (b"MATLAB 5.0 MAT-file, Platform: PCWIN64" + bytes(200), "a MATLAB file"),
    "mat73": (b"MATLAB 7.3 MAT-file, Platform" + bytes(600), "a MATLAB 7.3 file"),
    "h5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file"),
    "parquet": (b"PAR1" + bytes(100), "a Parquet file"),
    "fbx": (b"Kaydara FBX Binary  \0", "an FBX file"),
    "trc": (b"PathFileType\t4\t(X/Y/Z)\tx.trc\n", "a TRC file of markers"),
    "amc": (b"#!OML:ASF H:\n:FULLY-SPECIFIED\n:DEGREES\n1\n", "an ASF or AMC file"),
    "skeleton": (skeleton_text(walkers(1, 3)).encode(), "a skeleton file of NTU RGB+D"),
    "skeleton_crlf": (skeleton_text(walkers(1, 3), newline="\r\n").encode(), "a skeleton file of NTU RGB+D"),
    "pickle": (pickle.dumps([1]), "a pickle"),
    "pickle0": (pickle.dumps({"a": [1]}, 0), "a pickle of protocol 0"),
    "pickle0_list": (pickle.dumps([{"a": 1}], 0), "a pickle of protocol 0"),
    "pickle0_array": (pickle.dumps(np.zeros(3), 0), "a pickle of protocol 0"),
    "gz": (gzip.compress(b"x"), "a gzip file"),
    "bz2": (bz2.compress(b"x"), "a bzip2 file"),
    "xz": (lzma.compress(b"x"), "an xz file"),
    "zlib": (zlib.compress(b"x"), "a zlib file, as joblib writes them"),
    "tar": (tar(), "a tar archive"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(40), "a 7z archive"),
    "rar": (b"Rar!\x1a\x07" + bytes(40), "a RAR archive"),
    "zip": (archive(a__b=b"x"), "a zip"),
    "pt": (archive(model__data__pkl=b"x").replace(b"data/pkl", b"data.pkl"), "a file of PyTorch's"),
    "npy": (array(np.zeros(3)), "a NumPy array (.npy)"),
    "npy_objects": (array(np.array({"a": 1}), allow_pickle=True), "a pickle inside a .npy (object arrays)"),
    "npz_own": (arrays(frames=np.zeros(3), length=np.zeros(3)), "an .npz in pcm3's own form"),
    "npz_ctr": (arrays(x_train=np.zeros(3), y_train=np.zeros(3)), "an .npz in the form of CTR-GCN"),
    "npz_other": (arrays(poses=np.zeros(3), b=np.zeros(1)), "an .npz with the arrays poses, b"),
    "mp4": (b"\0\0\0\x18ftypmp42" + bytes(40), "a video"),
    "html": (b"\n<!DOCTYPE html><html>", "a web page"),
    "xml": (b"<?xml version='1.0'?><a/>", "an XML file"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid", "a pointer of Git LFS"),
    "numbers": (b"0.1 0.2 0.3\n0.1 0.2 0.3\n", "a table of numbers or words"),
    "words": (b"hello\nthere you are\n", "a text"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_known_by_its_content(tmp_path, name):
    data, form = FILES[name]
    (tmp_path / "f.bin").write_bytes(data)
    assert form_of(tmp_path / "f.bin").name == form


@pytest.mark.parametrize("name", sorted(set(FILES) - {"npz_own", "npz_other"}))
@pytest.mark.parametrize("suffix", ["", ".npz"])
def test_npz_given_another_file_says_in_one_line_what_it_is(tmp_path, capsys, name, suffix):
    (tmp_path / f"f{suffix}").write_bytes(FILES[name][0])
    assert main(["import", "npz", str(tmp_path / f"f{suffix}"), str(tmp_path / "s")]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert f"expected a source of kind npz, but it is {FILES[name][1]}" in told
    assert "allow_pickle" not in told
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("kind", DATASETS)
def test_every_kind_given_every_file_answers_in_one_line(tmp_path, kind):
    for name, (data, _) in FILES.items():
        (tmp_path / "f.dat").write_bytes(data)
        with pytest.raises(DataError) as told:
            import_recordings(kind, tmp_path / "f.dat", tmp_path / "s", progress=False)
        assert "\n" not in str(told.value), name
        assert len(str(told.value)) < 700, name
        assert "allow_pickle" not in str(told.value), name


def test_who_reads_a_file_is_told(tmp_path):
    (tmp_path / "f").write_bytes(FILES["npz_ctr"][0])
    assert "which pcm3 import ctrgcn reads" in mistaken("npz", tmp_path / "f")
    (tmp_path / "f").write_bytes(FILES["skeleton"][0])
    assert "which pcm3 import auto reads" in mistaken("npz", tmp_path / "f")
    (tmp_path / "f").write_bytes(FILES["bvh"][0])
    assert "which pcm3 import bvh reads" in mistaken("npz", tmp_path / "f")


@pytest.mark.parametrize(("kind", "data"), [
    ("ntu60", skeleton_text(walkers(1, 3)).encode()), ("ntu60", b"words"), ("sbu", b"1,0.1,0.2\n2,0.1,0.2\n"),
    ("nw-ucla", b'{"skeletons": []}'), ("utd-mhad", FILES["mat"][0]), ("utkinect", b"1 0.1 0.2\n"),
    ("pkummd1", b"1 2 3\n"),
    ("msr-action3d", b"1 2 3 4\n"), ("pyskl", pickle.dumps([])), ("pyskl", pickle.dumps([], 0)),
    ("pyskl", gzip.compress(b"x")),
    ("agcn", array(np.zeros(3))), ("npz", arrays(frames=np.zeros(3))), ("ctrgcn", arrays(x_test=np.zeros(3))),
    ("ntu120", archive(a__b=b"x")), ("npz", b"PK\x03\x04 damaged"), ("pyskl", b"\x80\x04"),
    ("npz", b"\xff\x00\xfe\x01"),
])  # fmt: skip
def test_what_a_kind_may_read_is_left_to_its_reader(tmp_path, kind, data):
    (tmp_path / "f").write_bytes(data)
    assert mistaken(kind, tmp_path / "f") is None


def test_a_store_is_no_source(tmp_path, capsys):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "store.json").write_text("{}")
    (tmp_path / "store" / "frames.npy").write_bytes(b"")
    assert main(["import", "npz", str(tmp_path / "store"), str(tmp_path / "s")]) == 2
    assert "it is a store already" in capsys.readouterr().err


def test_what_lies_in_a_folder_without_recordings_is_told(tmp_path, capsys):
    for number in range(3):
        (tmp_path / f"{number}.bvh").write_text(BVH)
    (tmp_path / "readme.txt").write_text("words of this and that")
    assert "; 3 files there are each a BVH file, which pcm3 import bvh reads" in nothing_of("ntu60", tmp_path)
    assert main(["import", "ntu60", str(tmp_path), str(tmp_path / "s")]) == 2
    assert "no recordings of kind ntu60 there; 3 files there are each a BVH file" in capsys.readouterr().err
    assert nothing_of("ntu60", tmp_path / "none") == ""


@pytest.mark.parametrize(("name", "held", "message"), [
    ("label", np.array(["walk", "run"]), r"got strings \('walk', …\): put the names into classes"),
    ("label", np.array([b"walk", b"run"]), "got strings"),
    ("subject", np.array(["a", "b"]), "expected subject as whole numbers, got strings"),
    ("label", np.array([0, None]), "'label' holds Python objects, not an array of numbers or texts; save it"),
    ("frames", np.array([np.zeros((2, 25, 3)), np.zeros((3, 25, 3))], object), r"one after the other: np\.concatenate"),
    ("classes", np.array(["a", "b"], object), "'classes' holds Python objects"),
])  # fmt: skip
def test_the_wrong_kind_of_array_is_told_without_numpys_words(tmp_path, capsys, name, held, message):
    usual = {"frames": walkers(1, 5)[:, 0], "length": np.array([2, 3]), "layout": "kinect_v2"}
    np.savez(tmp_path / "f.npz", **usual | {name: held})
    assert main(["import", "npz", str(tmp_path / "f.npz"), str(tmp_path / "s")]) == 2
    told = capsys.readouterr().err
    assert "allow_pickle" not in told
    with pytest.raises(DataError, match=message):
        raise DataError(told)


def test_a_folder_given_to_npz_and_a_ctr_file_given_to_it_too(tmp_path, capsys):
    np.savez(tmp_path / "f.npz", x_train=np.stack([ctr_clip(crowd(1, 9))]), y_train=one_hot([0]))
    assert main(["import", "npz", str(tmp_path), str(tmp_path / "s")]) == 2
    assert "got a folder; name the file" in capsys.readouterr().err
