"""What a file is, told from its first bytes, so that a file given to the wrong kind is called what it is.

Each form of `FORMS` says which kinds of import read it and, where none does, what to do with it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from zipfile import ZipFile

from pcm3.data.archives import ZIP_ERRORS, walk
from pcm3.data.formats.motion_file import HEAD
from pcm3.data.formats.table import FORMATS
from pcm3.data.names import printable
from pcm3.data.recording import NPY_ERRORS
from pcm3.errors import DataError

FILES_EXAMINED = 1000
"""Files of a folder that are looked at."""
OWN = "docs/YOUR_DATA.md shows how to bring your own form, in ten lines"
FOLDERS = (
    "ntu60", "ntu120", "nw-ucla", "utd-mhad", "msr-action3d", "pkummd1", "pkummd2", "utkinect", "sbu", "kinder-gator",
    "msrc12", "h36m", *FORMATS,
)  # fmt: skip
"""Kinds whose recordings are files of their own, in folders or zips."""

TEXTS = (
    "ntu60", "ntu120", "msr-action3d", "pkummd1", "pkummd2", "utkinect", "sbu", "kinder-gator", "msrc12", "h36m", "csv",
)  # fmt: skip
"""Kinds whose files are text, and tell themselves what is wrong with one."""


@dataclass(frozen=True)
class Form:
    """A form of file."""

    name: str
    """As a sentence goes on after 'it is'."""
    datasets: tuple[str, ...] = ()
    """The kinds of import that read it."""
    cure: str = ""
    """What to do where no kind does."""


def _starts(*magic: bytes, at: int = 0) -> Callable[[bytes], bool]:
    return lambda head: any(head[at : at + len(prefix)] == prefix for prefix in magic)


def _text(pattern: str) -> Callable[[bytes], bool]:
    """Whether the file is text that begins so."""
    wanted = re.compile(pattern, re.IGNORECASE | re.DOTALL)
    return lambda head: (text := _as_text(head)) is not None and wanted.match(text) is not None


def _as_text(head: bytes) -> str | None:
    """The head as text, without a mark of the byte order; None if it is none."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head.decode("utf-16", "replace")
    if b"\0" in head:
        return None
    text = head.decode("utf-8", "replace").removeprefix("\ufeff")
    return text.lstrip() if text.count("\ufffd") < 2 + len(text) / 100 else None


def _is_columns(divider: str) -> Callable[[bytes], bool]:
    """Whether the lines of a text have equally many fields, three or more."""

    def test(head: bytes) -> bool:
        lines = (_as_text(head) or "").splitlines()
        lines = [line for line in lines[: len(lines) - (len(head) == HEAD)][:20] if line.strip()]
        fields = {len(line.strip().split(divider if divider != " " else None)) for line in lines}
        return len(fields) == 1 and fields.pop() > 2

    return test


NUMBER = r"[-+]?\d+\.?\d*(?:e[-+]?\d+)?"
EXPORT = "export positions, not rotations, and save them as an .npz (docs/DATA.md), or " + OWN
UNPACK = "unpack it and import the folder"

ARRAY = Form("a NumPy array (.npy)", ("agcn", "npy"), "an .npz of named arrays is read (docs/DATA.md)")
DUMP = "load it and save it with pickle.dump"
NPZ = "save it as an .npz (docs/DATA.md)"
OBJECTS = Form("a pickle inside a .npy (object arrays)", ("ntu60", "ntu120"), NPZ)
ZIP = Form("a zip", FOLDERS, UNPACK)

