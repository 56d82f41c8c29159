import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import pcm3.clips as clips_module
from pcm3 import device
from pcm3.augment.crop import crop_resize, spread_crops
from pcm3.clips import ClipBank, clips_to_fit, extract, fit_readout, frames_on, frozen
from pcm3.data.recording import Recording
from pcm3.encoders.encoder import Encoder
from pcm3.encoders.files import load_encoder
from pcm3.encoders.in_bfloat16 import InBfloat16
from pcm3.geometry import stream
from pcm3.tasks.baselines import RawCoordinates

CPU = torch.device("cpu")
TRAIN, TEST = np.arange(18), np.arange(18, 24)


def bank_of(store, stream_name="joint", size=16):
    return ClipBank.of(store, stream_name, size, CPU)


def state_of(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def test_a_batch_holds_whole_clips_of_the_store(store):
    bank = bank_of(store)
    batch = bank.batch(torch.tensor([5, 2]))
    assert batch.index.tolist() == [5, 2]
    for start, length, index in zip(batch.start, batch.length, batch.index, strict=True):
        clip = store.frames[store.start[index] : store.start[index] + store.length[index]]
        np.testing.assert_array_equal(batch.frames[start : start + length].numpy(), clip)
    assert batch.gaps == store.has_gaps


def test_an_encoder_has_its_mode_back_even_after_an_error():
    encoder = RawCoordinates(4, 1, 2).train()

    def fail_inside():
        with frozen(encoder):
            assert not encoder.training
            assert not torch.is_grad_enabled()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_inside()
    assert encoder.training
    assert torch.is_grad_enabled()


def test_features_do_not_depend_on_the_size_of_the_batch(finished_path, store):
    encoder, spec = load_encoder(finished_path)
    bank = bank_of(store, spec.stream, spec.frames)
    whole = extract(encoder, bank, TEST)
    assert whole.dtype == torch.float32
    assert whole.shape == (6, 16)
    torch.testing.assert_close(extract(encoder, bank, TEST, batch=1), whole, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(extract(encoder, bank, TEST[::-1].copy()), whole.flip(0), rtol=1e-5, atol=1e-6)


def test_a_feature_over_several_crops_is_the_mean_of_theirs(finished_path, store):
    encoder, spec = load_encoder(finished_path)
    one = bank_of(store, spec.stream, spec.frames)
    several = replace(one, crops=3)
    numbers = torch.from_numpy(TEST)
    with frozen(encoder):
        by_hand = [
            encoder.embed(stream(crop_resize(one.frames, one.start[numbers] + start, length, one.size), spec.stream,
                                store.layout))
            for start, length in spread_crops(one.length[numbers], (0.5, 1.0), 16, 3)
        ]  # fmt: skip
    torch.testing.assert_close(extract(encoder, several, TEST), sum(by_hand) / 3, rtol=1e-5, atol=1e-6)
    generators = [torch.Generator().manual_seed(1) for _ in range(2)]
    assert torch.equal(extract(encoder, several, TEST, generators[0]), extract(encoder, one, TEST, generators[1]))


@pytest.mark.parametrize("name", ["joint", "bone", "motion"])
def test_a_bank_gives_the_stream_that_the_encoder_was_trained_on(store, name):
    numbers = torch.tensor([0, 7])
    plain = bank_of(store).centre(numbers)
    torch.testing.assert_close(bank_of(store, name).centre(numbers), stream(plain, name, store.layout))


def ramps(tmp_path, write_tiny, length=400, count=4):
    """Clips whose coordinates are the share of the clip that has passed."""
    share = ((np.arange(length) + 0.5) / length).astype(np.float32)
    frames = np.broadcast_to(share[:, None, None, None], (length, 2, 25, 3)).copy()
    clips = [Recording(f"{number}", frames, number % 2, subject=1 + number, camera=1) for number in range(count)]
    return write_tiny(tmp_path / "ramps", clips)


def test_features_that_tests_share_are_taken_once_and_are_the_same(finished_path, store):
    encoder, spec = load_encoder(finished_path)
    bank = bank_of(store, spec.stream, spec.frames)
    once, seen, embed = replace(bank, taken={}), [], encoder.embed
    encoder.embed = lambda clips: (seen.append(len(clips)), embed(clips))[1]
    numbers = np.array([3, 1, 4, 1])
    torch.testing.assert_close(extract(encoder, once, numbers), extract(encoder, bank, numbers))
    seen.clear()
    extract(encoder, once, np.array([1, 3]))
    assert seen == [], "both are known"
    more = extract(encoder, once, np.array([1, 2]))
    assert sum(seen) == 1
    torch.testing.assert_close(more, extract(encoder, bank, np.array([1, 2])))
    cropped = replace(once, crops=2)
    torch.testing.assert_close(extract(encoder, cropped, numbers), extract(encoder, replace(bank, crops=2), numbers))
    generator = torch.Generator().manual_seed(0)
    first, second = (extract(encoder, once, numbers, generator) for _ in range(2))
    assert not torch.equal(first, second), "draws are not remembered"


def test_test_crops_are_the_central_95_per_cent_and_training_crops_half_or_more(tmp_path, write_tiny):
    bank = bank_of(ramps(tmp_path, write_tiny), size=100)
    centre = bank.centre(torch.tensor([0]))[0, :, 0, 0, 0]
    torch.testing.assert_close(centre, 0.025 + 0.95 * (torch.arange(100) + 0.5) / 100, rtol=0, atol=2e-3)
    crops = bank.random(torch.zeros(500, dtype=torch.int64), torch.Generator().manual_seed(0))[:, :, 0, 0, 0]
    share = (crops[:, -1] - crops[:, 0]) / 0.99
    assert share.min() > 0.49
    assert share.max() < 1.01
    assert share.mean() == pytest.approx(0.75, abs=0.02)
    first, last = crops[:, 0] - 0.005 * share, 1 - crops[:, -1] - 0.005 * share
    assert first.min() > -0.01
    assert last.min() > -0.01
    assert first.mean() == pytest.approx(last.mean().item(), abs=0.02), "placed anywhere in the clip, evenly"


# Fitting a readout


def unfitted(**settings):
    """An encoder for the tiny store that is to be standardised."""
    torch.manual_seed(0)
    return Encoder(2, 25, hidden_size=4, layers=1, normalise_features=True, **settings)


def test_a_fitted_readout_gives_mean_0_and_mean_square_1_whatever_the_batch_and_changes_nothing_else(store):
    encoder, bank = unfitted(pooling="mean"), bank_of(store)
    encoder.train()
    before = state_of(encoder)
    fit_readout(encoder, clips_to_fit(bank, TRAIN, batch=4))
    assert encoder.training
    features = extract(encoder, bank, TRAIN)
    np.testing.assert_allclose(features.mean(dim=0), 0, atol=1e-5)
    assert features.square().mean().item() == pytest.approx(1, rel=1e-5)
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, before[name]) != name.startswith("readout."), name
    assert all(parameter.grad is None for parameter in encoder.parameters())
    in_bfloat16 = extract(InBfloat16(encoder), bank, TRAIN)
    assert in_bfloat16.square().mean().item() == pytest.approx(1, rel=0.05)
    assert (InBfloat16(encoder).width, InBfloat16(encoder).frame_width) == (encoder.width, encoder.frame_width)


def test_of_many_clips_a_readout_is_fitted_to_some_of_every_action(store, monkeypatch):
    monkeypatch.setattr(clips_module, "FITTED_CLIPS", 12)
    chosen, centre = [], ClipBank.centre
    monkeypatch.setattr(ClipBank, "centre", lambda bank, part: chosen.append(part) or centre(bank, part))
    # A store's clips lie in the order of actions: every n-th of them could all show the same one.
    numbers = np.tile(np.array([0, 2, 4, 6, 8, 10]), 12)
    for _ in range(2):
        fit_readout(unfitted(), clips_to_fit(bank_of(store), numbers))
    assert torch.equal(*chosen)
    assert len(chosen[0]) == 12
    assert len(chosen[0].unique()) >= 4
    chosen.clear()
    fit_readout(unfitted(), clips_to_fit(bank_of(store), numbers[:12]))
    assert chosen[0].tolist() == numbers[:12].tolist()


# Frames in memory, or mapped


def with_little_memory(monkeypatch):
    monkeypatch.setattr(device.psutil, "virtual_memory", lambda: SimpleNamespace(available=0, total=2**40))


def test_frames_that_do_not_fit_into_memory_stay_on_the_disk(store, monkeypatch):
    with_little_memory(monkeypatch)
    frames = frames_on(store.frames, torch.device("cpu"))
    address = frames.data_ptr()
    mapped = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        first, last = (int(place, 16) for place in line.split()[0].split("-"))
        if first <= address < last:
            mapped.append(line)
    assert mapped[0].endswith("frames.npy")


def test_a_store_larger_than_any_memory_is_mapped(store, tmp_path):
    file = tmp_path / "frames.npy"
    shape = (2**31, *store.frames.shape[1:])  # more than a terabyte
    np.lib.format.open_memmap(file, "w+", np.float32, (1, *shape[1:])).flush()
    header = np.lib.format.magic(1, 0)
    text = str({"descr": "<f4", "fortran_order": False, "shape": shape}).ljust(117) + "\n"
    with file.open("r+b") as opened:
        opened.write(header + len(text).to_bytes(2, "little") + text.encode())
        opened.truncate(128 + 4 * math.prod(shape))  # a hole: it takes no room on the disk
    mapped = np.load(file, mmap_mode="r")
    frames = frames_on(mapped.view(np.ndarray), torch.device("cpu"))
    assert frames.shape == shape
    assert not frames[[0, 2**30, -1]].any()
