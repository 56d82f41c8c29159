"""``pcm3 export MODEL_OR_HEAD --out FILE``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal


def add_arguments(parser: Any, words: list[str]) -> None:
    """Adds the command's arguments."""
    parser.add_argument("model", type=Path, help="a run, a model folder, or a classifier that pcm3 fit wrote")
    parser.add_argument("--out", type=Path, required=True, help="file to write, .onnx or .pt2 (torch.export)")
    parser.add_argument(
        "--to", type=Literal["onnx", "torch"] | None, default=None, help="form; null: as the file's name ends"
    )
    parser.add_argument("--step", type=bool, default=False,
                        help="a causal model frame by frame, with an explicit state")  # fmt: skip


def run(options: Any) -> tuple[int, dict[str, Any]]:
    """Writes the file, and says what goes in and what comes out."""
    from pcm3.api import ClassifierHead, load, load_head
    from pcm3.api.export import export
    from pcm3.cli.places import check_file, check_writable
    from pcm3.errors import ConfigError
    from pcm3.tasks.head_files import DESCRIPTION

    check_file("--out", options.out)
    check_writable("--out", options.out.parent)
    if (options.model / DESCRIPTION).is_file():
        head = load_head(options.model, device="cpu")
        if not isinstance(head, ClassifierHead):
            name = type(head).__name__.removesuffix("Head").lower()
            raise ConfigError(f"{options.model}: expected a model or a classifier to export, got a {name}")
        metadata = export(head.model, options.out, head=head.fitted, to=options.to, step=options.step)
    else:
        metadata = export(load(options.model, device="cpu"), options.out, to=options.to, step=options.step)
    print(f"{options.out}: {metadata['what']}, {options.out.stat().st_size / 1e6:.1f} MB")
    for way in ("inputs", "outputs"):
        for name, words in metadata[way].items():
            print(f"  {name} {words}")
    return 0, metadata | {"file": str(options.out)}
