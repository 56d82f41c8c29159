"""The method that a run's settings ask for, by the table of methods."""

from __future__ import annotations

from importlib import import_module

from pcm3.methods.protocol import AnyMethod, EncoderMaker
from pcm3.settings.methods import METHODS, name_of_method
from pcm3.settings.pretrain import PretrainSettings
from pcm3.skeleton import Layout


def build_method(make_encoder: EncoderMaker, layout: Layout, settings: PretrainSettings) -> AnyMethod:
    """The method with fresh weights, which follow from the seed.

    Raises:
        ConfigError: the layout does not have what the method needs.
    """
    module = import_module(METHODS[name_of_method(settings.method)].module)
    method: AnyMethod = module.build(make_encoder, layout, settings)
    return method
