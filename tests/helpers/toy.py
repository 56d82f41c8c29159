"""Methods and views of clips at toy size, for tests."""

import torch

from pcm3.clips import ClipBatch
from pcm3.encoders.encoder import Encoder
from pcm3.methods.aimclr import AimCLR
from pcm3.methods.cmd import CMD
from pcm3.methods.cpm import CPM
from pcm3.methods.crossclr import CrosSCLR
from pcm3.methods.crrl import CRRL
from pcm3.methods.gl_transformer import GLTransformer
from pcm3.methods.h_transformer import HTransformer
from pcm3.methods.halp import HaLP
from pcm3.methods.hiclr import HiCLR
from pcm3.methods.hico import HiCo, HierarchicalNetwork
from pcm3.methods.hysp import HYSP
from pcm3.methods.isc import ISC
from pcm3.methods.longt_gan import LongTGAN
from pcm3.methods.mamp import MAMP
from pcm3.methods.moco import MoCo, MomentumBranch
from pcm3.methods.ms2l import MS2L
from pcm3.methods.pc import PandC
from pcm3.methods.pcm3 import PCM3
from pcm3.methods.pcm3_views import ViewMaker
from pcm3.methods.protocol import Progress
from pcm3.methods.pstl import PSTL
from pcm3.methods.skelemixclr import SkeleMixCLR
from pcm3.methods.streams import STREAMS, StreamBranches
from pcm3.methods.views import CropMaker
from pcm3.settings.aimclr import AimCLRSettings, AlignmentSettings
from pcm3.settings.cmd import DistillationSettings
from pcm3.settings.cpm import MatchingSettings
from pcm3.settings.crrl import MotionContrastSettings
from pcm3.settings.encoder import EncoderSettings
from pcm3.settings.gl_transformer import DisplacementSettings
from pcm3.settings.h_transformer import MotionDirectionSettings
from pcm3.settings.halp import HallucinationSettings
from pcm3.settings.hiclr import ChainSettings, HiCLRSettings
from pcm3.settings.hico import HiCoSettings, HierarchySettings
from pcm3.settings.hysp import SelfPacedSettings
from pcm3.settings.longt_gan import InpaintingSettings
from pcm3.settings.mamp import MaskedMotionSettings
from pcm3.settings.moco import MomentumSettings
from pcm3.settings.ms2l import ThreeTaskSettings
from pcm3.settings.neighbours import NeighbourSettings
from pcm3.settings.pcm3 import PCM3Settings
from pcm3.settings.pstl import PartialSettings, PSTLSettings, TwinSettings
from pcm3.settings.skelemixclr import PasteSettings
from pcm3.settings.views import ViewSettings, whole_clips
from pcm3.skeleton import load_layout

KINECT2, KINECT1 = load_layout("kinect_v2"), load_layout("kinect_v1")
FRAMES = 16
SHORT = {
    "prompts": "prompts.kind", "domain_place": "prompts.domain", "prompt_place": "prompts.place",
    "prompt_width": "prompts.width",
}  # fmt: skip
"""Names in the tests of what is no setting of the objective."""
BEGINNING = Progress(step=0, epoch=0, share=0.0)


def toy_settings(settings):
    """Settings of PCM³ with some changed, by dotted name; what has no group is of the objective."""
    changed = PCM3Settings()
    for name, value in settings.items():
        group, _, last = SHORT.get(name, name).rpartition(".")
        owner = getattr(changed, group or "objective")
        assert hasattr(owner, last), name
        setattr(owner, last, value)
    return changed


def toy_batch(size=4, bodies=2, layout=KINECT2, seed=0):
    """`size` random clips of 30 frames."""
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randn((30 * size, bodies, len(layout.joints), 3), generator=generator)
    numbers = torch.arange(size)
    return ClipBatch(frames, numbers * 30, torch.full((size,), 30), numbers, gaps=False), generator


def toy_views(size=4, bodies=2, layout=KINECT2, seed=0, settings=None):
    """Views of `size` random clips."""
    changed = toy_settings({"views.min_frames": 8} | (settings or {}))
    return ViewMaker(layout, "joint", FRAMES, changed)(*toy_batch(size, bodies, layout, seed))


