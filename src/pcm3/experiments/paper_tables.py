"""The tables of the paper (PCM³, ACM MM 2023) as data, and one of our own: what they report, what of it we run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pcm3.report.published_order import Published

PublishedValues = tuple[float | None, ...]
DATASETS = {"ntu60": "NTU 60", "ntu120": "NTU 120", "pkummd2": "PKU-MMD II"}
"""Kind of a store → what heads of the paper's columns call its data set."""


@dataclass(frozen=True)
class Column:
    """A figure that we measure."""

    head: str
    task: str
    """Of `pcm3 evaluate`."""
    figure: str
    authors_head: bool = False
    """By the linear head of each method's authors (`Variant.head`), of the methods that have one."""
    published: tuple[str, ...] = ()
    """Heads of the paper's columns that are of the same thing, on one data set and protocol each; none: it has none."""


@dataclass(frozen=True)
class Variant:
    """A row that we run: PCM³, or another method, with some settings changed, by dotted name."""

    changes: dict[str, Any] = field(default_factory=dict)
    streams: bool = False
    """Joint, bone and motion, each a run of its own, whose logits are summed."""
    preset: str | None = None
    """Another method's, at its published size; the one for little data has its name with ``-small``."""
    at_once: bool = False
    """A run of the method trains all three streams."""
    head: dict[str, Any] = field(default_factory=dict)
    """What the authors train their linear head with (`LinearSettings`), where that is SGD, too, and otherwise."""

    def has(self, column: Column) -> bool:
        """Whether the row has a figure in this column."""
        return bool(self.head) or not column.authors_head


@dataclass(frozen=True)
class PaperTable:
    """One table."""

    title: str
    heads: tuple[str, ...]
    """Of the paper's columns."""
    published: dict[str, PublishedValues]
    """Row → the paper's figures; None where it has none."""
    columns: tuple[Column, ...]
    """What we measure on the store that is given."""
    variants: dict[str, Variant]
    """Those of the rows that we run; the others are published only."""
    all_parts: Literal["domain", "both"] | None = None
    """It is about the whole method: of what the preset leaves out of it all is put in first, and these prompts."""
    untrained: str = ""
    """The paper's row of an encoder that learned nothing, if it has one."""

    def beside(self, dataset: str, protocol: str, untrained: str) -> tuple[dict[str, str], dict[str, dict[str, float]]]:
        """Column of ours → the paper's column beside it; row of ours → column of ours → the paper's figure.

        Where the paper has several data sets and protocols, it is that of the store where it is among them, else the
        first.

        Args:
            dataset: kind of the store.
            protocol: of the runs.
            untrained: our row of an encoder that learned nothing.
        """
        name = DATASETS.get(dataset)
        heads, figures = {}, {}
        for column in self.columns:
            if column.published:
                heads[column.head] = max(
                    column.published, key=lambda head: 2 * (name is not None and name in head) + (protocol in head)
                )
        for row, values in self.published.items():
            of_row = dict(zip(self.heads, values, strict=True))
            known = {ours: of_row[head] for ours, head in heads.items()}
            figures[untrained if row == self.untrained else row] = {
                head: value for head, value in known.items() if value is not None
            }
        return heads, figures


RECOGNITION = Column("linear %", "linear", "top1")
RETRIEVAL = Column("1-NN %", "retrieval", "top1")
DETECTION = Column("detection mAP_a (VOC) %", "detection", "map_a_voc")
PREDICTION = Column("motion prediction mm", "prediction", "mpjpe_mm")
OURS = Variant()
LONGT_GAN, MS2L, MOCO = Variant(preset="longt-gan"), Variant(preset="ms2l"), Variant(preset="moco")
CRRL, ISC = Variant(preset="crrl"), Variant(preset="isc")
GL_TRANSFORMER, H_TRANSFORMER = Variant(preset="gl-transformer"), Variant(preset="h-transformer")
CMD, HALP = Variant(preset="cmd", at_once=True), Variant(preset="halp")
LATE_DROP: dict[str, Any] = {"lr": 3.0, "drop_epochs": [80]}
"""The linear head of CrosSCLR's code, and of those that began with it."""
CROSSCLR = Variant(preset="crossclr", at_once=True, head=LATE_DROP)
AIMCLR, HICLR = Variant(preset="aimclr", head=LATE_DROP), Variant(preset="hiclr", head=LATE_DROP)
SKELEMIXCLR = Variant(preset="skelemixclr", head=LATE_DROP | {"epochs": 150, "batch": 128})
HICO = Variant(preset="hico", head={"lr": 2.0, "epochs": 80, "drop_epochs": [50, 70]})
HYSP, CPM = Variant(preset="hysp"), Variant(preset="cpm")
ALONE: dict[str, Any] = {"prompts.kind": "none", "objective.distillation_weight": 0.0}
"""What the plain methods of Table 7 have in common: no prompts, no distillation, no views of the other task."""

