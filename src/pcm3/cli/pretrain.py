"""``pcm3 pretrain STORE --run DIR``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcm3.cli.places import check_folder
from pcm3.cli.pretrain_settings import add_pretrain_settings, asked_for
from pcm3.cli.proposals import after_pretraining, print_next
from pcm3.settings.presets import preset_file, preset_names
from pcm3.settings.pretrain import PretrainSettings, from_dict

if TYPE_CHECKING:
    from pcm3.data.store import ClipStore


def add_arguments(parser: Any, words: list[str]) -> None:
    """Adds the command's arguments; a preset's values become the defaults."""
    from pcm3.skeleton import StreamName

    method, preset = asked_for(words)
    parser.usage = "pcm3 pretrain STORE --run DIR [--preset NAME] [--config FILE] [--SETTING VALUE …]"
    parser.add_argument("store", type=Path, help="a store that pcm3 import wrote")
    parser.add_argument("--run", type=Path, required=True, help="run folder; a run that it holds is resumed")
    parser.add_argument("--streams", type=list[StreamName], default=[],
                        help="runs for these streams one after the other, in folders of their names below --run; "
                             "[joint,bone,motion] for all three")  # fmt: skip
    parser.add_argument("--preset", type=str, default="small", help=", ".join(preset_names()))
    parser.add_argument("--config", action="config", help="YAML file with settings, as --print_config writes them")
    add_pretrain_settings(parser, method)
    parser.default_config_files = [str(preset_file(preset))] if preset else []


def settings_from(options: Any) -> PretrainSettings:
    """The settings among the options."""
    data = options.as_dict()
    for other in ("store", "run", "streams", "preset", "config", "json", "__default_config__"):
        data.pop(other, None)
    return from_dict(data)


def run(options: Any) -> tuple[int, dict[str, Any]]:
    """Pretrains, and says where the encoder is."""
    from dataclasses import replace

    from pcm3.data.store import ClipStore
    from pcm3.device import first_process

    settings = settings_from(options)
    chosen = {name: replace(settings, stream=name) for name in options.streams}
    for each in chosen.values() if chosen else [settings]:  # all, before the first one trains
        each.check()
    check_folder("--run", options.run, [options.store], exclusive=True)
    store = ClipStore.open(options.store)
    if not options.streams:
        results = _pretrained(store, options.run, settings)
    else:
        results = {name: _pretrained(store, options.run / name, of_stream) for name, of_stream in chosen.items()}
    if first_process():
        if store.recordings is not None:
            print("note: trained on the labelled actions of untrimmed recordings: on their times, not their classes")
        print_next(after_pretraining(store, options.store, options.run, settings.protocol, options.streams))
        sys.stdout.flush()
    return 0, results


def _silent(line: str) -> None:
    """What a process that is not the first says."""


def _pretrained(store: ClipStore, folder: Path, settings: PretrainSettings) -> dict[str, Any]:
    """One run, and what it came to."""
    from dataclasses import asdict

    from pcm3.device import first_process
    from pcm3.report.pictures import loss_curve
    from pcm3.summary import counted, in_digits
    from pcm3.train.pretrain import pretrain
    from pcm3.train.run_folder import RunFolder

    result = pretrain(store, folder, settings, log=print if first_process() else _silent)
    if not first_process():
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (for the rest of the process)
        return asdict(result)
    run = RunFolder(folder)
    loss_curve(run.metrics, run.loss_picture)
    speed = f", {in_digits(result.clips_per_s)} clips/s" if result.clips_per_s else " (nothing was left to do)"
    loss = "" if result.loss is None else f", loss {result.loss:.3f}"
    print(f"{folder}: {result.steps:,} steps, {counted(result.epochs, 'epoch')} of {counted(result.clips, 'clip')}, "
          f"{result.seconds:,.0f} s{speed}{loss}")  # fmt: skip
    held = run.read_settings()[0]
    planned = held.steps or held.epochs * (result.clips // held.batch)
    if result.steps < planned:
        chosen = settings.epochs == 0 and settings.steps is None
        why = ": the machine was slower than measured" if chosen else "; more --minutes would end it"
        after = counted(held.minutes or 0, "minute")
        print(f"stopped at {result.steps:,} of {planned:,} steps after {after}{why}; the "
              "learning rate's schedule ended with the time")  # fmt: skip
    return asdict(result)
