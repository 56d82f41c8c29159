"""``pcm3 retarget STORE OUT --to LAYOUT``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcm3.cli.places import check_new_store
from pcm3.limits import MOST_PROCESSES, check_ranges

if TYPE_CHECKING:
    from pcm3.skeleton import Layout


def add_arguments(parser: Any, words: list[str]) -> None:
    """Adds the command's arguments."""
    parser.add_argument("store", type=Path, help="a store that pcm3 import wrote")
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument(
        "--to",
        type=str,
        default="kinect_v2",
        help="the other layout: a name, a TOML file, or a model, for its own",
    )
    parser.add_argument("--bodies", type=int | None, default=None,
                        help="bodies of the new store; null for the model's, or as many as the store has")  # fmt: skip
    parser.add_argument("--overwrite", type=bool, default=False, help="replace a store that is there already")


def run(options: Any) -> tuple[int, dict[str, Any]]:
    """Writes the store in the other layout, and prints where each joint comes from."""
    from pcm3.data.retarget_store import notes_of, retarget_store
    from pcm3.data.store import ClipStore

    check_new_store(options.store, options.out, overwrite=options.overwrite)
    check_ranges(options, {"bodies": MOST_PROCESSES})
    store = ClipStore.open(options.store)
    layout, bodies = _target(options.to)
    plan = retarget_store(store, options.out, layout, bodies=options.bodies or bodies, overwrite=options.overwrite)
    print(f"{options.out}: {len(store):,} clips, {plan.summary}")
    notes = notes_of(store)
    for note in notes:
        print(f"note: {note}")
    for line in plan.lines:
        print(f"  {line}")
    if plan.unknown:
        print(f"not used, as their names are not known: {', '.join(plan.unknown)}")
    return 0, {"store": str(options.out), "clips": len(store), "retargeted": plan.to_dict(), "notes": notes}


def _target(word: str) -> tuple[Layout, int | None]:
    """The layout of that name or file; or layout and bodies of the model in that folder."""
    from pcm3.packaged import packaged_model
    from pcm3.skeleton import load_layout

    if not packaged_model(Path(word)).is_dir():
        return load_layout(word), None
    from pcm3.encoders.files import load_encoder

    _, spec = load_encoder(Path(word))
    return spec.layout, spec.bodies
