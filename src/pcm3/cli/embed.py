"""``pcm3 embed MODEL SOURCE --out features.npz``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pcm3.cli.places import check_file
from pcm3.cli.sources import add_device, add_source, print_given, recorded, sources
from pcm3.limits import check_range


def add_arguments(parser: Any, words: list[str]) -> None:
    """Adds the command's arguments."""
    parser.add_argument("model", type=Path, help="run, model folder or checkpoint (the authors' too)")
    add_source(parser, "source", "clips", labelled=True)
    parser.add_argument("--out", type=Path, required=True,
                        help="file to write: .npz (features, ids, label, subject) or .csv (a row a clip)")  # fmt: skip
    parser.add_argument("--crops", type=int, default=1, help="a feature is the mean over so many crops of its clip")
    add_device(parser)


def run(options: Any) -> tuple[int, dict[str, Any]]:
    """Embeds, and writes the features."""
    from dataclasses import replace

    import numpy as np

    from pcm3 import api
    from pcm3.api.given import given_clips
    from pcm3.clips import extract
    from pcm3.errors import ConfigError
    from pcm3.report.feature_files import FORMS

    check_file("--out", options.out)
    if options.out.suffix not in FORMS:
        raise ConfigError(f"--out: expected a file that ends in {' or '.join(FORMS)}, got {options.out.name}")
    check_range("crops", options.crops, 1, 1000)
    model = api.load(options.model, device=options.device)
    given = given_clips(sources(options.source), model.spec, recorded(options))
    print_given(given)
    bank = replace(model.bank(given.store), crops=options.crops)
    features = extract(model.encoder, bank, np.arange(len(given.store))).cpu().numpy()
    FORMS[options.out.suffix](options.out, given.store, features)
    print(f"{len(features):,} clips, {features.shape[1]} features each: {options.out}")
    counts = {"clips": len(features), "width": features.shape[1], "not_used": len(given.lost)}
    return 0, counts | {"written": str(options.out), "notes": given.notes}
