"""Simulated subjects, and the 25 Kinect v2 joints of a pose by forward and inverse kinematics.

Frame of the stage: metres, y up, origin on the floor; a subject who does not turn faces -z, so that x grows to
his right. This is right-handed, and so is the Kinect's frame (x to the sensor's left, y up, z away from it): for a
subject who faces the camera both x axes are one, his right hand has the greater x.

A pose speaks of the acting side ("hand") and the other ("hand2"); acting is the right side here, and `mirrored`
turns the finished joints round for a left-hander. Directions in a pose are (out, up, forward), out being away from
the middle of the body.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcm3.skeleton import load_layout

Floats = NDArray[np.float64]

KINECT = load_layout("kinect_v2")
JOINT = {name: index for index, name in enumerate(KINECT.joints)}

CHANNELS = {
    "hand": 3,  # wrist from its own shoulder, in arm lengths, along the chest's axes
    "elbow": 3,  # where the elbow points, along the chest's axes
    "wrist": 1,  # bend of the hand towards the inside of the arm
    "hand2": 3,
    "elbow2": 3,
    "wrist2": 1,
    "foot": 3,  # ankle from where it stands at rest, in leg lengths
    "foot2": 3,
    "pelvis": 3,  # from where it is when standing, in leg lengths
    "lift": 1,  # the whole body off the floor, in leg lengths
    "travel": 1,  # the whole body forward, in leg lengths
    "turn": 1,  # the whole body towards the acting side
    "twist": 1,  # the chest towards the acting side, against the pelvis
    "lean": 1,  # the chest forward, the pelvis half as much
    "tilt": 1,  # the trunk towards the acting side
    "head": 3,  # nod forward, look and incline towards the acting side
}
"""What a pose consists of and how many numbers each has; angles are in radians."""

Motion = Mapping[str, Floats]
"""For each of `CHANNELS` its values over time, (T, numbers)."""

# Bones as parts of the height: a grown-up's, where the Kinect sees joints.
PROPORTIONS = {
    "thigh": 0.240,
    "shank": 0.235,
    "ankle": 0.042,  # height over the floor
    "foot": 0.080,
    "hip": 0.050,  # sideways from the middle
    "hip_drop": 0.025,
    "lower_spine": 0.155,
    "upper_spine": 0.140,
    "shoulder": 0.115,  # from the top of the spine
    "upper_arm": 0.158,
    "forearm": 0.142,
    "palm": 0.042,
    "fingers": 0.046,
    "thumb": 0.036,
    "neck": 0.042,
    "head": 0.082,
}


@dataclass(frozen=True)
class Subject:
    """A person: bone lengths (left equals right) and the habits that all of his actions share."""

    bones: Mapping[str, float]
    """Metres, the keys of `PROPORTIONS`."""
    left_handed: bool
    tempo: float
    """How long everything takes, 1 being average."""
    vigour: float
    """How far everything goes, 1 being average."""
    slouch: float
    """Radians that he leans more than others."""
    stance: float
    """Metres from the middle to each ankle."""
    toes_out: float
    """Radians."""
    restless: float
    """How much he sways and fidgets, 1 being average."""
    idle_hands: tuple[float, float]
    """In [0, 1): where his acting and his other hand like to rest."""

    @property
    def arm(self) -> float:
        """Length of the arm to the wrist, metres."""
        return self.bones["upper_arm"] + self.bones["forearm"]

    @property
    def leg(self) -> float:
        """Length of the leg to the ankle, metres."""
        return self.bones["thigh"] + self.bones["shank"]


def draw_subject(rng: np.random.Generator) -> Subject:
    """A person as they come."""
    height = float(np.clip(rng.normal(1.70, 0.10), 1.45, 1.98))
    build = rng.normal(0.0, 0.05)  # long arms come with long legs
    bones = {}
    for name, part in PROPORTIONS.items():
        limb = build if name in ("thigh", "shank", "upper_arm", "forearm") else 0.0
        bones[name] = height * part * float(np.clip(1 + limb + rng.normal(0.0, 0.05), 0.85, 1.15))
    return Subject(
        bones=bones,
        left_handed=bool(rng.random() < 0.2),
        tempo=float(np.exp(rng.normal(0.0, 0.18))),
        vigour=float(np.clip(rng.normal(1.0, 0.12), 0.75, 1.25)),
        slouch=float(rng.normal(0.04, 0.05)),
        stance=bones["hip"] + float(np.clip(rng.normal(0.03, 0.03), -0.02, 0.10)),
        toes_out=float(rng.normal(0.25, 0.12)),
        restless=float(np.exp(rng.normal(0.0, 0.3))),
        idle_hands=(float(rng.random()), float(rng.random())),
    )


def mirrored(joints: Floats) -> Floats:
    """The joints (..., 25, 3) with left and right exchanged."""
    exchanged: Floats = joints[..., KINECT.mirrored, :] * np.array([-1.0, 1.0, 1.0])
    return exchanged


def rotation(axis: int, angle: Floats) -> Floats:
    """Matrices (..., 3, 3) that turn column vectors by `angle` (...) about axis 0, 1 or 2, by the right-hand rule."""
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.zeros((*angle.shape, 3, 3))
    matrix[..., axis, axis] = 1.0
    matrix[..., i, i] = matrix[..., j, j] = np.cos(angle)
    matrix[..., j, i] = np.sin(angle)
    matrix[..., i, j] = -matrix[..., j, i]
    return matrix


def unit(vectors: Floats) -> Floats:
    """The vectors (..., 3) at length 1; a zero stays zero."""
    length: Floats = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(length, 1e-9)


def joints_of(subject: Subject, motion: Motion, *, steady: bool = False) -> Floats:
    """The joints (T, 25, 3) of a motion, acting side right, in the frame of the stage.

    Bones keep their length whatever the motion asks: a hand or foot out of reach ends on the way there. When `steady`,
    an elbow that changes sides takes a few frames for it; else it may do so from one frame to the next, where the arm
    points the way that its elbow should.
    """
    heading, pelvis, chest = _trunk_axes(subject, motion)
    moved = np.concatenate([0 * motion["lift"], motion["lift"], -motion["travel"]], axis=1) * subject.leg

    joints = np.zeros((len(moved), len(JOINT), 3))
    _trunk(subject, motion, heading, pelvis, chest, joints)
    for side, mark in ((1.0, ""), (-1.0, "2")):
        _arm(subject, motion, chest, side, mark, joints, steady=steady)
        _leg(subject, motion, heading, pelvis, side, mark, joints)
    placed: Floats = joints + moved[:, None]
    return placed


def hand_moved(subject: Subject, motion: Motion, mark: str, by: Floats) -> Floats:
    """The channel ``"hand" + mark`` (T, 3) after the wrist is moved by so much (T, 3), metres on the stage.

    An arm is no longer than it is: what is out of its reach is only pointed at.
    """
    _, _, chest = _trunk_axes(subject, motion)
    along_chest = np.einsum("tji,tj->ti", chest, by) / subject.arm
    hand = motion["hand" + mark] + _towards(-1.0 if mark else 1.0, along_chest)
    length = np.linalg.norm(hand, axis=1, keepdims=True)
    moved: Floats = hand * np.minimum(1.0, 1.02 / np.maximum(length, 1e-9))
    return moved


def _trunk_axes(subject: Subject, motion: Motion) -> tuple[Floats, Floats, Floats]:
    """Rotations (T, 3, 3) of the whole body, the pelvis and the chest."""
    angle = {name: motion[name][:, 0] for name in ("turn", "twist", "lean", "tilt")}
    heading = rotation(1, -angle["turn"])
    tilt = rotation(2, -angle["tilt"])
    chest = heading @ rotation(1, -angle["twist"]) @ rotation(0, -angle["lean"] - subject.slouch) @ tilt
    pelvis = heading @ rotation(0, -0.45 * angle["lean"]) @ tilt
    return heading, pelvis, chest


def _trunk(subject: Subject, motion: Motion, heading: Floats, pelvis: Floats, chest: Floats, joints: Floats) -> None:
    """Fills in spine, neck and head."""
    bones = subject.bones
    standing = bones["ankle"] + 0.985 * subject.leg + bones["hip_drop"]
    # Who bends forward moves his hips back, else he would fall.
    place = motion["pelvis"] - 0.22 * np.sin(motion["lean"]) * np.array([0.0, 0.0, 1.0])
    base = _turned(heading, _towards(1.0, place) * subject.leg) + np.array([0.0, standing, 0.0])
    middle = base + _turned(pelvis, np.array([0.0, bones["lower_spine"], 0.0]))
    top = middle + _turned(chest, np.array([0.0, bones["upper_spine"], 0.0]))
    neck = top + _turned(chest, bones["neck"] * unit(np.array([0.0, 1.0, -0.15])))
    nod, look, incline = motion["head"].T
    skull = chest @ rotation(1, -look) @ rotation(0, -nod) @ rotation(2, -incline)
    head = neck + _turned(skull, bones["head"] * unit(np.array([0.0, 1.0, -0.3])))
    for name, place in (
        ("spine_base", base),
        ("spine_mid", middle),
        ("spine_shoulder", top),
        ("neck", neck),
        ("head", head),
    ):
        joints[:, JOINT[name]] = place


def _arm(
    subject: Subject, motion: Motion, chest: Floats, side: float, mark: str, joints: Floats, *, steady: bool
) -> None:
    """Fills in one arm: the wrist goes where the pose wants it, the elbow follows."""
    bones, name = subject.bones, "right_" if side > 0 else "left_"
    hand, wrist_bend = motion["hand" + mark], motion["wrist" + mark]
    raised = -0.25 + 0.35 * np.clip(hand[:, 1], 0.0, 1.0)  # the shoulder comes along when the hand goes up
    collar = np.stack([side * np.cos(raised), np.sin(raised), 0 * raised], axis=1) * bones["shoulder"]
    shoulder = joints[:, JOINT["spine_shoulder"]] + _turned(chest, collar)
    pole = _turned(chest, _towards(side, motion["elbow" + mark]))
    target = shoulder + _turned(chest, _towards(side, hand)) * subject.arm
    elbow, wrist = _two_bones(shoulder, target, bones["upper_arm"], bones["forearm"], pole, steady=steady)
    forearm = unit(wrist - elbow)
    inside = -unit(pole - np.sum(pole * forearm, axis=1, keepdims=True) * forearm)
    fingers = np.cos(wrist_bend) * forearm + np.sin(wrist_bend) * inside
    up_the_thumb = np.cos(wrist_bend) * inside - np.sin(wrist_bend) * forearm
    palm = wrist + bones["palm"] * fingers
    for joint, place in (
        ("shoulder", shoulder),
        ("elbow", elbow),
        ("wrist", wrist),
        ("hand", palm),
        ("hand_tip", palm + bones["fingers"] * fingers),
        ("thumb", palm + bones["thumb"] * (0.6 * fingers + 0.8 * up_the_thumb)),
    ):
        joints[:, JOINT[name + joint]] = place


def _leg(
    subject: Subject, motion: Motion, heading: Floats, pelvis: Floats, side: float, mark: str, joints: Floats
) -> None:
    """Fills in one leg: the ankle goes where the pose wants it, the knee follows, forwards."""
    bones, name = subject.bones, "right_" if side > 0 else "left_"
    hip = joints[:, JOINT["spine_base"]] + _turned(pelvis, np.array([side * bones["hip"], -bones["hip_drop"], 0.0]))
    stand = np.array([side * subject.stance, bones["ankle"], 0.0])
    step = motion["foot" + mark]
    target = _turned(heading, stand + _towards(side, step) * subject.leg)
    toes = np.array([np.sin(subject.toes_out), 0.0, np.cos(subject.toes_out)])
    # A little upwards as well, so that a leg that is kicked forward still knows where its knee is.
    pole = _turned(heading, _towards(side, toes + np.array([0.0, 0.5, 0.0])))
    knee, ankle = _two_bones(hip, target, bones["thigh"], bones["shank"], pole)
    flat = _turned(heading, _towards(side, unit(toes - np.array([0.0, 0.35, 0.0]))))
    shank = unit(ankle - knee)
    pointed = unit(flat - 0.8 * np.sum(flat * shank, axis=1, keepdims=True) * shank)
    in_the_air = np.clip(step[:, 1:2] / 0.12, 0.0, 1.0)
    foot = ankle + bones["foot"] * unit((1 - in_the_air) * flat + in_the_air * pointed)
    for joint, place in (("hip", hip), ("knee", knee), ("ankle", ankle), ("foot", foot)):
        joints[:, JOINT[name + joint]] = place


def _two_bones(
    root: Floats, target: Floats, first: float, second: float, pole: Floats, *, steady: bool = False
) -> tuple[Floats, Floats]:
    """Middle joint and end (T, 3) of two bones from `root` to `target`, or towards it, bent towards `pole`."""
    line = target - root
    direction = unit(line)
    reach = np.linalg.norm(line, axis=1, keepdims=True)
    reach = np.clip(reach, abs(first - second) + 0.1 * first, 0.999 * (first + second))
    bend = pole - np.sum(pole * direction, axis=1, keepdims=True) * direction
    if steady:  # where the pole says little the frames around say more
        bend = _blurred(bend)
        bend = bend - np.sum(bend * direction, axis=1, keepdims=True) * direction
    bend = unit(bend)
    along = (first**2 - second**2 + reach**2) / (2 * reach)
    across = np.sqrt(np.maximum(first**2 - along**2, 0.0))
    return root + along * direction + across * bend, root + reach * direction


def _blurred(values: Floats) -> Floats:
    """The values (T, n) averaged over some frames before and after."""
    wide = np.pad(values, ((4, 4), (0, 0)), mode="edge")
    blurred: Floats = sum(part * wide[at : at + len(values)] for at, part in enumerate(_BINOMIAL))
    return blurred


_BINOMIAL = np.array([1, 8, 28, 56, 70, 56, 28, 8, 1]) / 256


def _towards(side: float, directions: Floats) -> Floats:
    """(out, up, forward) as (x, y, z) before heading, for the right side (1.0) or the left (-1.0)."""
    placed: Floats = directions * np.array([side, 1.0, -1.0])
    return placed


def _turned(matrices: Floats, vectors: Floats) -> Floats:
    """Matrices (T, 3, 3) applied to vectors (T, 3) or (3)."""
    turned: Floats = np.einsum("tij,tj->ti", matrices, np.broadcast_to(vectors, matrices.shape[:2]))
    return turned