def toy_encoder(bodies=2, joints=25, hidden_size=6, layers=2, direction="causal", pooling="last", seed=0):
    """A small encoder with fresh weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Encoder(bodies, joints, hidden_size=hidden_size, layers=layers, direction=direction, pooling=pooling)


def toy_method(encoder=None, seed=0, layout=KINECT2, **settings):
    """A small PCM³; unless told otherwise its task prompts are as wide as the feature, so they have one place."""
    encoder = encoder or toy_encoder()
    defaults = {"embedding": 5, "decoder_hidden": 7, "queue": 11, "prompt_width": encoder.hidden_size}
    changed = toy_settings(defaults | settings)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return PCM3(encoder, changed, ViewMaker(layout, "joint", FRAMES, changed))


def step(method, views, seed=0):
    """One forward pass with places of the task prompts drawn from the seed."""
    return method(views, BEGINNING, torch.Generator().manual_seed(seed))


def lagged(encoder, seed, settings):
    """A branch whose key network has lagged behind."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        branch = MomentumBranch(encoder, MomentumSettings(**{"embedding": 5, "queue": 11} | settings))
        for parameter in (*branch.key_encoder.parameters(), *branch.key_projector.parameters()):
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return branch


def toy_crops():
    return CropMaker(KINECT2, FRAMES, ViewSettings(min_frames=8))


def toy_moco(direction="causal", name="joint", **settings):
    """A small MoCo."""
    return MoCo(lagged(toy_encoder(direction=direction), 0, settings), toy_crops(), name)


def toy_branches(direction, **settings):
    """Small branches of the three streams."""
    return StreamBranches(
        {
            str(name): lagged(toy_encoder(direction=direction, layers=1, seed=seed), seed, settings)
            for seed, name in enumerate(STREAMS)
        }
    )


def toy_cmd(direction="causal", export="online", queue=11, **distillation):
    """A small CMD."""
    branches = toy_branches(direction, momentum=0.7, export=export, queue=queue)
    return CMD(branches, DistillationSettings(**{"neighbours": 4} | distillation), toy_crops())


def toy_crossclr(direction="causal", export="online", queue=11, context=True, **neighbours):
    """A small CrosSCLR, in which neighbours count from half of the schedule on."""
    branches = toy_branches(direction, momentum=0.7, export=export, queue=queue, temperature=0.3)
    return CrosSCLR(branches, NeighbourSettings(**neighbours), context, toy_crops())


def toy_cpm(direction="causal", name="joint", begin=0.5, **settings):
    """A small CPM."""
    branch = lagged(toy_encoder(direction=direction), 0, settings)
    return CPM(branch, MatchingSettings(0.2, 0.7), NeighbourSettings(begin, 3), toy_crops(), name)


def toy_halp(direction="causal", name="joint", layers=2, queue=11, export="online", **hallucination):
    """A small HaLP."""
    small = {"prototypes": 4, "newest": 8, "positives": 6, "every": 2, "begin": 0.5}
    branch = lagged(
        toy_encoder(direction=direction, layers=layers), 0, {"queue": queue, "export": export, "temperature": 0.3}
    )
    return HaLP(branch, HallucinationSettings(**small | hallucination), toy_crops(), name)


def toy_hico(name="joint", fixed_negatives=False, layers=1, **objective):
    """A small HiCo whose key network has lagged behind."""
    small = MomentumSettings(**{"embedding": 5, "queue": 11, "temperature": 0.3} | objective)
    settings = HiCoSettings(objective=small, hierarchy=HierarchySettings(fixed_negatives))
    with torch.random.fork_rng():
        torch.manual_seed(1)
        encoder = Encoder(
            2, 25, hidden_size=2, layers=layers, direction="bidirectional", pooling="max", kind="hico", frames=FRAMES
        )
        method = HiCo(HierarchicalNetwork(encoder, small), settings, toy_crops(), name)
        for parameter in method.key_network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return method


def toy_graph(kind="stgcn", seed=2, layers=1, hidden_size=4, **changes):
    """A small encoder on a graph of joints."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        chosen = {"kind": kind, "parents": KINECT2.parents, "channels": 4} | changes
        return Encoder(2, 25, 3, hidden_size, layers, "bidirectional", "mean", **chosen)


def toy_skelemixclr(name="joint", layers=1, count=1, per_clip=False, **settings):
    """A small SkeleMixCLR."""
    branch = lagged(toy_graph(layers=layers), 0, settings)
    return SkeleMixCLR(branch, PasteSettings(count, per_clip), toy_crops(), name)


def toy_pstl(name="joint", layers=1):
    """A small PSTL."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        settings = PSTLSettings(objective=TwinSettings(6, 0.1), partial=PartialSettings(frames=3))
        return PSTL(toy_graph(layers=layers), settings, toy_crops(), name)


