"""Calls of the Python interface with things of a wrong kind, as users make them; prints what each of them raises.

Run as a program of its own: where the tests' checks of annotations stand, no call would come so far.
"""

import sys
from pathlib import Path

import numpy as np
from upright_people import standing

import pcm3
from pcm3.api import Recorded
from pcm3.api.compare import compare
from pcm3.errors import Pcm3Error
from pcm3.settings.tasks import LinearSettings
from pcm3.sklearn import MotionClassifier, MotionEncoder

CLIPS = [standing(number, 20)[:, 0].astype(np.float32) for number in range(4)]
LABELS = ["a", "b", "a", "b"]
MODEL = pcm3.load("simulated")
PEOPLE = {"subjects": [1, 1, 2, 2]}


def fit(labels=LABELS, **how):
    return MODEL.fit_classifier(CLIPS, labels, **how)


def expect(**how):
    return MODEL.expect(CLIPS, LABELS, **(PEOPLE | how))


def pretrain(**how):
    return MotionEncoder(None, **({"steps": 1, "layout": "kinect_v2"} | how)).fit(CLIPS)


def classifier(y=LABELS, **how):
    return MotionClassifier(**({"epochs": 1} | how)).fit(CLIPS, y)


def calls(folder):
    """Name → a call that must raise one of pcm3's errors."""
    file = folder / "file"
    file.write_text("not to be replaced")
    wrong = {
        "pcm3.load": [lambda value=value: pcm3.load(value) for value in (None, 3, "")],
        "pcm3.load_head": [lambda: pcm3.load_head(None), lambda: pcm3.load_head(folder, model="simulated")],
        "device": [lambda: pcm3.load("simulated", device=3)],
        "embed": [lambda value=value: MODEL.embed(value)
                  for value in (None, 3, [], {"a": CLIPS[0]}, [None], "", ["a.bvh", ""])],
        "save": [lambda: MODEL.save(None), lambda: MODEL.save(file), lambda: MODEL.export(None),
                 lambda: MODEL.export(folder / "no" / "m.onnx"), lambda: MODEL.export(folder / "m.onnx", to="exe")],
        "head.save": [lambda: fit(kind="nearest").save(None), lambda: fit(kind="nearest").save(file)],
        "index": [lambda: MODEL.index(CLIPS, window="2"), lambda: MODEL.index(CLIPS).search(CLIPS[0], "3"),
                  lambda: MODEL.index(CLIPS).search(CLIPS[0], 0), lambda: MODEL.index(CLIPS).save(file)],
        "compare": [lambda: compare(MODEL, CLIPS[0], None)],
        "push": [lambda value=value: MODEL.stream().push(value) for value in (None, "abc", np.zeros((3, 3)))],
        "push time": [lambda value=value: MODEL.stream().push(CLIPS[0][0], value) for value in ("x", float("nan"))],
        "X": [lambda value=value: MotionEncoder().fit(value) for value in (None, 3, "abc", {0: CLIPS[0]})],
        "y": [lambda value=value: classifier(value)
              for value in (None, 3, ["a"], ["a", None, "b", "b"], [0, 1, 0, float("nan")], [["a", "b"]] * 4)],
    }  # fmt: skip
    named = {
        lambda **how: MODEL.embed(CLIPS, **how): {
            "fps": ("30", True, float("nan")), "layout": (3,), "up": (3, [0, 0, 1]), "crops": ("2", 1.5, None),
            "batch": ("2", True)},
        fit: {"seed": ("1", 1.5, None, -1), "kind": (3, "lin"), "recorded": ({"fps": 30},),
              "labels": ("abab", 3, ["a"]),
              "settings": ({"epochs": 3}, LinearSettings(epochs="3"), LinearSettings(epochs=0), LinearSettings(lr="x")),
              "indices": ([0, 99], [0, -1], [0.5, 1.0], "ab", [], [[0, 1]], [0, None], [True, False, True, True])},
        expect: {"seed": ("1",), "kind": (3,), "subjects": (3, [1])},
        lambda **how: MODEL.fit_predictor(CLIPS, **how): {"seed": ("x",), "settings": (3,)},
        MODEL.stream: {"fps": ("30",), "window": ("2", 0), "hop": ("2", 1.5, 0), "layout": (3,), "up": (3,)},
        pretrain: {"minutes": ("x",), "steps": ("x", -1), "seed": ("x", None), "preset": ("x", 3), "layout": (3, None)},
        classifier: {"model": (3,), "kind": ("x",), "epochs": ("x", 0, 2.5), "lr": ("x", float("nan")),
                     "seed": ("x", None), "layout": (3,), "fps": ("x",), "up": (3,), "device": (3,)},
        Recorded: {"labels": (3,), "pattern": (3,), "units": (3,), "min_score": ("x",), "up": (3,), "layout": (3,)},
    }  # fmt: skip
    for call, arguments in named.items():
        for name, values in arguments.items():
            wrong[f"{getattr(call, '__name__', call)} {name}"] = [
                lambda call=call, name=name, value=value: call(**{name: value}) for value in values
            ]
    return wrong


def main():
    """A line a call that did not answer as it should; at the end, how many calls there were."""
    folder, count = Path(sys.argv[1]), 0
    for name, some in calls(folder).items():
        for number, call in enumerate(some):
            count += 1
            try:
                call()
                print(f"{name} {number}: nothing was raised")
            except Pcm3Error as error:
                if "\n" in str(error) or len(str(error)) > 400:
                    print(f"{name} {number}: {error}")
            except Exception as error:
                print(f"{name} {number}: {type(error).__name__}: {error}")
    assert (folder / "file").read_text() == "not to be replaced"
    print(f"{count} calls")


if __name__ == "__main__":
    main()
