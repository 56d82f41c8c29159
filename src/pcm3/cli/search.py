"""``pcm3 search MODEL QUERY SOURCE``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcm3.cli.places import check_file, check_folder
from pcm3.cli.sources import add_device, add_source, one_clip, print_given, recorded, sources
from pcm3.limits import check_range

if TYPE_CHECKING:
    from pcm3.api import Model
    from pcm3.api.given import Recorded
    from pcm3.api.index import Index
    from pcm3.data.store import ClipStore


def add_arguments(parser: Any, words: list[str]) -> None:
    """Adds the command's arguments."""
    parser.add_argument("model", type=Path, help="run, model folder or checkpoint (the authors' too)")
    parser.add_argument("query", type=str, help="the motion: a file, or STORE:ID, a clip of a store")
    add_source(parser, "source", "where to look", "*")
    parser.add_argument("--inside", type=bool, default=False,
                        help="look inside long recordings, not for whole clips")  # fmt: skip
    parser.add_argument("--window", type=float | None, default=None,
                        help="with --inside: seconds of the windows; null: as long as the query")  # fmt: skip
    parser.add_argument("--top", type=int, default=10, help="matches to find")
    parser.add_argument("--index", type=Path | None, default=None,
                        help="folder in which the index is kept: made where it is not there, else used")  # fmt: skip
    parser.add_argument("--out", type=Path | None, default=None, help="CSV file to write the matches to")
    add_device(parser)


def run(options: Any) -> tuple[int, dict[str, Any]]:
    """Finds what is most like the query."""
    from pcm3 import api
    from pcm3.errors import ConfigError
    from pcm3.report.csv_files import write_csv
    from pcm3.report.tables import text_table

    check_range("top", options.top, 1, 10_000)
    if options.window is not None and not options.inside:
        raise ConfigError("--window: expected --inside true with it, since whole clips are not cut into windows")
    if options.out is not None:
        check_file("--out", options.out)
    if options.index is not None:
        check_folder("--index", options.index)
    model, known = api.load(options.model, device=options.device), recorded(options)
    query = one_clip(model, options.query, known)
    index = _index(model, query, options, known)
    matches = index.search(query, options.top)
    rows: list[list[str | float]] = [
        [match.id, f"{match.start:.2f}", f"{match.stop:.2f}", match.score] for match in matches
    ]
    print(text_table(["found in", "start s", "stop s", "cosine"], rows))
    what = f"windows of {index.window:.2f} s" if index.window else "clips"
    print(f"the {len(matches):,} most alike of {len(index.rows):,} {what} in {len(index.ids):,} recordings")
    if options.out is not None:
        write_csv(options.out, ["id", "start_s", "stop_s", "cosine"],
                  [[match.id, match.start, match.stop, match.score] for match in matches])  # fmt: skip
        print(f"written: {options.out}")
    results = [vars(match) for match in matches]
    return 0, {"matches": results, "searched": len(index.rows), "window": index.window}


def _index(model: Model, query: ClipStore, options: Any, known: Recorded) -> Index:
    """The index that is kept, or a new one.

    Raises:
        ConfigError: there is neither an index nor a source.
    """
    from pcm3.api.given import given_clips, given_recordings
    from pcm3.api.index import DESCRIPTION, Index
    from pcm3.errors import ConfigError

    kept = options.index is not None and (options.index / DESCRIPTION).is_file()
    if kept:
        index = Index.load(options.index, model)
        if options.source or options.inside > bool(index.window) or options.window not in (None, index.window):
            print(f"note: searched as the index in {options.index} was made, whatever else was asked for: for other "
                  "clips or windows, name a new folder for --index")  # fmt: skip
        return index
    if not options.source:
        raise ConfigError("expected where to look: a store or files, or --index with an index that was made before")
    own = float(query.length[0] / query.fps) if options.window is None else options.window
    window = own if options.inside else None
    given = (given_clips if window is None else given_recordings)(sources(options.source), model.spec, known)
    print_given(given)
    index = model.index(given.store, window=window)
    if options.index is not None:
        index.save(options.index)
        print(f"written: {options.index}")
    return index
