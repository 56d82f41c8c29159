"""docs/PYTHON.md and the examples, tried as a reader would try them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
from upright_people import standing

import pcm3
from pcm3.packaged import packaged_model
from test_sklearn import PASSED

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "PYTHON.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
EXAMPLES = [ROOT / "examples" / name for name in ("onnx_python.py", "onnx_node.js")]


def clip(number, frames):
    """Someone who stands; those of odd numbers rise."""
    moving = standing(number, frames)[:, 0].astype(np.float32)
    moving[:, :, 1] += (number % 2) * np.linspace(0, 1, frames, dtype=np.float32)[:, None]
    return moving


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The folder in which the page's blocks ran one after the other, and their names."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "clips").mkdir()
    for number in range(12):
        np.save(folder / "clips" / f"{number:02}.npy", clip(number, 40 + number))
    names = {}
    with pytest.MonkeyPatch.context() as patched:
        model = str(packaged_model(Path("simulated")))
        patched.setattr(huggingface_hub, "snapshot_download", lambda name, allow_patterns: model)
        patched.chdir(folder)
        for block in BLOCKS:
            exec(compile(block, str(PAGE), "exec"), names)
    return folder, names


def test_every_block_of_the_page_runs(page):
    _, names = page
    assert len(BLOCKS) == 5
    assert names["features"].shape == (12, 512)
    assert names["by_frame"].shape == (40, 256)
    assert names["expected"].people == 3
    assert names["scores"].shape == (3,)
    assert names["exported"].shape == (2, 512)


def test_the_page_lists_the_checks_that_are_run():
    listed = set(re.findall(r"`(check_\w+)`", PAGE.read_text()))
    assert listed == {*PASSED, "check_do_not_raise_errors_in_init_or_set_params"}


def test_the_examples_are_short_and_know_nothing_of_pcm3():
    for example in EXAMPLES:
        text = example.read_text()
        assert len(text.splitlines()) <= 30, example
        assert "import pcm3" not in text


def run(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return np.array(json.loads(done.stdout.splitlines()[-1]))


def test_the_examples_give_what_embed_gives(page, tmp_path):
    folder, names = page
    model, told, exported = pcm3.load("simulated"), names["told"], folder / "model.onnx"
    frames = clip(3, 50)
    np.save(tmp_path / "clip.npy", frames)
    expected = model.embed(frames, up="y")
    found = run(sys.executable, EXAMPLES[0], exported, tmp_path / "clip.npy")
    np.testing.assert_allclose(found, expected, atol=1e-4)
    (tmp_path / "model.json").write_text(json.dumps(told))
    (tmp_path / "clip.json").write_text(json.dumps(frames.tolist()))
    try:
        subprocess.run(["node", "-e", 'require("onnxruntime-web")'], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs node and onnxruntime-web (npm install onnxruntime-web, NODE_PATH=node_modules)")
    found = run("node", EXAMPLES[1], exported, tmp_path / "model.json", tmp_path / "clip.json")
    np.testing.assert_allclose(found, expected, atol=1e-4)
