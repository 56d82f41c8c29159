"""Retrieval: each test clip gets the label of the nearest training clip, and k nearest ones (PCM³ Table 3)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from pcm3.clips import ClipBank, ClipEncoder, extract, frozen
from pcm3.errors import ConfigError
from pcm3.settings.tasks import RetrievalSettings
from pcm3.tasks.classifier import ClassifierResult, LabelledClips
from pcm3.tasks.compression import fit_autoencoder
from pcm3.tasks.head_files import HeadFile, weights_checksum
from pcm3.tasks.nearest import Neighbours, nearest, ranked

How = Literal["exact", "ann"]

TEMPERATURE = 0.07
"""Of the shares of classes that cosines are made to, as in the contrast that features are learned by (PCM³ eq. 1)."""

LINKS, EFFORT = 32, 128
"""Of the approximate index (HNSW): links of each row, and rows looked at while one is found."""


@dataclass(frozen=True, eq=False)
class NearestNeighbour:
    """The features of labelled clips, of which the nearest tells what a clip shows."""

    kind: ClassVar[str] = "nearest"
    gallery: Float[Tensor, "G D"]
    label: Int[Tensor, " G"]
    """The class of each."""
    classes: tuple[str, ...]
    """Names of the L classes."""
    settings: RetrievalSettings
    model: str
    """`weights_checksum` of the encoder whose features they are."""
    crops: int = 1
    """Crops over which a clip's feature is the mean."""

    def neighbours(self, queries: Float[Tensor, "N D"], k: int) -> Neighbours:
        """The rows of the gallery that are the nearest to these features."""
        return find_neighbours(queries, self.gallery, k, self.settings.how)

    def features(self, encoder: ClipEncoder, clips: ClipBank, indices: Int[np.ndarray, " N"]) -> Float[Tensor, "N D"]:
        """The features of clips of a bank, as a test sees them; of the encoder whose gallery this is."""
        return extract(encoder, replace(clips, crops=self.crops), indices)

    def logits(self, features: Float[Tensor, "N D"]) -> Float[Tensor, "N L"]:
        """Of each class the cosine to its nearest clip, over a temperature: the largest is the nearest of all."""
        cosines = F.normalize(features.float(), dim=1) @ F.normalize(self.gallery.float(), dim=1).T
        most = cosines.new_full((features.shape[0], len(self.classes)), -1.0)
        return most.scatter_reduce(1, self.label.expand_as(cosines), cosines, "amax") / TEMPERATURE

    def predict_proba(self, encoder: ClipEncoder, clips: Float[Tensor, "B T M V C"]) -> Float[Tensor, "B L"]:
        """The share of each class; of clips that are cropped and of the encoder's stream."""
        with frozen(encoder):
            return self.logits(encoder.embed(clips).float()).softmax(dim=1)

    def predict(self, encoder: ClipEncoder, clips: Float[Tensor, "B T M V C"]) -> Int[Tensor, " B"]:
        """The class of the nearest."""
        return self.predict_proba(encoder, clips).argmax(dim=1)

    def save(self, folder: Path) -> None:
        """Write the head into a folder."""
        tensors = {"gallery": self.gallery, "label": self.label}
        HeadFile(self.kind, self.model, asdict(self.settings), tensors, self.classes, {"crops": self.crops}).save(
            folder
        )

    @classmethod
    def of(cls, file: HeadFile, encoder: ClipEncoder) -> NearestNeighbour:
        """The head that a file holds, fitted on this encoder."""
        gallery, label, settings = file.tensors["gallery"], file.tensors["label"], RetrievalSettings(**file.settings)
        return cls(gallery, label, file.classes, settings, file.model, int(file.sizes["crops"]))


def fit_retrieval(encoder: ClipEncoder, train: LabelledClips, settings: RetrievalSettings) -> NearestNeighbour:
    """The gallery of these clips' features. The encoder stays as it is; nothing is random."""
    gallery = extract(encoder, train.bank, train.indices)
    crops = train.bank.crops
    return NearestNeighbour(gallery, train.label, train.classes, settings, weights_checksum(encoder), crops)


