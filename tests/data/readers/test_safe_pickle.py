"""Pickles of data read like Python's own; every other pickle is refused, and nothing of it happens."""

import copyreg
import gzip
import os
import pickle
import pickletools
import time
import tracemalloc
from collections import OrderedDict, defaultdict
from datetime import date
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from pcm3.data.readers.safe_pickle import load
from pcm3.errors import DataError

BAIT = []
"""What a hostile pickle would fill."""


def bite(*bait):
    BAIT.append(bait)
    return "bitten"


class Call:
    """Pickles as a call."""

    def __init__(self, called, *arguments):
        self.call = (called, arguments)

    def __reduce__(self):
        return self.call


@pytest.fixture
def reading(tmp_path):
    def read(data):
        file = tmp_path / "data.pkl"
        file.write_bytes(data)
        return load(file)

    return read


def assert_same(got, expected):
    """Equal, of equal types, to the bottom; `expected` may hold NaN."""
    assert type(got) is (dict if isinstance(expected, OrderedDict) else type(expected))
    if isinstance(expected, np.ndarray):
        assert got.dtype.newbyteorder("=") == expected.dtype.newbyteorder("=")
        np.testing.assert_array_equal(got, expected)
    elif isinstance(expected, dict):
        assert list(got) == list(expected)
        for key in expected:
            assert_same(got[key], expected[key])
    elif isinstance(expected, (list, tuple)):
        assert len(got) == len(expected)
        for one, other in zip(got, expected, strict=True):
            assert_same(one, other)
    else:
        np.testing.assert_equal(got, expected)


BLOCK = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
ALL_SORTS = {
    "arrays": [BLOCK, BLOCK.T, BLOCK.transpose(1, 0, 2), BLOCK[:, ::2], BLOCK.astype(">f4"), BLOCK.astype("f2")],
    "others": [np.array(["ab", "cde"]), np.array([b"ab"]), np.array([True]), np.array([], "f4"), np.array(3.0)],
    "scalars": [np.int64(3), np.float32(2.5), np.str_("x"), np.bool_(True)],
    "numbers": [0, -1, 255, 65536, 2**31, -(2**70), 10**30, 1.5, float("inf"), True, False, None],
    "texts": ["", "ü\n\\", "x" * 300, "𝄞", b"", b"\x00\xff" * 200],
    "containers": ((), (1,), (1, 2, 3, 4), [[]], {}, {1, 2}, frozenset([3]), OrderedDict(a=1, b=[2])),
    5: [BLOCK, BLOCK],
}


@pytest.mark.parametrize("protocol", range(6))
def test_data_of_all_sorts_reads_as_python_reads_it_in_every_protocol(reading, protocol):
    assert_same(reading(pickle.dumps(ALL_SORTS, protocol)), ALL_SORTS)


DATA = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | npst.arrays(st.sampled_from(["f4", "i8", "?", "U3", "f2", "S4"]), npst.array_shapes(min_dims=0, min_side=0)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.sets(st.integers() | st.text(), max_size=4)
    ),
    max_leaves=10,
)


@settings(max_examples=60, deadline=None)
@given(data=DATA, protocol=st.integers(0, 5))
def test_any_data_reads_as_python_reads_it(tmp_path_factory, data, protocol):
    file = tmp_path_factory.getbasetemp() / "any.pkl"
    pickled = pickle.dumps(data, protocol)
    file.write_bytes(pickled)
    assert_same(load(file), pickle.loads(pickled))


@pytest.mark.parametrize("size", [0, 1, 2, 999, 1001, 5000])
def test_bytes_and_the_same_text_beside_them_are_both_there(reading, size):
    data = {"x" * size: b"x" * size, "again": [b"x" * size, "x" * size], "array": np.full(size, 120, np.uint8)}
    data["shared"] = data["array"], data["again"]
    for protocol in range(6):
        got = reading(pickle.dumps(data, protocol))
        assert_same(got, data)
        assert got["shared"][0] is got["array"]


def test_the_bytes_of_protocol_2_cost_their_size_once(reading):
    """They are written as texts, which the memo of Python's own machine keeps beside them to the end."""
    arrays = [np.full(2**20, number, np.uint8) for number in range(16)]
    data = pickle.dumps(arrays, 2)
    tracemalloc.start()
    got = reading(data)
    assert tracemalloc.get_traced_memory()[1] < 24 * 2**20
    tracemalloc.stop()
    assert_same(got, arrays)


