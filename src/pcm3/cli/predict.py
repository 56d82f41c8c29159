"""``pcm3 predict HEAD CLIP --out poses.npz``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pcm3.cli.places import check_file
from pcm3.cli.sources import add_device, add_head, add_source, loaded_head, print_given, recorded, sources


def add_arguments(parser: Any, words: list[str]) -> None:
    """Adds the command's arguments."""
    add_head(parser, "predictor")
    add_source(parser, "source", "clips that end where the prediction begins")
    parser.add_argument("--out", type=Path, required=True,
                        help="file to write: .npz (poses (N, P, V, 3) in metres about the root, ids, joints, fps) or "
                             ".csv (a row a clip, frame and joint)")  # fmt: skip
    add_device(parser)


def run(options: Any) -> tuple[int, dict[str, Any]]:
    """Writes the poses that follow each clip."""
    from pcm3.api import PredictorHead
    from pcm3.api.given import given_clips
    from pcm3.errors import ConfigError, DataError
    from pcm3.report.pose_files import FORMS

    check_file("--out", options.out)
    if options.out.suffix not in FORMS:
        raise ConfigError(f"--out: expected a file that ends in {' or '.join(FORMS)}, got {options.out.name}")
    head = loaded_head(options, PredictorHead, "predictor")
    given = given_clips(sources(options.source), head.model.spec, recorded(options))
    long, poses, short = head.predict_store(given.store)
    given.lost.extend(short)
    print_given(given)
    if len(long) == 0:
        raise DataError(": ".join(short[0]))
    FORMS[options.out.suffix](options.out, given.store.ids[long].tolist(), given.store.layout.joints, head.fps, poses)
    frames = poses.shape[1]
    print(f"{len(poses):,} clips, {frames} frames ({1000 * frames / head.fps:.0f} ms) each: {options.out}")
    result = {"clips": len(poses), "frames": frames, "fps": head.fps, "not_used": given.lost, "notes": given.notes}
    return 0, result | {"written": str(options.out)}