def score_retrieval(encoder: ClipEncoder, head: NearestNeighbour, test: LabelledClips) -> ClassifierResult:
    """1-nearest neighbour by cosine. Beside ``top1`` there is ``precision_5`` and so on, as far as there are so many
    clips in the gallery. Nothing is chosen on the test clips, so the best accuracy is the accuracy.
    """
    queries = head.features(encoder, test.bank, test.indices)
    wanted = [k for k in head.settings.precision_at if k <= len(head.gallery)]
    rows = head.neighbours(queries, max([1, *wanted])).row
    near = head.label[rows].cpu().numpy()
    metrics = {"top1": precision_at(1, near, test.labels)}
    metrics |= {f"precision_{k}": precision_at(k, near, test.labels) for k in wanted}
    if head.settings.compressed:
        metrics["top1_compressed"] = compressed_top1(head, queries, test)
    return ClassifierResult(metrics, near[:, 0])


def compressed_top1(head: NearestNeighbour, queries: Float[Tensor, "N D"], test: LabelledClips) -> float:
    """The accuracy, per cent, where features are compared by what an autoencoder of the gallery makes of them (P&C)."""
    compress = fit_autoencoder(head.gallery.float(), head.settings.compressed).compress
    with torch.no_grad():
        rows = find_neighbours(compress(queries.float()), compress(head.gallery.float()), 1, head.settings.how).row
    return precision_at(1, head.label[rows].cpu().numpy(), test.labels)


def precision_at(k: int, near: Int[np.ndarray, "Q K"], label: Int[np.ndarray, " Q"]) -> float:
    """Which share of the first `k` of the nearest has the label of the query, per cent; mean over the queries."""
    return 100 * float(np.mean(near[:, :k] == label[:, None]))


def find_neighbours(
    queries: Float[Tensor, "Q D"], gallery: Float[Tensor, "G D"], k: int, how: How = "exact"
) -> Neighbours:
    """For each query the `k` rows of the gallery with the largest cosine, the largest first.

    Of equal cosines, which are rounded to float32, the first row comes first. A feature of zeros has cosine 0.

    Args:
        queries: float, on the device on which to compute.
        gallery: float, on the same device.
        k: at least 1, at most G.
        how: `exact` compares all with all, and its result is proved; `ann` may miss neighbours, its cosines are true.

    Raises:
        ConfigError: `k` is out of range, there is no such way, or faiss is not installed.
    """
    if not 1 <= k <= len(gallery):
        raise ConfigError(f"expected 1 to {len(gallery)} neighbours, as many as there are clips to find, got {k}")
    if how not in FIND:
        raise ConfigError(f"expected a way to find neighbours ({', '.join(FIND)}), got '{how}'")
    return FIND[how](F.normalize(queries.float(), dim=1), F.normalize(gallery.float(), dim=1), k)


def _approximate(queries: Float[Tensor, "Q D"], gallery: Float[Tensor, "G D"], k: int) -> Neighbours:
    """Neighbours of unit rows that an index finds; a query for which it finds fewer than `k` is compared with all."""
    try:
        import faiss  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError as error:
        raise ConfigError("expected faiss for --how ann, which is not installed: pip install 'pcm3[ann]'") from error
    index = faiss.IndexHNSWFlat(gallery.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = index.hnsw.efSearch = max(EFFORT, 2 * k)
    index.add(gallery.cpu().numpy())
    rows = torch.from_numpy(index.search(queries.cpu().numpy(), k)[1]).to(queries.device)
    neighbours = ranked(queries, gallery, rows.clamp(min=0), k)
    few = (rows < 0).any(dim=1)
    if few.any():
        missed = nearest(queries[few], gallery, k)
        neighbours.row[few], neighbours.cosine[few] = missed.row, missed.cosine
    return neighbours


FIND = {"exact": nearest, "ann": _approximate}
"""The ways to find neighbours."""
