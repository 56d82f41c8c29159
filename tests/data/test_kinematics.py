"""Rotations against scipy's; positions against a closed form."""

import numpy as np
from scipy.spatial.transform import Rotation

from pcm3.data.kinematics import about_axis, about_xyz, from_rotation_vectors, joint_positions


def test_rotations_are_scipys():
    random = np.random.default_rng(0)
    vectors = random.normal(size=(50, 3))
    vectors[0] = 0
    np.testing.assert_allclose(from_rotation_vectors(vectors), Rotation.from_rotvec(vectors).as_matrix(), atol=1e-12)
    degrees = random.uniform(-180, 180, size=(50, 3))
    np.testing.assert_allclose(
        about_xyz(degrees), Rotation.from_euler("xyz", degrees, degrees=True).as_matrix(), atol=1e-12
    )
    for axis, name in enumerate("xyz"):
        expected = Rotation.from_euler(name, degrees[:, :1], degrees=True).as_matrix()
        np.testing.assert_allclose(about_axis(axis, np.deg2rad(degrees[:, 0])), expected, atol=1e-12)


def test_a_turned_arm_carries_its_hand():
    offsets = np.array([[0.0, 0, 0], [1, 0, 0], [1, 0, 0]])
    quarter = about_axis(2, np.full(1, np.pi / 2))[0]
    rotations = np.stack([np.eye(3), quarter, np.eye(3)])[None]
    places = joint_positions(offsets, (0, 0, 1), rotations, np.array([[0.0, 0, 2]]))
    np.testing.assert_allclose(places[0], [[0, 0, 2], [1, 0, 2], [1, 1, 2]], atol=1e-12)