def test_a_list_that_holds_itself_is_one_list(reading):
    loop = []
    loop.append(loop)
    got = reading(pickle.dumps(loop))
    assert got[0] is got


def test_what_python_2_wrote_reads_as_text(reading):
    """Written by hand as Python 2.7's cPickle does it in protocol 2: (names, labels) with an int64 scalar."""
    scalar = (
        b"cnumpy.core.multiarray\nscalar\nq\x05cnumpy\ndtype\nq\x06U\x02i8K\x00K\x01\x87Rq\x07(K\x03U\x01<NNNJ\xff\xff\xff"
        b"\xffJ\xff\xff\xff\xffK\x00tbU\x08\x0c\x00\x00\x00\x00\x00\x00\x00\x86Rq\x08"
    )
    data = b"\x80\x02]q\x01U\x1dS001C002P003R002A013.skeletonq\x02a]q\x03(K\x0c" + scalar + b"e\x86q\x09."
    names, labels = reading(data)
    assert names == ["S001C002P003R002A013.skeleton"]
    assert labels == [12, 12]
    assert reading(b"(lp0\nS'S001\\xe4'\np1\naI01\naL7L\na.") == ["S001ä", True, 7]


HOSTILE = {
    "posix.system": Call(os.system, "echo bitten"),
    "builtins.eval": Call(eval, "1"),
    "builtins.getattr": Call(getattr, "a", "b"),
    "builtins.bytearray": Call(bytearray, 5),
    "builtins.print": print,
    f"{__name__}.bite": Call(bite, 1),
    "copyreg._reconstructor": Call(copyreg._reconstructor, dict, dict, {}),
    "datetime.date": date(2020, 1, 1),
    "fractions.Fraction": Fraction(1, 2),
    "builtins.complex": 1j,
    "collections.defaultdict": defaultdict(list),
    "numpy.load": np.load,
    "numpy.fromfile": Call(np.fromfile, "/etc/passwd"),
    "numpy.ma": np.ma.array([1.0]),
}


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_asks_for_more_than_data_is_refused_by_name(reading, name, protocol):
    with pytest.raises(
        DataError, match=r"data\.pkl: refused: asks for [\w.]+; a data file needs only containers"
    ) as told:
        reading(pickle.dumps([1, HOSTILE[name]], protocol))
    assert name.rpartition(".")[2] in str(told.value)
    assert BAIT == []


RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR"


def dtype(code, *state):
    made = b"cnumpy\ndtype\n(U" + bytes([len(code)]) + code + b"I00\nI01\ntR"
    return made + (b"(" + b"".join(state) + b"tb" if state else b"")


def array(type, raw, shape=b"(K\x02t"):
    return b"\x80\x03" + RECONSTRUCT + b"(K\x01" + shape + type + b"\x89" + raw + b"tb."


F8 = dtype(b"f8", b"K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00")
SIXTEEN = b"C\x10" + bytes(16)


def test_an_array_written_by_hand_reads(reading):
    np.testing.assert_array_equal(reading(array(F8, SIXTEEN)), [0.0, 0.0])


