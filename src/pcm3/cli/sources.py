"""What the commands that use a model share: the clips that they are given, and what is said of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pcm3.api import Model
    from pcm3.api.given import Clips, GivenClips, Recorded
    from pcm3.data.store import ClipStore

HeadType = TypeVar("HeadType")
MOST_LISTED = 20
"""Rows of a result, and clips that cannot be used, that are printed at most; files have all of them."""


def add_source(parser: Any, name: str, what: str, number: int | str = "+", *, labelled: bool = False) -> None:
    """Adds clips, or recordings, and what is to be known of them; with their labels where a command looks at these."""
    parser.add_argument(name, type=Path, nargs=number, help=f"{what}: a store, or files of any format that pcm3 reads")
    add_recorded(parser)
    if labelled:
        parser.add_argument("--labels", type=str | None, default=None,
                            help="a CSV table with the columns file,label[,subject,start,stop]; of a store, as pcm3 "
                                 "explore writes it: file,label")  # fmt: skip
        parser.add_argument("--pattern", type=str | None, default=None,
                            help="of files: how they are named, {subject}_{label}; {} for the rest")  # fmt: skip


def add_recorded(parser: Any) -> None:
    """Adds what is to be known of recordings in files."""
    parser.add_argument("--fps", type=float | None, default=None,
                        help="frames a second of files that do not hold them; null: as the model's")  # fmt: skip
    parser.add_argument("--layout", type=str | None, default=None,
                        help="skeleton of such files: a name or a TOML file; null: the model's")  # fmt: skip
    parser.add_argument("--up", type=str | None, default=None,
                        help="which way is up in files: x, y, z, -x …; null: found by how people stand")  # fmt: skip
    parser.add_argument("--units", type=str | None, default=None,
                        help="of files: metres, centimetres, millimetres, inches, feet, or the metres in one unit; "
                             "null: found by the bodies' size")  # fmt: skip
    parser.add_argument("--columns", type=str | None, default=None,
                        help="of tables: the columns that tell their recordings apart and what is done in them, "
                             "clip=NAME,label=NAME,subject=NAME; null: found by their names")  # fmt: skip
    parser.add_argument("--min_score", type=float, default=0.3,
                        help="of files: a joint of whose place the pose estimator is less sure is absent")  # fmt: skip


def add_device(parser: Any) -> None:
    """Adds where to compute."""
    from pcm3.settings.pretrain import Device

    parser.add_argument("--device", type=Device, default="auto", help="where to compute")


def recorded(options: Any) -> Recorded:
    """What the options say of the clips.

    Raises:
        ConfigError: a rate that none is.
    """
    from pcm3.api.given import Recorded

    names = ("fps", "layout", "up", "labels", "pattern", "columns", "units", "min_score")
    return Recorded(**{name: options[name] for name in names if name in options})


def sources(paths: list[Path]) -> Clips:
    """The clips that some paths name: a store, or files.

    Raises:
        DataError: there is nothing at one of them, or a store is among others.
    """
    from pcm3.data.store import STORE
    from pcm3.errors import DataError

    for path in paths:
        if not path.exists():
            raise DataError(f"{path}: expected a store or a file with recordings, but nothing is there")
        if len(paths) > 1 and (path / STORE).is_file():
            raise DataError(
                f"{path}: expected one store alone, or files, got {len(paths)} of both: give them one by one"
            )
    return paths[0] if len(paths) == 1 else paths


def print_given(given: GivenClips) -> None:
    """Prints what was found about units and axes, and what cannot be used."""
    for note in given.notes:
        print(f"note: {note}")
    for name, reason in given.lost[:MOST_LISTED]:
        print(f"not used: {name}: {reason}")
    if len(given.lost) > MOST_LISTED:
        print(f"not used: {len(given.lost) - MOST_LISTED:,} more")


def add_head(parser: Any, kind: str) -> None:
    """Adds a head, and the model that it was fitted on."""
    parser.add_argument("head", type=Path, help=f"a {kind} that pcm3 fit wrote, or pcm3 evaluate --save-heads")
    parser.add_argument("--model", type=Path | None, default=None,
                        help="the model that it was fitted on, where it does not lie in the head's folder")  # fmt: skip


def loaded_head(options: Any, wanted: type[HeadType], kind: str) -> HeadType:
    """The head that the options name.

    Raises:
        CheckpointError: there is none, it is of another kind, or of another model.
    """
    from pcm3 import api
    from pcm3.errors import CheckpointError

    model = None if options.model is None else api.load(options.model, device=options.device)
    head = api.load_head(options.head, model=model, device=options.device)
    if not isinstance(head, wanted):
        got = type(head).__name__.removesuffix("Head").lower()
        raise CheckpointError(f"{options.head}: expected a {kind}, got a {got}: pcm3 fit {kind} writes one")
    return head


def clip_of_store(word: str) -> tuple[Path, str] | None:
    """Store and clip of STORE:ID; None: it is none. The names of clips of untrimmed recordings hold a colon, too."""
    from pcm3.data.store import STORE

    for at, letter in enumerate(word):
        if letter == ":" and (Path(word[:at]) / STORE).is_file():
            return Path(word[:at]), word[at + 1 :]
    return None


def one_clip(model: Model, word: str, known: Recorded) -> ClipStore:
    """The motion that a word names, a file or STORE:ID, as a store of that clip.

    Raises:
        DataError: there is no such file or clip.
    """
    import numpy as np

    from pcm3.data.store import STORE, ClipStore
    from pcm3.errors import DataError

    named = clip_of_store(word)
    if named is None:
        held = model.given(sources([Path(word)]), known).store
        if len(held) != 1:
            name = f"{word}:{held.ids[0]}" if (Path(word) / STORE).is_file() else "a file with one clip"
            raise DataError(f"{word}: expected one motion, got {len(held)} clips: name one, as {name}")
        return held
    folder, name = named
    store = ClipStore.open(folder)
    place = np.flatnonzero(store.ids == name)
    if len(place) == 0:
        raise DataError(f"{folder}: expected a clip of it behind the colon, got '{name}': pcm3 show names clips")
    return store.only(int(place[0]))
