"""Stores, run folders and model files after accidents: one line or the same figures, never a traceback, never silence.

A few damages each time; ``PCM3_DAMAGES=2000`` for as many as you have time for, ``PCM3_DAMAGE_SEED`` for others.
"""

import contextlib
import io
import json
import os
import random
import shutil
import time
import traceback
from pathlib import Path

import pytest

from pcm3.cli import main

COUNT = int(os.environ.get("PCM3_DAMAGES", "12"))
SEED = int(os.environ.get("PCM3_DAMAGE_SEED", "0"))
LONGEST = 60
"""Seconds that a command on the tiny store may take, on a slow and busy machine."""
FILES = {
    "store": ["frames.npy", "clips.npz", "store.json", "leaks.json", "verified.json"],
    "run": ["settings.json", "environment.json", "metrics.jsonl", "checkpoint.pt", "model.safetensors"],
}
VALUES = [None, True, -1, 0, 7, 2.5, 1e300, 10**30, "", "x", "\x1b[31m", [], [1], ["x"], [[]], {}, {"x": 1}, 1e400]
SAID = ("note", "  WRONG", "  look")
"""How lines begin that say that something is not as it should be."""


@pytest.fixture(scope="module")
def sound(store_path, finished_path, tiny, tmp_path_factory):
    """Whole copies: a store, its run, and others of each kind to take files from."""
    from pcm3.data.store import ClipStore
    from pcm3.train.pretrain import pretrain

    place = tmp_path_factory.mktemp("sound")
    shutil.copytree(store_path, place / "store")
    shutil.copytree(finished_path, place / "run")
    shutil.copytree(store_path, place / "other-store")
    store = ClipStore.open(place / "store")
    pretrain(store, place / "other-run", tiny(seed=1), progress=False)
    import numpy as np

    frames = np.load(place / "other-store" / "frames.npy")
    np.save(place / "other-store" / "frames.npy", frames[::-1])
    return place


def edited(data, rng):
    """JSON with one of its values, however deep, replaced, taken out or doubled."""
    where = data
    while True:
        keys = list(where) if isinstance(where, dict) else list(range(len(where)))
        if not keys:
            return
        key = rng.choice(keys)
        inner = where[key]
        if isinstance(inner, dict | list) and inner and rng.random() < 0.6:
            where = inner
            continue
        if rng.random() < 0.2:
            del where[key]
        elif isinstance(inner, int | float) and not isinstance(inner, bool) and rng.random() < 0.5:
            where[key] = inner + rng.choice([1, -1, 0.5])
        else:
            where[key] = rng.choice(VALUES)
        return


def damage(file, other, rng):
    """Does something to the file; in a word what."""
    data = bytearray(file.read_bytes())
    what = rng.choice(["flip", "flip", "flip", "cut", "hole", "zeros", "gone", "folder", "swapped", "edited", "edited"])
    place = rng.randrange(len(data)) if rng.random() < 0.5 else rng.randrange(min(len(data), 600))
    if what == "edited" and file.suffix == ".json":
        told = json.loads(data)
        edited(told, rng)
        data = json.dumps(told).encode()
    elif what == "gone":
        file.unlink()
        return what
    elif what == "folder":
        file.unlink()
        file.mkdir()
        return what
    elif what == "swapped" and other.exists():
        data = other.read_bytes()
    elif what == "cut":
        del data[place:]
    elif what == "hole":
        del data[place : place + rng.randrange(1, 60)]
    elif what == "zeros":
        data[place : place + 64] = bytes(len(data[place : place + 64]))
    else:
        what = "flip"
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(max(place - 20, 0), min(place + 20, len(data)))] ^= 1 << rng.randrange(8)
    file.write_bytes(bytes(data))
    return what


def called(*words):
    """Exit code, what was printed on both, and the traceback if there was one."""
    out, err = io.StringIO(), io.StringIO()
    began = time.monotonic()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([str(word) for word in words])
        except BaseException:
            code = traceback.format_exc()
    assert time.monotonic() - began < LONGEST
    return code, out.getvalue(), err.getvalue()