FORMS: list[tuple[Callable[[bytes], bool], Form]] = [
    (lambda head: not head, Form("empty", cure="is the download complete?")),
    (_text(r"version https://git-lfs"), Form("a pointer of Git LFS", cure="fetch the file itself: git lfs pull")),
    (_text(r"<!doctype html|<html"), Form("a web page", cure="the download gave a page instead of the file")),
    (_starts(b"\x89HDF\r\n\x1a\n"), Form("an HDF5 file", ("hdf5",), OWN)),
    (_starts(b"MATLAB 7.3"), Form("a MATLAB 7.3 file", cure=f"save it with -v7, or read it with h5py; {OWN}")),
    (_starts(b"MATLAB"), Form("a MATLAB file", ("utd-mhad",), OWN)),
    (_starts(b"\x93NUMPY"), ARRAY),
    (_starts(b"PK\x03\x04", b"PK\x05\x06"), ZIP),
    (_starts(b"\x1f\x8b"), Form("a gzip file", ("pyskl",), UNPACK)),
    (_starts(b"BZh"), Form("a bzip2 file", ("pyskl",), UNPACK)),
    (_starts(b"\xfd7zXZ\x00"), Form("an xz file", ("pyskl",), UNPACK)),
    (_starts(b"\x28\xb5\x2f\xfd"), Form("a Zstandard file", cure=UNPACK)),
    (_starts(b"\x04\x22\x4d\x18"), Form("an LZ4 file, as joblib writes them", cure=DUMP)),
    (_starts(b"x\x01", b"x^", b"x\x9c", b"x\xda"), Form("a zlib file, as joblib writes them",
                                                        cure=DUMP)),
    (_starts(b"7z\xbc\xaf\x27\x1c"), Form("a 7z archive", cure=UNPACK)),
    (_starts(b"Rar!"), Form("a RAR archive", cure=UNPACK)),
    (_starts(b"ustar", at=257), Form("a tar archive", cure=UNPACK)),
    (_starts(b"PAR1"), Form("a Parquet file", ("parquet",))),
    (_starts(b"ARROW1"), Form("an Arrow file", cure=f"save its columns as an .npz (docs/DATA.md); {OWN}")),
    (_starts(b"Kaydara FBX"), Form("an FBX file", cure=EXPORT)),
    (_starts(b"glTF"), Form("a glTF file", cure=EXPORT)),
    (_starts(b"ftyp", at=4), Form("a video", cure="a pose estimator makes skeletons of it first")),
    (_starts(b"RIFF", b"\x1aE\xdf\xa3"), Form("a video or sound", cure="a pose estimator makes skeletons of it first")),
    (_starts(b"\x89PNG", b"\xff\xd8\xff", b"GIF8"), Form("a picture", cure="pcm3 reads skeletons")),
    (_starts(b"%PDF"), Form("a PDF", cure="pcm3 reads skeletons")),
    (_starts(b"SQLite format 3"), Form("an SQLite file", cure=OWN)),
    (lambda head: len(head) > 512 and head[1:2] == b"\x50" and 1 < head[0] < 20, Form("a C3D file", ("c3d",))),
    (_starts(b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"), Form("a pickle", ("pyskl",))),
    (_text(r"[(\]}]?[(lpd]+p?0\n|[(]?[dl]p\d+\n|c[a-z_.]+\n"), Form("a pickle of protocol 0", ("pyskl",))),
    (_text(r"HIERARCHY\b"), Form("a BVH file", ("bvh",))),
    (_text(r"PathFileType"), Form("a TRC file of markers", ("trc",))),
    (_text(r":version|(?:#[^\n]*\n)*:FULLY-SPECIFIED"), Form("an ASF or AMC file", ("amc",))),
    (_text(r"; FBX"), Form("an FBX file", cure=EXPORT)),
    (_text(r"\d+\s*\n\d+\s*\n(?:\d+(?: " + NUMBER + r"){9}\s*\n|\d+\s*\n)"),
     Form("a skeleton file of NTU RGB+D", ("ntu60", "ntu120", "skeleton"))),
    (_text(r"[\[{]\s*[\"\[{\d\]}-]"), Form("a JSON file", ("nw-ucla", "openpose", "azure-kinect", "landmarks"), OWN)),
    (_text(r"<\?xml|<[a-z]+[ >]"), Form("an XML file", cure=OWN)),
    (_is_columns(","), Form("a CSV table", ("csv", "sbu", "pkummd1", "pkummd2", "kinder-gator"), OWN)),
    (_is_columns("\t"), Form("a table of tabs", ("csv",), OWN)),
    (_is_columns(";"), Form("a table", ("csv",), OWN)),
    (_is_columns(" "), Form("a table of numbers or words", TEXTS, OWN)),
    (_text(r"."), Form("a text", TEXTS, OWN)),
]  # fmt: skip
"""Tests of the first bytes, the more certain first, and what the file is."""
KNOWN = {kind for _, form in FORMS for kind in form.datasets} | {"npz", "ctrgcn"}
"""The kinds whose forms stand here; another kind reads what it is given."""


def form_of(file: Path) -> Form | None:
    """The form of the file; None for bytes that nothing is known of, also of a damaged zip.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with file.open("rb") as opened:
            head = opened.read(HEAD)
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror or error}") from error
    form = next((form for test, form in FORMS if test(head)), None)
    if form is ZIP:
        return _of_zip(file)
    if form is ARRAY and b"'|O'" in head[:128]:
        return OBJECTS
    return form


def _of_zip(file: Path) -> Form | None:
    """Which arrays of NumPy's, or what else, a zip is."""
    try:
        with ZipFile(file) as archive:
            names = archive.namelist()
    except (*NPY_ERRORS, *ZIP_ERRORS):
        return None
    if any(name.endswith("/data.pkl") for name in names):
        return Form("a file of PyTorch's", cure=f"save its tensors as arrays, tensor.numpy(); {OWN}")
    if any(name.startswith("xl/") for name in names):
        return Form("an Excel table", cure=f"{NPZ}; {OWN}")
    if not names or not all(name.endswith(".npy") and "/" not in name for name in names):
        return ZIP
    arrays = [name.removesuffix(".npy") for name in names]
    if {"x_train", "x_test"} & set(arrays):
        return Form("an .npz in the form of CTR-GCN", ("ctrgcn",))
    if {"frames", "length"} <= set(arrays):
        return Form("an .npz in pcm3's own form", ("npz",))
    array_names = ", ".join(printable(name, 20) for name in arrays[:5]) + (", …" if len(arrays) > 5 else "")
    return Form(f"an .npz with the arrays {array_names}", ("npz", "ctrgcn"))


def mistaken(kind: str, source: Path) -> str | None:
    """What to say of a source that the kind does not read: what it is, and who reads it; None if it may be right.

    Raises:
        DataError: the source cannot be read.
    """
    if (source / "store.json").is_file() and (source / "frames.npy").is_file():
        return f"{source}: it is a store already; pcm3 info, check and pretrain read it"
    form = form_of(source) if source.is_file() else None
    if form is None or kind in form.datasets or kind not in KNOWN:
        return None
    return f"{source}: expected a source of kind {kind}, but it is {form.name}{_advice(form)}"


def nothing_of(kind: str, folder: Path) -> str:
    """What lies in a folder in which no recordings of a kind were found, to go on a sentence; perhaps nothing."""
    forms = Counter(form_of(file) for file in islice(walk(folder), FILES_EXAMINED)) if folder.is_dir() else Counter()
    known = [(form, count) for form, count in forms.most_common() if form is not None and kind not in form.datasets]
    if not known:
        return ""
    form, count = known[0]
    return f"; {count:,} files there are each {form.name.removeprefix('each ')}{_advice(form)}"


def _advice(form: Form) -> str:
    """Who reads it, or what to do with it."""
    if len(form.datasets) > 1 and set(form.datasets) & set(FORMATS):
        return ", which pcm3 import auto reads where it is one of a recording" + (f"; {form.cure}" if form.cure else "")
    if form.datasets and len(form.datasets) <= 2:
        readers = " or ".join(f"pcm3 import {name}" for name in form.datasets)
        return f", which {readers} reads" + (f"; otherwise, {form.cure}" if form.cure else "")
    return f": {form.cure or OWN}"
