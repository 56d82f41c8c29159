"""The one table of pretraining methods. Nothing here imports torch: a method's module is imported where it is built."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, NamedTuple

from pcm3.errors import ConfigError, not_one_of
from pcm3.settings.aimclr import AimCLRSettings
from pcm3.settings.cmd import CMDSettings
from pcm3.settings.cpm import CPMSettings
from pcm3.settings.crossclr import CrosSCLRSettings
from pcm3.settings.crrl import CRRLSettings
from pcm3.settings.gl_transformer import GLTransformerSettings
from pcm3.settings.h_transformer import HTransformerSettings
from pcm3.settings.halp import HaLPSettings
from pcm3.settings.hiclr import HiCLRSettings
from pcm3.settings.hico import HiCoSettings
from pcm3.settings.hysp import HYSPSettings
from pcm3.settings.isc import ISCSettings
from pcm3.settings.longt_gan import LongTGANSettings
from pcm3.settings.mamp import MAMPSettings
from pcm3.settings.method import MethodSettings
from pcm3.settings.moco import MoCoSettings
from pcm3.settings.ms2l import MS2LSettings
from pcm3.settings.pc import PandCSettings
from pcm3.settings.pcm3 import PCM3Settings
from pcm3.settings.pstl import PSTLSettings
from pcm3.settings.skelemixclr import SkeleMixCLRSettings


class Method(NamedTuple):
    """A row of the table."""

    settings: type[MethodSettings]
    """The dataclass of the method's settings."""
    module: str
    """Where it is; its ``build`` makes the method."""
    preset: str | None
    """The preset of a run that names the method and no preset."""

    def names(self) -> frozenset[str]:
        """The dotted names of its settings, and of their groups."""
        return _all_names(self.settings)


METHODS = {
    "pcm3": Method(PCM3Settings, "pcm3.methods.pcm3", preset="small"),
    "moco": Method(MoCoSettings, "pcm3.methods.moco", preset="moco-small"),
    "aimclr": Method(AimCLRSettings, "pcm3.methods.aimclr", preset="aimclr-small"),
    "cmd": Method(CMDSettings, "pcm3.methods.cmd", preset="cmd-small"),
    "cpm": Method(CPMSettings, "pcm3.methods.cpm", preset="cpm-small"),
    "crossclr": Method(CrosSCLRSettings, "pcm3.methods.crossclr", preset="crossclr-small"),
    "crrl": Method(CRRLSettings, "pcm3.methods.crrl", preset="crrl-small"),
    "gl-transformer": Method(GLTransformerSettings, "pcm3.methods.gl_transformer", preset="gl-transformer-small"),
    "h-transformer": Method(HTransformerSettings, "pcm3.methods.h_transformer", preset="h-transformer-small"),
    "halp": Method(HaLPSettings, "pcm3.methods.halp", preset="halp-small"),
    "hiclr": Method(HiCLRSettings, "pcm3.methods.hiclr", preset="hiclr-small"),
    "hico": Method(HiCoSettings, "pcm3.methods.hico", preset="hico-small"),
    "hysp": Method(HYSPSettings, "pcm3.methods.hysp", preset="hysp-small"),
    "isc": Method(ISCSettings, "pcm3.methods.isc", preset="isc-small"),
    "longt-gan": Method(LongTGANSettings, "pcm3.methods.longt_gan", preset="longt-gan-small"),
    "mamp": Method(MAMPSettings, "pcm3.methods.mamp", preset="mamp-small"),
    "ms2l": Method(MS2LSettings, "pcm3.methods.ms2l", preset="ms2l-small"),
    "pc": Method(PandCSettings, "pcm3.methods.pc", preset="pc-small"),
    "pstl": Method(PSTLSettings, "pcm3.methods.pstl", preset="pstl-small"),
    "skelemixclr": Method(SkeleMixCLRSettings, "pcm3.methods.skelemixclr", preset="skelemixclr-small"),
}
"""By name: as ``method:`` has it in presets, configurations and run folders."""
USUAL = "pcm3"
"""The method of a run that names none."""


def method_named(name: object, where: str = "setting method") -> Method:
    """The method of that name; `where` is how a message about it begins.

    Raises:
        ConfigError: there is no such method.
    """
    if not isinstance(name, str) or name not in METHODS:
        raise ConfigError(f"{where}: {not_one_of('a method', str(name), METHODS)}")
    return METHODS[name]


@cache
def _all_names(make: Callable[[], MethodSettings]) -> frozenset[str]:
    """Asked for with every word of a command line, of every method."""
    return frozenset(_names(make()))


def _names(settings: Any, prefix: str = "") -> Iterator[str]:
    for entry in fields(settings):
        yield f"{prefix}{entry.name}"
        value = getattr(settings, entry.name)
        if is_dataclass(value):
            yield from _names(value, f"{prefix}{entry.name}.")


def name_of_method(settings: MethodSettings) -> str:
    """The name of the method whose settings these are."""
    return next(name for name, method in METHODS.items() if type(settings) is method.settings)
