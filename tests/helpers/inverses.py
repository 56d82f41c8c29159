"""Joints back from bones and from motion: the inverses of `pcm3.geometry`'s streams."""


def joint_from_bone(bones, root, layout):
    """The clip whose `bone` stream is ``bones`` and whose root joint moves along ``root``, (..., T, M, C).

    What ``bones`` holds at the root joint is ignored.
    """
    joints = bones + 0.0
    joints[..., layout.root, :] = 0.0
    # Sums from every joint up to the root by doubling: after n rounds each joint holds its own 2^n nearest bones.
    ancestor = list(layout.parents)
    while any(joint != layout.root for joint in ancestor):
        joints = joints + joints[..., ancestor, :]
        ancestor = [ancestor[joint] for joint in ancestor]
    return joints + root[..., None, :]


def joint_from_motion(motions, first):
    """The clip whose `motion` stream is ``motions`` (the last frame is ignored) and that starts at ``first``."""
    return first[..., None, :, :, :] + motions.cumsum(-4) - motions
