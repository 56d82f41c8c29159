"""``pcm3 explore MODEL STORE``: a page on which clips are looked at and labelled (docs/EXPLORE.md)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcm3.cli.places import check_folder
from pcm3.cli.sources import add_device

if TYPE_CHECKING:
    from pcm3.web.explorer import Explorer


def add_arguments(parser: Any, words: list[str]) -> None:
    """Adds the command's arguments."""
    parser.add_argument("model", type=Path, help="run, model folder or checkpoint (the authors' too)")
    parser.add_argument("store", type=Path, help="whose clips are shown; it is only read")
    parser.add_argument("--compare", type=str | None, default=None,
                        help="another model (run, model folder or checkpoint) that is shown beside it; raw: raw "
                             "coordinates; untrained: the same encoder with fresh weights")  # fmt: skip
    parser.add_argument("--folder", type=Path | None, default=None,
                        help="where labels and maps are kept; null: STORE.explore, beside the store")  # fmt: skip
    parser.add_argument("--port", type=int, default=0, help="of this machine; 0: any free one")
    parser.add_argument("--host", type=str, default="127.0.0.1",
                        help="address to listen on; the default is reached by this machine alone")  # fmt: skip
    parser.add_argument("--export", type=Path | None, default=None,
                        help="write a copy for any web host into this folder, and serve nothing: map, players, "
                             "neighbours, without labelling")  # fmt: skip
    parser.add_argument("--overwrite", type=bool, default=False, help="replace the folder of --export")
    parser.add_argument("--browser", type=bool, default=False, help="open the page in the browser")
    add_device(parser)


def run(options: Any) -> tuple[int, dict[str, Any]]:
    """Serves the page until it is stopped."""
    from pcm3 import api
    from pcm3.data.store import ClipStore
    from pcm3.errors import ConfigError
    from pcm3.web.explorer import Explorer
    from pcm3.web.kept import folder_beside
    from pcm3.web.serve import is_local, serve

    if not 0 <= options.port <= 65_535:
        raise ConfigError(f"--port: expected a port, 0 to 65535, got {options.port}")
    folder = options.folder or folder_beside(options.store)
    check_folder("--folder", folder)
    if options.export is not None:
        check_folder("--export", options.export, [options.store], exclusive=True)
    store = ClipStore.open(options.store)
    model = api.load(options.model, device=options.device)
    explorer = Explorer.open(model, store, folder, name=str(options.model), compare=options.compare)
    if options.export is not None:
        return 0, _export(explorer, options)
    if not is_local(options.host):
        print("note: other machines reach the page, too; whoever has the address may look and label")

    def ready(address: str) -> None:
        print(f"{options.store}: {len(store):,} clips; labels: {explorer.labels.file}\n{address}", flush=True)
        print("Ctrl-C ends it", flush=True)
        if options.browser:
            import webbrowser

            webbrowser.open(address)

    serve(explorer, options.host, options.port, ready)
    return 0, {"labels": str(explorer.labels.file), "labelled": len(explorer.labels.given())}


def _export(explorer: Explorer, options: Any) -> dict[str, Any]:
    """Writes a static copy."""
    from pcm3.errors import RunFailed
    from pcm3.web.static_copy import export

    print("encoding the clips and making their maps")
    try:
        explorer.work()
        if explorer.progress.stage != "done":
            raise RunFailed(explorer.progress.error)
        size = export(explorer, options.export, overwrite=options.overwrite)
    finally:
        explorer.stop()
    print(f"{options.export}: {len(explorer.store):,} clips, {size / 1e6:.1f} MB; any web server shows it:")
    print(f"  python -m http.server --bind 127.0.0.1 --directory {options.export}")
    return {"folder": str(options.export), "bytes": size}
