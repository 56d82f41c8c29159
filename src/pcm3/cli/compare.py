"""``pcm3 compare MODEL A B``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pcm3.cli.places import check_file
from pcm3.cli.sources import add_device, add_recorded, clip_of_store, one_clip, recorded

WORST = 5
"""Joints that are named."""


def add_arguments(parser: Any, words: list[str]) -> None:
    """Adds the command's arguments."""
    parser.add_argument("model", type=Path, help="run, model folder or checkpoint (the authors' too)")
    parser.add_argument("first", type=str, help="a motion: a file, or STORE:ID, a clip of a store")
    parser.add_argument("second", type=str, help="another, likewise")
    add_recorded(parser)
    parser.add_argument("--out", type=Path | None, default=None,
                        help="PNG to draw: both bodies, and where in time which joint differs")  # fmt: skip
    add_device(parser)


def run(options: Any) -> tuple[int, dict[str, Any]]:
    """Aligns two motions in time and says where they part."""
    import math

    from pcm3 import api
    from pcm3.api.compare import compare
    from pcm3.errors import ConfigError
    from pcm3.report.comparison import comparison_picture
    from pcm3.report.tables import text_table

    if options.out is not None:
        check_file("--out", options.out)
        if options.out.suffix.lower() != ".png":
            raise ConfigError(f"--out: expected a file that ends in .png, got {options.out.name}")
    model, known = api.load(options.model, device=options.device), recorded(options)
    compared = compare(model, one_clip(model, options.first, known), one_clip(model, options.second, known))
    joints = compared.by_joint_mm
    known_mm = {name: value for name, value in joints.items() if not math.isnan(value)}
    worst = sorted(known_mm.items(), key=lambda joint: -joint[1])[:WORST]
    first, second = (compared.path[compared.parting] / compared.fps).tolist()
    print(f"cosine of their features: {compared.cosine:.3f} (1: the model finds them the same)")
    print(f"aligned in time, mean distance of a joint: {compared.mean_mm:.0f} mm")
    print(f"the second takes {compared.tempo:.2f} times as long as the first")
    print(f"farthest apart at {first:.2f} s of the first, {second:.2f} s of the second: "
          f"{compared.by_step_mm[compared.parting]:.0f} mm")  # fmt: skip
    print(text_table(["joints that differ most", "mm"], [[name, round(value)] for name, value in worst]))
    result: dict[str, Any] = {
        "cosine": compared.cosine,
        "mean_mm": compared.mean_mm,
        "tempo": compared.tempo,
        "farthest_apart_s": [first, second],
        "by_joint_mm": {name: None if math.isnan(value) else value for name, value in joints.items()},
        "path": compared.path.tolist(),
    }
    if options.out is not None:
        comparison_picture(compared, (_name(options.first), _name(options.second)), options.out)
        print(f"written: {options.out}")
        result["written"] = str(options.out)
    return 0, result


def _name(word: str) -> str:
    """The last part of a path, or the clip's id."""
    named = clip_of_store(word)
    return Path(word).name if named is None else named[1]
