"""Who is who, and which random numbers belong to what: nothing depends on how much else is simulated."""

from __future__ import annotations

import numpy as np

from pcm3.data.readers.ntu import TRAIN_SUBJECTS_60, TRAIN_SUBJECTS_120
from pcm3.simulate.body import Subject, draw_subject
from pcm3.simulate.performance import Manner, draw_manner

# What a stream of random numbers is for; part of its seed, so that no two are the same.
SUBJECT, MANNER, PERFORMANCE, SETUP, RECORDING, PARTNER, PROGRAMME, SESSION, VIDEO = range(1, 10)
COMPANY = 40
"""People who know each other: numbers 1 to 40, 41 to 80 and so on."""


def random(*words: int) -> np.random.Generator:
    """The random numbers that belong to these words, the same on every machine."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))


def subject_of(seed: int, number: int) -> Subject:
    """The person with that number, from 1, among those of the seed."""
    return draw_subject(random(seed, SUBJECT, number))


def manner_of(seed: int, number: int, action: int) -> Manner:
    """How that person goes about the action of that number, from 1."""
    return draw_manner(random(seed, MANNER, number, action))


def partner_of(subject: int, rng: np.random.Generator) -> int:
    """Number of somebody else who is on the same side of xsub, be it that of NTU 60 or of NTU 120."""
    first = subject - (subject - 1) % COMPANY
    company = [
        number
        for number in range(first, first + COMPANY)
        if number != subject and splits_of(number) == splits_of(subject)
    ]
    return int(rng.choice(company))


def splits_of(subject: int) -> tuple[bool, bool]:
    """Whether the person is a training subject of xsub in NTU 60 and in NTU 120."""
    return subject in TRAIN_SUBJECTS_60, subject in TRAIN_SUBJECTS_120
