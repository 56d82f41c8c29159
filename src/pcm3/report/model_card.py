"""The page that goes with a published model: what it is, what goes in, what it is worth, what it is not for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pcm3.data.names import printable
from pcm3.encoders.spec import EncoderSpec
from pcm3.errors import CheckpointError
from pcm3.report.tables import markdown_table
from pcm3.summary import mean_and_spread
from pcm3.tasks.evaluate import PRETRAINED, RAW, UNTRAINED
from pcm3.tasks.result_table import header

LONGEST = 200
"""Characters of a word of the user's that the page repeats."""
RULES = {
    "upright": "centred on the body in each frame, up along z, facing along y at the beginning (rule `upright`)",
    "released": "centred and turned by the rule of the released PCM³ code (`released`)",
}
"""How clips are normalised, in words."""


def model_card(name: str, spec: EncoderSpec, run: Path, licence: str) -> str:
    """The page as Markdown, with the front matter that the hub reads.

    Args:
        name: of the model on the hub, ``org/name``.
        spec: what the model is.
        run: its folder; figures are read from ``results/``, what it learned from out of ``settings.json``.
        licence: of the data that it learned from, in the user's words.

    Raises:
        CheckpointError: a file of results is damaged.
    """
    words = printable(" ".join(licence.split()), LONGEST)
    parts = [
        _front_matter(words), f"# {name}", _what(spec), "## Use", _use(name), "## What goes in", _fed_with(spec),
        "## How it learned", _origin(spec, _store(run)), "## What it is worth", _results(run / "results"),
        "## Limits", _limits(spec), "## Licence", f"The data that it learned from: {words}.",
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _front_matter(licence: str) -> str:
    tags = ["human-motion", "skeleton", "self-supervised", "feature-extraction"]
    lines = [
        "library_name: pcm3",
        "license: other",
        f"license_name: {json.dumps(licence)}",
        f"tags: {json.dumps(tags)}",
    ]
    return "\n".join(["---", *lines, "---"])


def _what(spec: EncoderSpec) -> str:
    method = spec.provenance.method or "a method that is not known"
    return (
        f"An encoder of human motion: clips of 3D skeletons in, features out. Kind `{spec.kind}`, {spec.direction}, "
        f"pretrained without labels by `{method}`."
    )


def _use(name: str) -> str:
    return "\n".join([
        "```python", "import pcm3  # pip install 'pcm3[hub]'", "", f'model = pcm3.load("{name}")',
        "features = model.embed(clips)  # arrays (T, V, 3) in metres, a list of them, files, or a store", "```",
    ])  # fmt: skip


def _fed_with(spec: EncoderSpec) -> str:
    rule = RULES.get(spec.rule, spec.rule or "by a rule that is not known")
    rows = [
        ("skeleton", f"`{spec.layout.name}`, {spec.joints} joints; others are retargeted by the names of their joints"),
        ("bodies", str(spec.bodies)),
        ("frames a second", f"{spec.fps:g}; others are resampled" if spec.fps else "not known"),
        ("clips", rule if spec.normalised else "as recorded"),
        ("a clip becomes", f"{spec.frames} frames, stream {spec.stream}, {', '.join(spec.input_features)}"),
    ]
    return f"pcm3 prepares clips so by itself.\n\n{markdown_table(['', ''], rows)}"


def _origin(spec: EncoderSpec, store: dict[str, Any]) -> str:
    origin = spec.provenance
    data = f"{store['clips']:,} clips of `{store['kind']}`" if {"clips", "kind"} <= store.keys() else "a store"
    store_id, version = origin.store_checksum[:12] or "not known", origin.version or "of a version that is not known"
    text = f"{origin.step:,} steps on {data}, split `{origin.protocol}` (store {store_id}), pcm3 {version}."
    settings = "\n".join(f"{name}: {json.dumps(value)}" for name, value in origin.settings.items())
    folded = f"\n\n<details><summary>Settings</summary>\n\n```yaml\n{settings}\n```\n\n</details>" if settings else ""
    unfinished = "" if origin.finished else " The run had not ended."
    return text + unfinished + folded


def _store(run: Path) -> dict[str, Any]:
    """What the run's settings tell of its store; where it lies is nobody else's business."""
    try:
        store = json.loads((run / "settings.json").read_text(encoding="utf-8"))["store"]
        return {"clips": int(store["clips"]), "kind": printable(str(store["kind"]), LONGEST)}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def _results(results: Path) -> str:
    """A row for each task that was evaluated, beside the baselines that went the same way."""
    files = sorted(results.glob("*.json"))
    rows = [row for row in map(_result_row, files) if row is not None]
    if not rows:
        return "Not measured: `pcm3 evaluate` would, beside an untrained encoder and raw coordinates."
    table = markdown_table(["task", "data", "split", "metric", PRETRAINED, UNTRAINED, RAW], rows)
    spread = "Mean ± standard deviation, measured" if "±" in table else "Measured"
    return f"{spread} by `pcm3 evaluate`.\n\n{table}"


def _result_row(file: Path) -> list[str] | None:
    try:
        result = json.loads(file.read_text(encoding="utf-8"))
        if "rows" not in result or "task" not in result:
            return None
        values = {row["name"]: row["values"] for row in result["rows"]}
        metric = next(name for name in result["rows"][0] if name not in ("name", "values"))
        where = [
            result["task"],
            printable(str(result["store"]["kind"]), LONGEST),
            result["protocol"],
            header([metric])[1],
        ]
        return where + [
            mean_and_spread(values[name]) if name in values else "" for name in (PRETRAINED, UNTRAINED, RAW)
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration, RecursionError) as error:
        raise CheckpointError(f"{file}: not results of pcm3 evaluate, or damaged ({error}): evaluate again") from error


def _limits(spec: EncoderSpec) -> str:
    lines = [
        "It knows the motions and people that it learned from; measure it on your own data before you rely on it.",
        f"Skeletons other than {spec.layout.name} lose what retargeting can only approximate: hands, feet, spine.",
        "It is no means to tell who somebody is, nor to judge health: neither was measured.",
    ]
    return "\n".join(f"* {line}" for line in lines)