PAPER: dict[str, Any] = {
    "encoder.direction": "causal", "encoder.layers": 3, "encoder.kind": "gru", "encoder.pooling": "last",
    "encoder.input_features": ["joint"], "encoder.normalise_features": False, "encoder.input_scale": "each",
    "batch": 128, "frames": 64,
    "views.crop": (0.1, 1.0), "views.min_frames": 64, "views.shear": 1.0, "views.bone_scale": 0.0,
    "views.flip_prob": 0.0, "views.yaw": 0.0, "mix.per_clip": False, "mask.per_clip": False,
    "prompts.kind": "both", "prompts.domain": "before_norm", "prompts.width": 128, "objective.projector_norm": False,
    "objective.positives": ["intra", "inter", "mask", "predict"], "objective.negatives": "queue",
    "objective.queue": 16384, "objective.momentum": 0.999, "objective.prediction_error": "squared",
    "objective.prediction_weight": 40.0, "objective.decoder_hidden": 512, "optimiser.kind": "sgd",
    "optimiser.lr": 0.02, "optimiser.weight_decay": 1e-4, "optimiser.schedule": "step",
}  # fmt: skip
"""The released recipe but for the width and the length, which are the run's. A step of the rate it would not reach."""

UNSUPERVISED = ("NTU 60 xsub", "NTU 60 xview", "NTU 120 xsub", "NTU 120 xset", "PKU-MMD II")


def _positives(*views: str, distillation: bool = True) -> Variant:
    weight = 1.0 if distillation else 0.0
    return Variant(
        {"objective.positives": list(views), "objective.distillation_weight": weight, "prompts.kind": "none"}
    )