def commands(place, tiny_words):
    store, run = place / "store", place / "run"
    evaluated = ["--store", store, "--seeds", "1", "--device", "cpu", "--out", place / "results", "--json"]
    return {
        "info": ["info", store, "--json"],
        "check": ["check", store, "--json"],
        "show": ["show", store, "3", "--frames", "5", "--size", "60", "--out", place / "one.png"],
        "evaluate": ["evaluate", "retrieval", "--model", run, *evaluated],
        "pretrain": ["pretrain", store, "--run", run, *tiny_words(steps=12), "--json"],
    }


def figures(name, place, out):
    """What must be the same where nothing is said."""
    if name in ("info", "evaluate"):
        told = json.loads(out.rstrip().split("\n")[-1])
        for path in ("path", "models", "bytes", "written"):
            told.pop(path, None)
        return told
    if name == "check":
        told = json.loads(out.rstrip().split("\n")[-1])
        return {"findings": told["findings"], "leaks": told["leaks"]}
    return (place / ("one.png" if name == "show" else "run/model.safetensors")).read_bytes()


@pytest.fixture(scope="module")
def right(sound, tiny_words, tmp_path_factory):
    """The figures of each command on sound copies."""
    place = tmp_path_factory.mktemp("right")
    shutil.copytree(sound, place, dirs_exist_ok=True)
    found = {}
    for name, words in commands(place, tiny_words).items():
        code, out, _ = called(*words)
        assert code == 0, (name, out)
        found[name] = figures(name, place, out), set(out.split("\n"))
    return found


def looked_at(number, sound, right, tiny_words, place):
    """One damage, and what each command that reads the file came to: its exit code, or what is wrong about it."""
    rng = random.Random(SEED * 1_000_003 + number)
    shutil.copytree(sound, place)
    of = rng.choice(list(FILES))
    name = rng.choice(FILES[of])
    if not (place / of / name).exists():  # verified.json, where nothing was old enough to be remembered
        name = FILES[of][0]
    what = damage(place / of / name, place / f"other-{of}" / name, rng)
    asked = commands(place, tiny_words)
    reading = ("evaluate", "pretrain") if of == "run" else ("evaluate", "info", "check", "show", "pretrain")
    asked = {command: asked[command] for command in [rng.choice(reading)]}
    outcomes = []
    for command, words in asked.items():
        code, out, err = called(*words)
        lines = [line for line in err.replace("\r", "\n").split("\n") if line.startswith("pcm3 ")]
        wrong = ""
        if code not in (0, 1, 2):
            wrong = str(code)
        elif code == 2 and len(lines) != 1:
            wrong = f"not one line: {err}"
        elif code == 0 and figures(command, place, out) != right[command][0]:
            said = [line for line in out.split("\n") if line.startswith(SAID) and line not in right[command][1]]
            wrong = "" if said else f"another figure, and not a word: {out[:300]}"
        outcomes.append((command, code, wrong and f"damage {number}, {of}/{name} {what}, {command}: {wrong}"))
    shutil.rmtree(place)
    return outcomes


def test_random_damage_is_told_or_changes_nothing(sound, right, tiny_words, tmp_path):
    counts, wrong = {}, []
    for number in range(COUNT):
        for command, code, told in looked_at(number, sound, right, tiny_words, tmp_path / "it"):
            counts[command, code if not told else "wrong"] = counts.get((command, code if not told else "wrong"), 0) + 1
            wrong += [told] if told else []
    if log := os.environ.get("PCM3_DAMAGE_LOG"):
        Path(log).write_text("\n\n".join([str(counts), *wrong]))
    assert wrong == [], "\n".join(wrong)
    assert sum(count for (_, code), count in counts.items() if code == 2) > COUNT // 4