FROMBUFFER = b"cnumpy.core.numeric\n_frombuffer\n("
BITE = f"{__name__}\nbite\n".encode()
ATTACKS = {
    "objects from raw bytes": array(dtype(b"O8"), SIXTEEN),
    "objects by a field": array(
        dtype(b"V8", b"K\x03U\x01|N(U\x01atd(U\x01a(", dtype(b"O8"), b"K\x00ttK\x08K\x01K\x00"), SIXTEEN
    ),
    "an item size of its own": array(dtype(b"f8", b"K\x03U\x01<NNNJ\xff\xff\xff\x7fK\x01K\x3f"), b"C\x04abcd"),
    "a subdtype": array(dtype(b"f8", b"K\x03U\x01<(", F8, b"(K\x02ttNNK\x10K\x01K\x00"), SIXTEEN),
    "metadata": array(dtype(b"f8", b"K\x04U\x01<NNNK\x08K\x08K\x00}"), SIXTEEN),
    "no items of no size": array(dtype(b"S0"), b"C\x00", b"(J\xff\xff\xff\x7ft"),
    "a list of objects": array(F8, b"(K\x01K\x02l"),
    "a shape without the bytes": array(F8, SIXTEEN, b"(J\xff\xff\xff\x7fJ\xff\xff\xff\x7ft"),
    "a negative shape": array(F8, SIXTEEN, b"(J\xfe\xff\xff\xffJ\xff\xff\xff\xfft"),
    "a shape of texts": array(F8, SIXTEEN, b"(U\x012t"),
    "a shape in a list": array(F8, SIXTEEN, b"(K\x02l"),
    "a state set twice": array(F8, SIXTEEN)[:-1] + b"(K\x01(K\x02t" + F8 + b"\x89" + SIXTEEN + b"tb.",
    "characters that do not exist": array(dtype(b"U2"), b"C\x10" + b"\xff" * 16),
    "a buffer that is an array": b"\x80\x03" + FROMBUFFER + array(F8, SIXTEEN)[2:-1] + F8 + b"(K\x02tU\x01CtR.",
    "an array that makes itself": b"\x80\x03cnumpy\nndarray\n(J\xff\xff\xff\x7ftR.",
    "an array as a new object": b"\x80\x03cnumpy\nndarray\n(J\xff\xff\xff\x7ft\x81.",
    "another class of array": b"\x80\x03cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nmemmap\n(K\x00tC\x01btR.",
    "a state for a function": b"\x80\x02cnumpy\ndtype\n}(U\x0c__defaults__K\x01ub.",
    "attributes of a list": b"\x80\x02]N}(U\x09__class__K\x01u\x86b.",
    "items of an array": array(F8, SIXTEEN)[:-1] + b"K\x00K\x05s.",
    "a call of a call": b"\x80\x02cnumpy\ndtype\n(U\x02f8tRtR.",
    "a call of a text": b"\x80\x02U\x06system(tR.",
    "a codec": b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aU\x04zlib\x86R.",
    "an extension": b"\x80\x02\x82\x01.",
    "a persistent object": b"Pos.system\n.",
    "a persistent object by value": b"\x80\x02K\x01Q.",
    "an instance": b"(i" + BITE + b".",
    "an object": b"(c" + BITE + b"o.",
    "an instance by name": b"(ios\nsystem\n.",
    "a name in two parts": b"\x80\x04\x8c\x05numpy\x8c\x0dndarray.dumps\x93.",
    "a name that is no text": b"\x80\x04K\x01K\x02\x93.",
    "a buffer outside": b"\x80\x05\x97.",
    "a memo entry of number four billion": b"\x80\x02K\x01r\xff\xff\xff\xff.",
    "bytes that are not there": b"\x80\x04\x8e" + (2**62).to_bytes(8, "little") + b"abc.",
    "a text that is not there": b"\x80\x04X" + (2**32 - 1).to_bytes(4, "little") + b"abc.",
    "a bytearray that is not there": b"\x80\x05\x96" + (2**40).to_bytes(8, "little") + b"abc.",
    "a frame that is not there": b"\x80\x04\x95" + (2**62).to_bytes(8, "little") + b"N.",
    "a number that is not there": b"\x80\x02\x8b" + (2**31 - 1).to_bytes(4, "little") + b"\x01.",
    "a number of a million digits": b"L" + b"9" * 10**6 + b"L\n.",
    "a tuple of tuples as a key": b"\x80\x02}" + b")" + b"2\x86" * 60 + b"K\x01s.",
    "a deep tuple as a key": b"\x80\x02})" + b"\x85" * 200_000 + b"K\x01s.",
    "a deep tuple in a set": b"\x80\x04\x8f()" + b"\x85" * 200_000 + b"\x90.",
    "a set of a deep tuple": b"\x80\x02c__builtin__\nset\n])" + b"\x85" * 200_000 + b"a\x85R.",
    "an array as a key": b"\x80\x03}" + array(F8, SIXTEEN)[2:-1] + b"K\x01s.",
    "a value without its key": b"\x80\x02}(K\x01u.",
    "nothing": b"",
    "only a stop": b".",
    "no stop": b"\x80\x04]",
    "a newer protocol": b"\x80\x06N.",
    "a text file": b"names, labels\n",
}  # fmt: skip
HARMLESS = {"a memo entry of number four billion", "a frame that is not there"}


TWICE = {"a set of a deep tuple"}
"""Goes the same way as a deep tuple in a set of a later protocol, and takes as long."""