def toy_hysp(direction="causal", name="joint", layers=1, **objective):
    """A small HYSP whose target network has lagged behind."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        settings = SelfPacedSettings(**{"head_hidden": 7, "embedding": 5} | objective)
        method = HYSP(toy_encoder(direction=direction, layers=layers), settings, toy_crops(), name)
        for parameter in (*method.target_encoder.parameters(), *method.target_projector.parameters()):
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return method


def toy_aimclr(name="joint", layers=1, drop_threshold=0.7, begin=0.5, nearest=1, **objective):
    """A small AimCLR."""
    settings = AimCLRSettings(
        alignment=AlignmentSettings(drop_threshold=drop_threshold), neighbours=NeighbourSettings(begin, nearest)
    )
    branch = lagged(toy_graph(layers=layers), 0, {"temperature": 0.3} | objective)
    return AimCLR(branch, settings, toy_crops(), name)


def toy_hiclr(name="joint", encoder=None, mask_ratio=0.1, begin=0.5, nearest=1, **objective):
    """A small HiCLR."""
    settings = HiCLRSettings(chain=ChainSettings(mask_ratio=mask_ratio), neighbours=NeighbourSettings(begin, nearest))
    branch = lagged(encoder or toy_graph(), 0, {"temperature": 0.3} | objective)
    return HiCLR(branch, settings, toy_crops(), name)


def toy_isc(direction="causal", name="joint", **settings):
    """A small ISC of a GRU and an A-GCN."""
    second = EncoderSettings("agcn", 4, 1, "bidirectional", "mean", channels=4)
    encoders = toy_encoder(direction=direction), toy_graph("agcn")
    branches = [lagged(encoder, seed, settings) for seed, encoder in enumerate(encoders)]
    return ISC(*branches, second, toy_crops(), name)


def toy_pc(decoder="fixed_state", direction="bidirectional", name="joint", frames=FRAMES, layers=2):
    """A small P&C."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        maker = CropMaker(KINECT2, frames, whole_clips())
        return PandC(toy_encoder(direction=direction, layers=layers), decoder, maker, name)


def toy_ms2l(name="joint", frames=FRAMES, layers=2, direction="bidirectional", pooling="mean"):
    """A small MS²L."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        encoder = toy_encoder(direction=direction, layers=layers, pooling=pooling)
        settings = ThreeTaskSettings(head_hidden=7, embedding=5)
        return MS2L(encoder, settings, CropMaker(KINECT2, frames, whole_clips()), name)


def toy_gl_transformer(frames=FRAMES, layers=1, kind="gl_transformer", **objective):
    """A small GL-Transformer."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        encoder = Encoder(
            2, 25, hidden_size=4, layers=layers, direction="bidirectional", pooling="mean", kind=kind, frames=frames,
            parents=KINECT2.parents,
        )  # fmt: skip
        settings = DisplacementSettings(**{"intervals": [1, 5]} | objective)
        return GLTransformer(encoder, settings, CropMaker(KINECT2, frames, whole_clips()))


def toy_h_transformer(frames=FRAMES, kind="h_transformer", **objective):
    """A small H-Transformer."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        encoder = Encoder(
            2, 25, hidden_size=4, layers=1, direction="bidirectional", pooling="mean", kind=kind, frames=frames,
            parts=KINECT2.parts,
        )  # fmt: skip
        return HTransformer(encoder, MotionDirectionSettings(**objective), CropMaker(KINECT2, frames, whole_clips()))


def toy_mamp(name="joint", frames=FRAMES, layers=2, **objective):
    """A small MAMP."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        encoder = Encoder(
            2, 25, hidden_size=2, layers=layers, direction="bidirectional", pooling="mean", kind="vit", frames=frames
        )
        settings = MaskedMotionSettings(**{"decoder_hidden": 5, "decoder_layers": 1} | objective)
        return MAMP(encoder, settings, CropMaker(KINECT2, frames, whole_clips()), name)


def toy_longt_gan(name="joint", frames=FRAMES, layers=2, direction="bidirectional", **objective):
    """A small LongT GAN."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        settings = InpaintingSettings(**{"decoder_hidden": 7, "discriminator_hidden": 4} | objective)
        maker = CropMaker(KINECT2, frames, whole_clips())
        return LongTGAN(toy_encoder(direction=direction, layers=layers), settings, maker, name)


def toy_crrl(frames=FRAMES, layers=2, direction="bidirectional", queue=11, **objective):
    """A small CRRL."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        settings = MotionContrastSettings(**{"embedding": 5, "queue": queue, "decoder_dropout": 0.0} | objective)
        encoders = [toy_encoder(direction=direction, layers=layers, pooling="mean", seed=seed) for seed in (0, 1)]
        return CRRL(*encoders, settings, CropMaker(KINECT2, frames, whole_clips()))
