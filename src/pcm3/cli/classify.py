"""``pcm3 classify HEAD SOURCE --out labels.csv``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pcm3.cli.places import check_file
from pcm3.cli.sources import MOST_LISTED, add_device, add_head, add_source, loaded_head, print_given, recorded, sources


def add_arguments(parser: Any, words: list[str]) -> None:
    """Adds the command's arguments."""
    add_head(parser, "classifier")
    add_source(parser, "source", "clips", labelled=True)
    parser.add_argument("--out", type=Path | None, default=None,
                        help="CSV file to write, a row a clip: id, class, the share of each class")  # fmt: skip
    add_device(parser)


def run(options: Any) -> tuple[int, dict[str, Any]]:
    """Tells the class of each clip."""
    import numpy as np

    from pcm3.api import ClassifierHead
    from pcm3.api.given import given_clips
    from pcm3.report.csv_files import write_csv
    from pcm3.report.tables import text_table

    if options.out is not None:
        check_file("--out", options.out)
    head = loaded_head(options, ClassifierHead, "classifier")
    given = given_clips(sources(options.source), head.model.spec, recorded(options))
    print_given(given)
    shares = head.predict_proba(given.store)
    best = shares.argmax(axis=1)
    rows = [
        [str(name), head.classes[label], float(share[label])]
        for name, label, share in zip(given.store.ids, best.tolist(), shares, strict=True)
    ]
    print(text_table(["clip", "class", "share"], rows[:MOST_LISTED]))
    if len(rows) > MOST_LISTED:
        print(f"… {len(rows) - MOST_LISTED:,} more{'' if options.out else ': --out FILE.csv has all of them'}")
    result: dict[str, Any] = {"classes": list(head.classes), "notes": given.notes, "not_used": given.lost}
    labels = given.store.label
    if given.store.classes == head.classes and (labels >= 0).any():
        known = labels >= 0
        result["accuracy"] = 100 * float(np.mean(best[known] == labels[known]))
        print(
            f"of {known.sum():,} clips that have a label, {result['accuracy']:.1f} % are classified as labelled (clips "
            "that the head learned from count, too, if they are among them)"
        )
    if options.out is not None:
        write_csv(
            options.out,
            ["id", "class", "share", *head.classes],
            [[*row, *share.tolist()] for row, share in zip(rows, shares, strict=True)],
        )
        print(f"written: {options.out}")
        result["written"] = str(options.out)
    return 0, result | {"clips": [{"id": name, "class": label, "share": share} for name, label, share in rows]}