@pytest.mark.parametrize(
    "attack", [pytest.param(attack, marks=pytest.mark.soak if attack in TWICE else ()) for attack in ATTACKS]
)
def test_an_attack_is_refused_at_once_and_costs_no_memory(reading, attack):
    tracemalloc.start()
    began = time.process_time()
    if attack in HARMLESS:
        reading(ATTACKS[attack])
    else:
        with pytest.raises(DataError, match=r"refused|damaged"):
            reading(ATTACKS[attack])
    assert time.process_time() - began < 3
    assert tracemalloc.get_traced_memory()[1] < 2**27
    tracemalloc.stop()
    assert BAIT == []


def test_depth_is_no_problem(reading):
    got = reading(b"\x80\x02" + b"]" * 50_000 + b"a" * 49_999 + b".")
    depth = 0
    while got:
        got, depth = got[0], depth + 1
    assert depth == 49_999


def test_laughing_a_billion_times_costs_nothing(reading):
    got = reading(b"\x80\x02]" + b"2\x862\x862\x86" * 10 + b"\x85.")
    assert isinstance(got, tuple)


def test_files_that_are_missing_or_too_large_are_told(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        load(tmp_path / "none.pkl")
    with pytest.raises(DataError, match="cannot be read"):
        load(tmp_path)
    (tmp_path / "large.pkl").write_bytes(pickle.dumps(bytes(2 * 2**20)))
    with pytest.raises(DataError, match="expected at most 1 MB, got 2 MB"):
        load(tmp_path / "large.pkl", 2**20)


def damage(data, random):
    """The bytes after an accident: cut off, or some of them others."""
    data = bytearray(data)
    if random.random() < 0.3:
        return data[: random.integers(len(data))]
    for place in random.integers(0, len(data), random.integers(1, 8)):
        data[place] = random.integers(256)
    return data


@pytest.mark.parametrize("count", [500, pytest.param(2_000, marks=pytest.mark.soak)])
def test_many_damaged_pickles_parse_or_are_refused(tmp_path, count):
    random = np.random.default_rng(3)
    data = {"names": (["S001", "S002"], [np.int64(1), 2]), "a": BLOCK[0], "b": [b"ab", {1, 2}, 1.5, True, 2**40]}
    whole = [pickle.dumps(data, protocol) for protocol in range(6)]
    file = tmp_path / "damaged.pkl"
    refusals = []
    began = time.process_time()
    for number in range(count):
        file.write_bytes(damage(whole[number % 6], random))
        try:
            load(file)
        except DataError as error:
            refusals.append(str(error))
    assert time.process_time() - began < 60
    assert max(map(len, refusals)) < 500
    assert count // 2 < len(refusals) < count


def test_every_instruction_of_pickles_is_known_or_forbidden():
    from pcm3.data.readers.safe_pickle import FORBIDDEN, INSTRUCTIONS

    codes = {operation.code.encode("latin-1") for operation in pickletools.opcodes}
    assert {*INSTRUCTIONS, *FORBIDDEN, b"."} == codes
    assert not INSTRUCTIONS.keys() & FORBIDDEN.keys()


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_texts_and_arrays_of_any_length_are_read_in_protocol_0_too(reading, protocol):
    held = {"array": np.random.default_rng(0).normal(size=(40, 50, 60)).astype(np.float32), "text": "ä\n\\" * 100_000}
    assert_same(reading(pickle.dumps(held, protocol)), held)


def test_a_compressed_pickle_that_is_damaged_or_a_bomb_is_refused(reading, monkeypatch):
    whole = gzip.compress(pickle.dumps(list(range(10_000))))
    assert reading(whole) == list(range(10_000))
    for broken in (whole[:-30], whole[:50], whole[:100] + b"x" * 40 + whole[140:]):
        with pytest.raises(DataError, match="the compressed file is damaged or cut off"):
            reading(broken)
    monkeypatch.setattr("pcm3.data.readers.compressed.ALWAYS_FINE", 2**16)
    with pytest.raises(DataError, match="it unpacks to more than"):
        reading(gzip.compress(pickle.dumps(bytes(2**24))))


@pytest.mark.parametrize(("wrote", "cure"), [
    (b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n.", "load it with joblib and save it with pickle.dump"),
    (b"ctorch._utils\n_rebuild_tensor_v2\n.", "save them as arrays"),
    (b"cpandas.core.frame\nDataFrame\n.", "save their columns as arrays"),
])  # fmt: skip
def test_what_libraries_write_is_refused_with_what_to_do(reading, wrote, cure):
    with pytest.raises(DataError, match=cure):
        reading(wrote)
