"""Whether two checkouts of the project compute the same numbers: run it before and after code is moved.

usage: python tests/helpers/same_numbers.py record CHECKOUT FILE [--store STORE --protocol P] [--work FOLDER]
       python tests/helpers/same_numbers.py compare FILE FILE

A checkout, with the environment that runs this script, simulates (or takes a store), pretrains short runs of three
presets in one process and in two, and evaluates all tasks. What is kept and compared: the bytes of all weights of the
encoders, and every figure of the results. Exit code 1 where anything differs. A record takes about five minutes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SCALED = "--hidden 32 --batch 16 --objective.queue 64 --prompts.width 16 --epochs 1"
RUNS = {
    "released": f"--preset released {SCALED}",
    "paper": f"--preset paper {SCALED}",
    "small": "--preset small --hidden 32 --batch 32 --steps 12",
}
"""Name → settings of a run; every one with float32 and one thread."""
COMMON = ["--precision", "32", "--threads", "1", "--seed", "3"]
RENAMED = {"--hidden": "--encoder.hidden_size"}
"""Flag → what checkouts since the settings have groups call it."""
TASKS = ["linear-cached", "retrieval", "semi", "occlusion-cached", "prediction-frozen"]


def main() -> int:
    """Records one checkout, or prints what differs between two records."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    commands = parser.add_subparsers(dest="command", required=True)
    record = commands.add_parser("record")
    record.add_argument("checkout", type=Path)
    record.add_argument("file", type=Path)
    record.add_argument("--store", type=Path, help="a store; default: one is simulated and imported")
    record.add_argument("--protocol", default="xsub")
    record.add_argument("--work", type=Path, help="where the runs go; default: a temporary folder")
    compare = commands.add_parser("compare")
    compare.add_argument("before", type=Path)
    compare.add_argument("after", type=Path)
    options = parser.parse_args()
    if options.command == "record":
        work = options.work or Path(tempfile.mkdtemp(prefix="same-numbers-"))
        numbers = numbers_of(options.checkout.resolve(), work, options.store, options.protocol)
        options.file.write_text(json.dumps(numbers, indent=0))
        print(f"{len(numbers)} numbers in {options.file} ({work})")
        return 0
    before, after = (json.loads(file.read_text()) for file in (options.before, options.after))
    differing = [key for key in sorted(before.keys() | after.keys()) if before.get(key) != after.get(key)]
    for key in differing:
        print(f"differs: {key}: {before.get(key)} before, {after.get(key)} after")
    print(f"{len(before)} numbers before, {len(after)} after, {len(differing)} differ")
    return int(bool(differing))


def numbers_of(checkout: Path, work: Path, store: Path | None, protocol: str) -> dict[str, Any]:
    """Name → number or checksum, of everything that a checkout computes."""
    work.mkdir(parents=True, exist_ok=True)
    if store is None:
        store = work / "store"
        run(
            checkout,
            "simulate",
            work / "raw",
            "--actions",
            "6",
            "--subjects",
            "4",
            "--repetitions",
            "2",
            "--cameras",
            "1",
        )
        run(checkout, "import", "ntu60", work / "raw", store, "--overwrite")
    found: dict[str, Any] = {"frames": checksum((store / "frames.npy").read_bytes())}
    grouped = (checkout / "src/pcm3/settings/methods.py").exists()
    for name, line in RUNS.items():
        settings = [RENAMED.get(word, word) if grouped else word for word in line.split()]
        for devices in ("1", "2"):
            folder = work / f"{name}-{devices}"
            run(checkout, "pretrain", store, "--run", folder, *settings, *COMMON, "--devices", devices,
                "--protocol", protocol)  # fmt: skip
            found[f"{name}, {devices} processes, weights"] = weights(folder)
        for task in TASKS:
            model = work / f"{name}-1"
            told = run(checkout, "evaluate", task, "--model", model, "--store", store, "--protocol", protocol,
                       "--quick", "--json")  # fmt: skip
            found |= {f"{name}, {task}, {key}": value for key, value in flat(json.loads(told.splitlines()[-1]))}
    return found


def run(checkout: Path, *words: object) -> str:
    """What a command of that checkout prints."""
    environment = os.environ | {
        "PYTHONPATH": str(checkout / "src"), "OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    command = [sys.executable, "-m", "pcm3", *map(str, words)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{checkout}: pcm3 {' '.join(map(str, words))}: {done.stderr.strip()}")
    return done.stdout


def weights(folder: Path) -> str:
    """A checksum of the tensors of an encoder file, whatever else stands in it."""
    from safetensors.numpy import load_file

    written = next(file for name in ("model", "encoder") if (file := folder / f"{name}.safetensors").exists())
    tensors = load_file(written)
    return checksum(b"".join(name.encode() + tensors[name].tobytes() for name in sorted(tensors)))


def checksum(data: bytes) -> str:
    """Short, for reading."""
    return hashlib.sha256(data).hexdigest()[:16]


def flat(told: Any, name: str = "") -> list[tuple[str, Any]]:
    """Every number in JSON data, under its path; not seconds, which are never the same."""
    if isinstance(told, dict):
        return [pair for key, value in told.items() for pair in flat(value, f"{name}.{key}".lstrip("."))]
    if isinstance(told, list):
        return [pair for index, value in enumerate(told) for pair in flat(value, f"{name}.{index}")]
    number = isinstance(told, int | float) and not isinstance(told, bool)
    return [(name, told)] if number and "second" not in name else []


if __name__ == "__main__":
    raise SystemExit(main())