TABLES: dict[str, PaperTable] = {
    "table1": PaperTable(
        "Unsupervised action recognition, top-1 %",
        UNSUPERVISED,
        {
            "LongT GAN": (39.1, 48.1, None, None, 26.0), "MS²L": (52.6, None, None, None, 27.6),
            "CRRL": (67.6, 73.8, 56.2, 57.0, 41.8), "ISC": (76.3, 85.2, 67.1, 67.9, 36.0),
            "CMD": (79.8, 86.9, 70.3, 71.5, 43.0), "HaLP": (79.7, 86.8, 71.1, 72.2, 43.5),
            "H-Transformer": (69.3, 72.8, None, None, None), "GL-Transformer": (76.3, 83.8, 66.0, 68.7, None),
            "PCM³": (83.9, 90.4, 76.5, 77.5, 51.5), "3s-HiCo": (82.6, 90.8, 75.9, 77.3, None),
            "3s-CMD": (84.1, 90.9, 74.7, 76.1, 52.6), "3s-CrosSCLR": (77.8, 83.4, 67.9, 66.7, 21.2),
            "3s-AimCLR": (78.9, 83.8, 68.2, 68.8, 38.5), "3s-HiCLR": (80.4, 85.5, 70.0, 70.4, 53.8),
            "3s-HYSP": (79.1, 85.2, 64.5, 67.3, None), "3s-SkeleMixCLR": (82.7, 87.1, 70.5, 70.7, 57.1),
            "3s-CPM": (83.2, 87.0, 73.0, 74.0, 51.5), "3s-PCM³": (87.4, 93.1, 80.0, 81.2, 58.2),
        },
        (
            replace(RECOGNITION, published=UNSUPERVISED),
            Column("linear, their authors' head %", "linear", "top1", authors_head=True, published=UNSUPERVISED),
        ),
        {
            "LongT GAN": LONGT_GAN, "MS²L": MS2L, "CRRL": CRRL, "ISC": ISC, "CMD": CMD, "HaLP": HALP,
            "H-Transformer": H_TRANSFORMER, "GL-Transformer": GL_TRANSFORMER, "PCM³": OURS,
            "3s-HiCo": replace(HICO, streams=True), "3s-CMD": replace(CMD, streams=True),
            "3s-CrosSCLR": replace(CROSSCLR, streams=True), "3s-AimCLR": replace(AIMCLR, streams=True),
            "3s-HiCLR": replace(HICLR, streams=True), "3s-HYSP": replace(HYSP, streams=True),
            "3s-SkeleMixCLR": replace(SKELEMIXCLR, streams=True), "3s-CPM": replace(CPM, streams=True),
            "3s-PCM³": Variant(streams=True),
        },
        all_parts="domain",
    ),
    "table2": PaperTable(
        "Semi-supervised recognition on NTU 60, top-1 %",
        ("xview 1 %", "xview 10 %", "xsub 1 %", "xsub 10 %"),
        {
            "LongT GAN": (None, None, 35.2, 62.0), "MS²L": (None, None, 33.1, 65.1),
            "HiCLR": (50.9, 79.6, 51.1, 74.6), "ISC": (38.1, 72.5, 35.7, 65.9), "CMD": (53.0, 80.2, 50.6, 75.4),
            "PCM³": (53.1, 82.8, 53.8, 77.1),
        },
        (
            Column("1 % (global) %", "semi", "top1_1pc_global", published=("xsub 1 %", "xview 1 %")),
            Column("10 % (global) %", "semi", "top1_10pc_global", published=("xsub 10 %", "xview 10 %")),
            Column("10 % (stratified) %", "semi", "top1_10pc_stratified"),
        ),
        {"LongT GAN": LONGT_GAN, "MS²L": MS2L, "HiCLR": HICLR, "ISC": ISC, "CMD": CMD, "PCM³": OURS},
        all_parts="domain",
    ),
    "table3": PaperTable(
        "Retrieval, 1-NN, top-1 %",
        UNSUPERVISED[:4],
        {
            "LongT GAN": (39.1, 48.1, 31.5, 35.5), "ISC": (62.5, 82.6, 50.6, 52.3), "CRRL": (60.7, 75.2, None, None),
            "CMD": (70.6, 85.4, 58.3, 60.9), "HaLP": (65.8, 83.6, 55.8, 59.0), "PCM³": (73.7, 88.8, 63.1, 66.8),
        },
        (replace(RETRIEVAL, published=UNSUPERVISED[:4]),),
        {"LongT GAN": LONGT_GAN, "ISC": ISC, "CRRL": CRRL, "CMD": CMD, "HaLP": HALP, "PCM³": OURS},
        all_parts="domain",
    ),
    "table4": PaperTable(
        "Recognition under occlusion on NTU 60, top-1 %",
        ("spatial xsub", "spatial xview", "temporal xsub", "temporal xview"),
        {
            "MoCo-GRU": (64.8, 72.6, 68.8, 74.8), "ISC": (62.8, 70.6, 68.9, 76.8), "CRRL": (56.8, 61.4, 61.0, 66.2),
            "AimCLR": (54.9, 58.5, 54.1, 58.6), "CMD": (67.1, 72.7, 72.7, 79.5), "PCM³": (80.8, 87.0, 77.6, 86.1),
        },
        (
            Column("spatial %", "occlusion", "top1_spatial", published=("spatial xsub", "spatial xview")),
            Column("temporal %", "occlusion", "top1_temporal", published=("temporal xsub", "temporal xview")),
            Column("spatial, head trained on it %", "occlusion", "trained_top1_spatial"),
            Column("temporal, head trained on it %", "occlusion", "trained_top1_temporal"),
            Column("clean %", "occlusion", "top1_clean"),
        ),
        {"MoCo-GRU": MOCO, "ISC": ISC, "CRRL": CRRL, "AimCLR": AIMCLR, "CMD": CMD, "PCM³": OURS},
        all_parts="domain",
    ),
    "table5": PaperTable(
        "Detection on PKU-MMD I xsub at overlap 0.5, %",
        ("mAP_a", "mAP_v"),
        {
            "Randomly initialised": (29.6, 28.2), "MS²L": (50.9, 49.1), "CRRL": (52.8, 50.5), "ISC": (55.1, 54.2),
            "CMD": (59.4, 59.2), "PCM³": (61.8, 61.3),
        },
        (
            replace(DETECTION, published=("mAP_a",)),
            Column("mAP_v (official) %", "detection", "map_v_official", published=("mAP_v",)),
        ),
        {"MS²L": MS2L, "CRRL": CRRL, "ISC": ISC, "CMD": CMD, "PCM³": OURS},
        all_parts="domain",
        untrained="Randomly initialised",
    ),
    "table6": PaperTable(
        "Motion prediction, MPJPE mm",
        ("MPJPE",),
        {"Random": (108.5,), "CRRL": (104.9,), "ISC": (144.2,), "CMD": (145.0,), "PCM³": (101.7,)},
        (replace(PREDICTION, published=("MPJPE",)),),
        {"CRRL": CRRL, "ISC": ISC, "CMD": CMD, "PCM³": OURS},
        all_parts="domain",
        untrained="Random",
    ),
    "table7": PaperTable(
        "What contrast and masked prediction give each other",
        ("recognition %", "retrieval %", "occlusion %", "detection mAP_a %", "prediction mm"),
        {
            "masked prediction": (14.7, 64.4, 11.7, 47.0, 102.8),
            "contrastive learning": (87.3, 84.5, 76.6, 58.4, 147.3),
            "multi-task": (87.5, 85.1, 77.4, 59.7, 103.9),
            "PCM³": (90.4, 88.8, 87.0, 61.8, 101.7),
        },
        (
            replace(RECOGNITION, published=("recognition %",)),
            replace(RETRIEVAL, published=("retrieval %",)),
            Column("spatial occlusion %", "occlusion", "top1_spatial", published=("occlusion %",)),
            replace(DETECTION, published=("detection mAP_a %",)),
            replace(PREDICTION, published=("prediction mm",)),
        ),
        {
            "masked prediction": Variant({**ALONE, "objective.positives": []}),
            "contrastive learning": Variant(
                {**ALONE, "objective.positives": ["intra", "inter"], "objective.prediction_weight": 0.0}
            ),
            "multi-task": Variant({**ALONE, "objective.positives": ["intra", "inter"]}),
            "PCM³": OURS,
        },
        all_parts="both",
    ),
    "table8": PaperTable(
        "Positive views and distillation, without prompts",
        ("recognition %",),
        {
            "intra": (84.7,), "intra, inter": (87.5,), "intra, inter, distillation": (88.2,),
            "intra, inter, predicted, distillation": (89.7,), "intra, inter, masked, distillation": (89.3,),
            "all, distillation": (90.0,),
        },
        (replace(RECOGNITION, published=("recognition %",)),),
        {
            "intra": _positives("intra", distillation=False),
            "intra, inter": _positives("intra", "inter", distillation=False),
            "intra, inter, distillation": _positives("intra", "inter"),
            "intra, inter, predicted, distillation": _positives("intra", "inter", "predict"),
            "intra, inter, masked, distillation": _positives("intra", "inter", "mask"),
            "all, distillation": _positives("intra", "inter", "mask", "predict"),
        },
        all_parts="both",
    ),
    "table9": PaperTable(
        "Prompts",
        ("recognition %", "detection mAP_a %"),
        {"none": (90.0, 60.8), "domain": (90.3, 61.0), "domain and task": (90.4, 61.3)},
        (replace(RECOGNITION, published=("recognition %",)), replace(DETECTION, published=("detection mAP_a %",))),
        {
            "none": Variant({"prompts.kind": "none"}), "domain": Variant({"prompts.kind": "domain"}),
            "domain and task": Variant({"prompts.kind": "both"}),
        },
        all_parts="both",
    ),
    "table10": PaperTable(
        "Masks",
        ("recognition %",),
        {
            **{f"parts, {ratio} %": (of,) for ratio, of in ((20, 89.8), (40, 90.2), (60, 90.4), (80, 90.1))},
            **{f"joints, {ratio} %": (of,) for ratio, of in ((20, 89.0), (40, 89.5), (60, 89.7), (80, 89.5))},
        },
        (replace(RECOGNITION, published=("recognition %",)),),
        {
            **{f"parts, {ratio} %": Variant({"mask.ratio": ratio / 100}) for ratio in (20, 40, 60, 80)},
            **{
                f"joints, {ratio} %": Variant({"mask.ratio": ratio / 100, "mask.kind": "random"})
                for ratio in (20, 40, 60, 80)
            },
        },
        all_parts="both",
    ),
    "recipe": PaperTable(
        "Some hundred clips and some minutes (not of the paper)",
        (),
        {},
        (
            RECOGNITION,
            RETRIEVAL,
            Column("10 % of the labels (global) %", "semi", "top1_10pc_global"),
            Column("10 % of the labels (stratified) %", "semi", "top1_10pc_stratified"),
        ),
        {"as the preset": OURS, "as the paper, as wide": Variant(PAPER)},
    ),
    "precision": PaperTable(
        "Half of a float's bits (not of the paper)",
        (),
        {},
        (RECOGNITION, RETRIEVAL),
        {"float32": Variant({"precision": "32"}), "bfloat16": Variant({"precision": "bf16"})},
    ),
}  # fmt: skip
"""By name. Table 8's check marks are read so that the text of §4.4 holds;"""


def published_columns() -> list[Published]:
    """Columns whose order rows can be held to: of the paper's tables, NTU RGB+D 60 xsub.

    Methods that stand in the paper with three streams alone are a column of their own.
    """
    asked = (
        ("table1", "NTU 60 xsub", False, "linear"), ("table1", "NTU 60 xsub", True, "linear"),
        ("table3", "NTU 60 xsub", False, "retrieval"),
        ("table4", "spatial xsub", False, "occlusion-cached_top1_spatial"),
        ("table4", "temporal xsub", False, "occlusion-cached_top1_temporal"),
    )  # fmt: skip
    columns = []
    for name, head, streams, metric in asked:
        table = TABLES[name]
        at = table.heads.index(head)
        values = {
            variant.preset or "pcm3": figure
            for row, variant in table.variants.items()
            if variant.streams == streams and (figure := table.published[row][at]) is not None
        }
        words = ", three streams (one here)" if streams else ""
        columns.append(Published(f"Table {name[-1]}{words}, {head}", metric, values))
    return columns
