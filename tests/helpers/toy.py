"""PCM³ and views of clips at toy size, for tests."""

import torch

from pcm3.encoders.encoder import Encoder
from pcm3.methods.pcm3 import PCM3
from pcm3.methods.pcm3_views import ViewMaker
from pcm3.skeleton import load_layout

KINECT2, KINECT1 = load_layout("kinect_v2"), load_layout("kinect_v1")
FRAMES = 16


def toy_views(size=4, bodies=2, layout=KINECT2, seed=0, **settings):
    """Views of `size` random clips."""
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randn((30 * size, bodies, len(layout.joints), 3), generator=generator)
    maker = ViewMaker(layout, frames=FRAMES, least_frames=8, **settings)
    return maker(frames, torch.arange(size) * 30, torch.full((size,), 30), generator)


def toy_encoder(bodies=2, joints=25, hidden=6, layers=2, direction="causal", pooling="last", seed=0):
    """A small encoder with fresh weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Encoder(bodies, joints, hidden_size=hidden, layers=layers, direction=direction, pooling=pooling)


def toy_method(encoder=None, seed=0, **settings):
    """A small PCM³; unless told otherwise its task prompts are as wide as the feature, so they have one place."""
    encoder = encoder or toy_encoder()
    defaults = {"embedding": 5, "decoder_hidden": 7, "queue": 11, "prompt_width": encoder.hidden_size}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return PCM3(encoder, **(defaults | settings))


def step(method, views, seed=0):
    """One forward pass with places of the task prompts drawn from the seed."""
    return method(views, torch.Generator().manual_seed(seed))
