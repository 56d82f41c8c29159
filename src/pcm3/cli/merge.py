"""``pcm3 merge STORE STORE … --out OUT``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pcm3.cli.places import check_new_store
from pcm3.errors import ConfigError


def add_arguments(parser: Any, words: list[str]) -> None:
    """Adds the command's arguments."""
    parser.add_argument("stores", type=Path, nargs="+", help="stores of one layout; pcm3 retarget brings them to one")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument(
        "--protocol", type=str, default="xsub", help="of every store: no clip that tests in its own store trains here"
    )
    parser.add_argument("--overwrite", type=bool, default=False, help="replace a store that is there already")


def run(options: Any) -> tuple[int, dict[str, Any]]:
    """Writes the store, and prints what each of the stores gave to it."""
    from pcm3.data.merge import merge_stores
    from pcm3.data.protocol import split
    from pcm3.data.store import ClipStore

    stores: dict[str, ClipStore] = {}
    for path in options.stores:
        check_new_store(path, options.out, overwrite=options.overwrite)
        name = path.resolve().name
        if name in stores:
            raise ConfigError(
                f"stores: expected folders of different names, as clips are named by them, got two {name}"
            )
        stores[name] = ClipStore.open(path)
    merged = merge_stores(stores, options.out, options.protocol, overwrite=options.overwrite)
    print(f"{options.out}: {len(merged):,} clips of {len(merged.classes)} classes, layout {merged.layout.name}")
    given = {}
    for name, store in stores.items():
        train, test = (len(clips) for clips in split(store, options.protocol))
        given[name] = {"clips": len(store), "classes": len(store.classes), "train": train, "test": test}
        print(f"  {name}: {len(store):,} clips of {len(store.classes)} classes, {train:,} train, {test:,} test")
    return 0, {"store": str(options.out), "clips": len(merged), "stores": given}
