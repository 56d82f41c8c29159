"""Recognition from the frozen encoder's features with the labels of few clips (`semi-frozen`).

Fine-tuning with few labels (`semi`, PCM³ Table 2) changes the encoder; this tells what its features are worth as they
are. Logistic regression, as linear probing with few labels is done elsewhere (e.g. Chen et al. 2020, SimCLR §B.8).
"""

from __future__ import annotations

import warnings

import numpy as np
from jaxtyping import Float, Int
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from pcm3.tasks.subsets import SubsetKind, labelled_subset

DRAWS = 5
"""Subsets that an accuracy is the mean of: with one clip of a class, it matters much which one it is."""
PENALTY = 0.01
"""C of scikit-learn, whose 1 is for more labels: here classes are always separable, and only the penalty decides."""
ITERATIONS = 300


def few_label_accuracy(
    train: Float[np.ndarray, "N D"],
    train_label: Int[np.ndarray, " N"],
    test: Float[np.ndarray, "Q D"],
    test_label: Int[np.ndarray, " Q"],
    share: float,
    kind: SubsetKind,
    seed: int,
) -> float:
    """Top-1 accuracy, per cent, of logistic regression that knows the labels of a share of the training features.

    The mean over `DRAWS` subsets, which the seed chooses. Features are standardised by all N training clips: that needs
    no label.

    Raises:
        ConfigError: the share or the kind of subset is none.
    """
    scaler = StandardScaler().fit(train)
    train, test = scaler.transform(train), scaler.transform(test)
    right = []
    for draw in range(DRAWS):
        known = labelled_subset(train_label, share, kind, seed * DRAWS + draw)
        right.append(np.mean(_predicted(train[known], train_label[known], test) == test_label))
    return 100 * float(np.mean(right))


def _predicted(
    known: Float[np.ndarray, "K D"], label: Int[np.ndarray, " K"], test: Float[np.ndarray, "Q D"]
) -> Int[np.ndarray, " Q"]:
    """The class of each test clip; where only one class is known, that one."""
    if (label == label[0]).all():
        return np.full(len(test), label[0])
    if known.shape[0] < known.shape[1]:
        # The weights are a sum of the K rows, so the same head is found among K coordinates, where it is quick.
        axes, _ = np.linalg.qr(known.T)
        known, test = known @ axes, test @ axes
    with warnings.catch_warnings():  # that there are nearly as many classes as clips: that is the task
        warnings.filterwarnings("ignore", message="The number of unique classes is greater than 50%")
        # Classes weigh the same: else, of classes of which one clip is known and of which two are, nearly all that is
        # tested would be of the latter, as the penalty leaves the classes' shares free and little else.
        regression = LogisticRegression(C=PENALTY, class_weight="balanced", max_iter=ITERATIONS).fit(known, label)
    predicted: Int[np.ndarray, " Q"] = regression.predict(test)
    return predicted
