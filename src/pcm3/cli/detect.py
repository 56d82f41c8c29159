"""``pcm3 detect HEAD RECORDING --out actions.csv``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pcm3.cli.places import check_file, check_folder
from pcm3.cli.sources import MOST_LISTED, add_device, add_head, add_source, loaded_head, print_given, recorded, sources


def add_arguments(parser: Any, words: list[str]) -> None:
    """Adds the command's arguments."""
    from pcm3.report.action_files import FORMS

    add_head(parser, "detector")
    add_source(parser, "recording", "long recordings")
    forms = "; ".join(f"{name}: {form.what}" for name, form in FORMS.items())
    parser.add_argument("--to", type=str, default="csv", help=f"form of --out; {forms}")
    parser.add_argument("--out", type=Path | None, default=None,
                        help="file (csv, json), or folder with a file a recording (elan, audacity, pku)")  # fmt: skip
    add_device(parser)


def run(options: Any) -> tuple[int, dict[str, Any]]:
    """Finds the actions in each recording."""
    from pcm3.api import DetectorHead
    from pcm3.api.given import given_recordings
    from pcm3.errors import ConfigError, not_one_of
    from pcm3.report.action_files import FORMS
    from pcm3.report.tables import text_table

    if options.to not in FORMS:
        raise ConfigError(not_one_of("a form for --to", options.to, FORMS))
    form = FORMS[options.to]
    if options.out is not None:
        (check_folder if form.folder else check_file)("--out", options.out)
    head = loaded_head(options, DetectorHead, "detector")
    given = given_recordings(sources(options.recording), head.model.spec, recorded(options))
    print_given(given)
    recordings = head.predict_named(given.store)
    rows: list[list[str | float]] = [
        [name, action.label, f"{action.start:.2f}", f"{action.stop:.2f}", action.confidence]
        for name, actions in recordings
        for action in actions
    ]
    print(text_table(["recording", "class", "start s", "stop s", "confidence"], rows[:MOST_LISTED]))
    if len(rows) > MOST_LISTED:
        print(f"… {len(rows) - MOST_LISTED:,} more{'' if options.out else ': --out FILE has all of them'}")
    print(f"{len(rows):,} actions in {len(recordings):,} recordings")
    result: dict[str, Any] = {"notes": given.notes, "not_used": given.lost}
    if options.out is not None:
        form.write(options.out, recordings, head.classes, given.store.fps)
        print(f"written: {options.out}")
        result["written"] = str(options.out)
    return 0, result | {"recordings": {name: [vars(action) for action in actions] for name, actions in recordings}}
