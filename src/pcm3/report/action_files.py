"""Actions that were found in recordings, in files that other programs read."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from pcm3.api.heads import Action
from pcm3.data.names import own_file_name
from pcm3.files import write_atomically
from pcm3.report.csv_files import Value, write_csv
from pcm3.tasks.detection.average_precision import segments
from pcm3.tasks.detection.files import write_segments

Predictions = Sequence[tuple[str, Sequence[Action]]]
"""Id and actions of each recording."""


@dataclass(frozen=True)
class Form:
    """A form of file."""

    what: str
    folder: bool
    """Whether it is a folder with a file a recording."""
    write: Callable[[Path, Predictions, Sequence[str], float], None]
    """(place, found, names of the classes, frames a second)."""


def _csv(file: Path, predictions: Predictions, classes: Sequence[str], fps: float) -> None:
    rows: list[list[Value]] = [
        [name, action.label, action.start, action.stop, action.confidence]
        for name, actions in predictions
        for action in actions
    ]
    write_csv(file, ["recording", "class", "start_s", "stop_s", "confidence"], rows)


def _json(file: Path, predictions: Predictions, classes: Sequence[str], fps: float) -> None:
    text = json.dumps({name: [vars(action) for action in actions] for name, actions in predictions}, indent=1)
    write_atomically(file, lambda opened: opened.write(text.encode()))


def _audacity(folder: Path, predictions: Predictions, classes: Sequence[str], fps: float) -> None:
    """Label tracks: start, stop in seconds and a text, with tabs between."""
    for name, actions in predictions:
        lines = [f"{action.start:.6f}\t{action.stop:.6f}\t{action.label}\n" for action in actions]
        _write(folder, name, ".txt", "".join(lines).encode())


def _elan(folder: Path, predictions: Predictions, classes: Sequence[str], fps: float) -> None:
    """ELAN's annotation format 3.0: one tier of alignable annotations, times in milliseconds."""
    for name, actions in predictions:
        document = ElementTree.Element("ANNOTATION_DOCUMENT", AUTHOR="pcm3", DATE="1970-01-01T00:00:00+00:00",
                                       FORMAT="3.0", VERSION="3.0")  # fmt: skip
        ElementTree.SubElement(document, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
        order = ElementTree.SubElement(document, "TIME_ORDER")
        tier = ElementTree.SubElement(document, "TIER", LINGUISTIC_TYPE_REF="default-lt", TIER_ID="actions")
        for number, action in enumerate(actions, start=1):
            ends = [f"ts{2 * number - 1}", f"ts{2 * number}"]
            for end, second in zip(ends, (action.start, action.stop), strict=True):
                ElementTree.SubElement(order, "TIME_SLOT", TIME_SLOT_ID=end, TIME_VALUE=str(round(1000 * second)))
            annotation = ElementTree.SubElement(tier, "ANNOTATION")
            alignable = ElementTree.SubElement(annotation, "ALIGNABLE_ANNOTATION", ANNOTATION_ID=f"a{number}",
                                               TIME_SLOT_REF1=ends[0], TIME_SLOT_REF2=ends[1])  # fmt: skip
            ElementTree.SubElement(alignable, "ANNOTATION_VALUE").text = action.label
        ElementTree.SubElement(document, "LINGUISTIC_TYPE", GRAPHIC_REFERENCES="false",
                               LINGUISTIC_TYPE_ID="default-lt", TIME_ALIGNABLE="true")  # fmt: skip
        text = ElementTree.tostring(document, encoding="utf-8", xml_declaration=True)
        _write(folder, name, ".eaf", text)


def _pku(folder: Path, predictions: Predictions, classes: Sequence[str], fps: float) -> None:
    rows = [
        (video, classes.index(action.label), round(action.start * fps), round(action.stop * fps), action.confidence)
        for video, (_, actions) in enumerate(predictions)
        for action in actions
    ]
    write_segments(folder, segments(rows), {video: name for video, (name, _) in enumerate(predictions)})


def _write(folder: Path, name: str, ending: str, content: bytes) -> None:
    """A file for a recording; a name that no file can have is written as in a web address."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / f"{own_file_name(name)}{ending}", lambda opened: opened.write(content))


FORMS = {
    "csv": Form("a row an action", False, _csv),
    "json": Form("actions by recording", False, _json),
    "elan": Form("ELAN annotations (.eaf)", True, _elan),
    "audacity": Form("Audacity label tracks", True, _audacity),
    "pku": Form("PKU-MMD's text (label from 1, start, stop in frames, confidence)", True, _pku),
}
