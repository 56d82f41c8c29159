"""What the machine can do, asked in one place: as it is, and as machines are that lack something."""

import inspect
from types import SimpleNamespace

import pytest
import torch

from pcm3 import device
from pcm3.device import choose_device, choose_precision, choose_threads, evaluation_threads, has_bf16, slow_bf16
from pcm3.errors import ConfigError

CPU = torch.device("cpu")
AVX2 = {"architecture": "x86_64", "avx2": True, "avx512_f": False, "avx512_bf16": False, "amx_bf16": False}
APPLE = {"architecture": "arm64", "neon": True, "bf16": True}


@pytest.fixture
def processor(monkeypatch):
    """Makes the machine one with these capabilities, and oneDNN one that knows bfloat16 or does not."""

    def become(told, *, library=True, limit=None):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: told, raising=False)
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: library)
        supported = SimpleNamespace(_is_mkldnn_bf16_supported=lambda: library)
        monkeypatch.setattr(torch.ops, "mkldnn", supported)
        for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
            monkeypatch.delenv(name, raising=False)
        if limit is not None:
            monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)

    return become


@pytest.mark.parametrize(
    ("told", "library", "limit", "native"),
    [
        (AVX2 | {"avx512_bf16": True}, True, None, True),
        (AVX2 | {"amx_bf16": True}, True, "avx512_core_amx", True),
        (AVX2 | {"avx512_bf16": True}, True, "AVX512_CORE_BF16", True),
        (AVX2 | {"avx512_bf16": True}, True, "avx512_core", False),  # by way of float32
        (AVX2 | {"avx512_bf16": True}, False, "AVX2", False),
        (AVX2 | {"avx512_bf16": True}, False, None, False),  # a torch without oneDNN
        (AVX2, True, None, False),
        (AVX2 | {"avx512_f": True}, True, None, False),
        (APPLE, False, None, False),
        (APPLE, True, None, True),  # a server of the kind
        ({"architecture": "unknown"}, True, None, False),
    ],
)
def test_bfloat16_is_chosen_where_processor_and_library_have_it(processor, told, library, limit, native):
    processor(told, library=library, limit=limit)
    assert has_bf16(CPU) == native
    assert choose_precision("auto", CPU) == ("bf16" if native else "32")
    assert [choose_precision(asked, CPU) for asked in ("32", "bf16")] == ["32", "bf16"]


def test_an_older_torch_tells_it_too(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert not has_bf16(CPU)


def test_who_asks_for_bfloat16_where_it_is_slow_is_told_how_slow(processor, monkeypatch):
    rates = {torch.bfloat16: 0.9, torch.float32: 143.0}
    monkeypatch.setattr(device, "product_gflops", lambda dtype, *_: rates[dtype])
    processor(AVX2)
    told = slow_bf16("bf16", CPU)
    assert "0.9 GFLOP/s" in told
    assert "143, 159 times as fast" in told
    assert "\n" not in told
    assert slow_bf16("32", CPU) is slow_bf16("auto", CPU) is None
    processor(AVX2 | {"avx512_bf16": True})
    assert slow_bf16("bf16", CPU) is None


def test_no_more_threads_are_used_than_there_are_cores_for(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)  # of the machine; the container has two
    monkeypatch.setattr(device, "cores", lambda: 2)
    assert choose_threads(None, 1024, CPU) == choose_threads(None, 128, CPU) == evaluation_threads(1024, CPU) == 2
    assert choose_threads(3, 1024, CPU) == 3


def test_there_is_no_such_device():
    unchecked = inspect.unwrap(choose_device)  # without the test run's own look at types
    with pytest.raises(ConfigError, match="expected a device"):
        unchecked("tpu")
