"""Frames as a file: GIF, MP4 or PNG, by the ending of its name. None is left half-written."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from itertools import chain, combinations
from pathlib import Path
from typing import BinaryIO

from PIL import GifImagePlugin, Image, ImageChops

from pcm3.errors import DataError
from pcm3.files import write_atomically
from pcm3.render.draw import COLOURS, PAPER

FORMS = (".gif", ".mp4", ".png")


def check_form(path: Path) -> str:
    """The ending of the file's name, when a picture of that form can be written here.

    Raises:
        DataError: another ending; MP4 without ffmpeg; no such folder, or none that can be written.
    """
    form = path.suffix.lower()
    if path.is_dir():
        raise DataError(f"{path}: expected a file to write, that is a folder")
    if form not in FORMS:
        raise DataError(f"{path}: expected a file that ends in {', '.join(FORMS)}, got '{path.suffix}'")
    if form == ".mp4" and shutil.which("ffmpeg") is None:
        raise DataError(f"{path}: MP4 is written by ffmpeg, which is not on the PATH: install it, or write a .gif")
    if not path.parent.is_dir():
        raise DataError(f"{path}: expected a file in a folder that exists, there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise DataError(f"{path}: expected a file in a folder that can be written; {path.parent} cannot")
    return form


def save_png(image: Image.Image, path: Path) -> None:
    """Writes one picture."""
    write_atomically(path, lambda file: image.save(file, "PNG", optimize=True))


def save_movie(frames: Iterable[Image.Image], path: Path, fps: float) -> None:
    """Writes the frames, all of one size, as a GIF that repeats or as an MP4.

    Raises:
        DataError: see `check_form`; ffmpeg cannot write it.
    """
    if check_form(path) == ".mp4":
        _save_mp4(frames, path, fps)
    else:
        write_atomically(path, lambda file: _write_gif(frames, file, fps))


@cache
def _palette() -> Image.Image:
    """The colours of drawings and what antialiasing makes of them: each towards paper, and each pair half and half."""
    inks = [colour for colour in COLOURS if colour != PAPER]
    to_paper = (_mixed(ink, PAPER, share) for ink in inks for share in (0.25, 0.5, 0.75))
    pairs = (_mixed(first, second, 0.5) for first, second in combinations(inks, 2))
    colours = list(dict.fromkeys(chain([PAPER], inks, to_paper, pairs)))[:256]
    holder = Image.new("P", (1, 1))
    holder.putpalette([value for colour in colours for value in colour])
    return holder


def _mixed(first: tuple[int, ...], second: tuple[int, ...], share: float) -> tuple[int, ...]:
    return tuple(round(share * a + (1 - share) * b) for a, b in zip(first, second, strict=True))


def in_palette(image: Image.Image) -> Image.Image:
    """The drawing in 256 colours at most, the same ones for all drawings."""
    return image.quantize(palette=_palette(), dither=Image.Dither.NONE)


def _write_gif(frames: Iterable[Image.Image], file: BinaryIO, fps: float) -> None:
    """A GIF with one palette; of each frame only the rectangle that differs from the one before is written."""
    before: Image.Image | None = None
    for frame, duration in zip(map(in_palette, frames), _hundredths(fps), strict=False):
        if before is None:
            file.write(_gif_header(frame))
            box = (0, 0, *frame.size)
        else:
            box = ImageChops.difference(frame, before).getbbox() or (0, 0, 1, 1)
        for piece in GifImagePlugin.getdata(frame.crop(box), box[:2], duration=10 * duration):
            file.write(piece)
        before = frame
    file.write(b";")


def _gif_header(frame: Image.Image) -> bytes:
    """The size, the palette of 256 colours, and that the movie repeats for ever."""
    palette = bytes(_palette().getpalette() or []).ljust(768, b"\0")
    size = struct.pack("<HHBBB", *frame.size, 0xF7, 0, 0)
    return b"GIF89a" + size + palette + b"!\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"


def _hundredths(fps: float) -> Iterator[int]:
    """How long each frame stands, in 1/100 s: whole numbers that keep the true speed on average."""
    number, elapsed = 0, 0
    while True:
        number += 1
        until = round(100 * number / fps)
        yield max(until - elapsed, 1)
        elapsed = until


def _save_mp4(frames: Iterable[Image.Image], path: Path, fps: float) -> None:
    """Hands the frames to ffmpeg, which writes beside the place; the file takes its place when it is whole."""
    rest = iter(frames)
    first = next(rest)
    width, height = (side + side % 2 for side in first.size)  # H.264 stores colours of 2 × 2 pixels: sides are even
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".pcm3-show-") as folder:
        made, log_file = Path(folder) / "movie.mp4", Path(folder) / "log"
        taken = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{fps:g}", "-i", "-"]
        given = ["-c:v", "libx264", "-crf", "18", "-pix_fmt", "yuv420p", "-movflags", "+faststart", str(made)]
        with log_file.open("wb") as log:
            writer = subprocess.Popen(["ffmpeg", "-v", "error", *taken, *given], stdin=subprocess.PIPE, stderr=log)
            # That it stopped listening is no news: it says why, below.
            with suppress(BrokenPipeError), writer:
                assert writer.stdin is not None
                for frame in chain([first], rest):
                    even = Image.new("RGB", (width, height), PAPER)
                    even.paste(frame)
                    writer.stdin.write(even.tobytes())
        if writer.returncode != 0 or not made.is_file():
            message = " ".join(log_file.read_text(encoding="utf-8", errors="replace").split())
            raise DataError(f"{path}: ffmpeg could not write it: {message or f'exit code {writer.returncode}'}")
        made.replace(path)
