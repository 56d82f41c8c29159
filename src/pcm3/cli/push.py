"""``pcm3 push MODEL ORG/NAME --licence TEXT``."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def add_arguments(parser: Any, words: list[str]) -> None:
    """Adds the command's arguments."""
    parser.add_argument("model", type=Path, help="a run or a model folder; metrics come from its results/")
    parser.add_argument("name", type=str, help="on the hub of Hugging Face, org/name")
    parser.add_argument("--licence", type=str, required=True, help="of the data that it learned from, for its page")
    parser.add_argument("--private", type=bool, default=False, help="only you and your organisation may see it")
    parser.add_argument("--out", type=Path | None, default=None,
                        help="write what would be published into this folder, and publish nothing")  # fmt: skip


def run(options: Any) -> tuple[int, dict[str, Any]]:
    """Publishes, or writes what would be."""
    import re

    from pcm3.api.hub import PUBLISHED, upload, write_published
    from pcm3.cli.places import check_folder
    from pcm3.encoders.files import load_encoder
    from pcm3.errors import ConfigError
    from pcm3.report.model_card import model_card

    if re.fullmatch(r"[\w.-]+/[\w.-]+", options.name) is None:
        raise ConfigError(f"expected a name on the hub, org/name, got '{options.name}'")
    _, spec = load_encoder(options.model)
    card = model_card(options.name, spec, options.model, options.licence)
    if options.out is not None:
        check_folder("--out", options.out)
        there = {file.name for file in options.out.iterdir()} if options.out.is_dir() else set()
        if there and there != PUBLISHED:  # a page of the user's own would be lost
            raise ConfigError(f"--out: expected a new folder, got {options.out} with {min(there)} in it")
        write_published(options.model, options.out, card)
        where = str(options.out)
    else:
        where = upload(options.model, options.name, card, private=options.private)
    print(f"{where}: the model and its page")
    return 0, {"name": options.name, "where": where}
