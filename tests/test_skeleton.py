import pytest

from pcm3.errors import DataError
from pcm3.skeleton import PART_NAMES, layout_from_dict, layout_names, load_layout, tree_flaw

STICK = """
name = "stick"
joints = ["hip", "chest", "left_hand", "right_hand", "left_foot", "right_foot"]
mirror = [["left_hand", "right_hand"], ["left_foot", "right_foot"]]
centre = "hip"
up = ["hip", "chest"]
across = ["left_hand", "right_hand"]
[parents]
chest = "hip"
left_hand = "chest"
right_hand = "chest"
left_foot = "hip"
right_foot = "hip"
[parts]
trunk = ["hip", "chest"]
left_arm = ["left_hand"]
right_arm = ["right_hand"]
left_leg = ["left_foot"]
right_leg = ["right_foot"]
"""

# The joint numbers of METHOD, "Body parts": one arm 4 5 6 7 21 22, the other 8 9 10 11 23 24, and so on.
KINECT_V2_PARTS = [
    {0, 1, 2, 3, 20}, {4, 5, 6, 7, 21, 22}, {8, 9, 10, 11, 23, 24}, {12, 13, 14, 15}, {16, 17, 18, 19},
]  # fmt: skip

# The bones of the ST-GCN lineage as its papers print them, 1-based (joint, parent).
ST_GCN_BONES = [
    (1, 2), (2, 21), (3, 21), (4, 3), (5, 21), (6, 5), (7, 6), (8, 7), (9, 21), (10, 9), (11, 10), (12, 11),
    (13, 1), (14, 13), (15, 14), (16, 15), (17, 1), (18, 17), (19, 18), (20, 19), (21, 21), (22, 23), (23, 8), (24, 25),
    (25, 12),
]  # fmt: skip


def test_kinect_v2_is_the_skeleton_of_the_released_weights():
    layout = load_layout("kinect_v2")
    assert [set(part) for part in layout.parts] == KINECT_V2_PARTS
    assert list(layout.parents) == [parent - 1 for _, parent in ST_GCN_BONES]
    assert (layout.root, layout.centre, layout.up, layout.across) == (20, 1, (0, 1), (4, 8))


@pytest.mark.parametrize("name", layout_names())
def test_mirror_is_its_own_inverse_and_swaps_the_sides(name):
    layout = load_layout(name)
    mirrored = layout.mirrored
    assert [mirrored[joint] for joint in mirrored] == list(range(len(layout.joints)))
    for joint, other in enumerate(mirrored):
        swapped = layout.joints[joint].replace("left", "?").replace("right", "left").replace("?", "right")
        assert layout.joints[other] == swapped
        assert mirrored[layout.parents[joint]] == layout.parents[other]
    assert len(layout.parts) == len(PART_NAMES)


@pytest.mark.parametrize("name", layout_names())
def test_a_layout_survives_the_way_through_plain_data(name):
    layout = load_layout(name)
    assert layout_from_dict(layout.to_dict()) == layout


def test_a_layout_of_ones_own_is_read_by_joint_names(tmp_path):
    (tmp_path / "stick.toml").write_text(STICK)
    layout = load_layout(tmp_path / "stick.toml")
    assert layout.joints[:2] == ("hip", "chest")
    assert layout.parents == (0, 0, 1, 1, 0, 0)
    assert layout.parts == ((0, 1), (2,), (3,), (4,), (5,))
    assert layout.mirrored == (0, 1, 3, 2, 5, 4)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name =", "name", "not a TOML file"),
        ('centre = "hip"', "", "'centre' is missing"),
        ('centre = "hip"', 'centre = "hips"', "'hips' is missing"),
        ('"hip", "chest", "left_hand"', '"hip", "hip", "left_hand"', "joint names must differ"),
        ('chest = "hip"', "", "expected one root .* got 2: hip, chest"),
        ('chest = "hip"', 'chest = "hip"\nhip = "chest"', "expected one root .* got 0"),
        ('left_hand = "chest"', 'left_hand = "right_hand"\n', "circle|expected"),
        ('chest = "hip"', 'chest = "hip"\nnose = "hip"', "joints that do not exist: nose"),
        ('left_leg = ["left_foot"]', "left_leg = []", "exactly one of .* look at left_foot"),
        ('left_leg = ["left_foot"]', 'left_leg = ["left_foot", "hip"]', "look at hip"),
        ('left_leg = ["left_foot"]', "", "'left_leg' is missing"),
        ('up = ["hip", "chest"]', 'up = ["hip"]', "not a layout"),
        ('mirror = [["left_hand", "right_hand"], ', 'mirror = [["left_hand"], ', "not a layout"),
        ('["left_foot", "right_foot"]]', '["left_hand", "right_foot"]]', "joint 'left_hand' is in two mirror pairs"),
        ('["left_foot", "right_foot"]]', '["right_hand", "left_hand"]]', "joint 'left_hand' is in two mirror pairs"),
        ('["left_foot", "right_foot"]]', '["hip", "hip"]]', "mirror pairs joint 'hip' with itself"),
        ('up = ["hip", "chest"]', 'up = ["hip", "hip"]', "up goes from joint 'hip' to itself"),
        ('across = ["left_hand", "right_hand"]', 'across = ["hip", "hip"]', "across goes from joint 'hip' to itself"),
        ('across = ["left_hand", "right_hand"]', 'across = ["hip", "chest"]', "both along 'hip' and 'chest'"),
        ('across = ["left_hand", "right_hand"]', 'across = ["chest", "hip"]', "both along 'hip' and 'chest'"),
        ('"hip", "chest", "left_hand"', '"hip", "", "left_hand"', "joints: expected a name of printable"),
        ('"hip", "chest", "left_hand"', '"hip", "ch\\u001best", "left_hand"', r"printable characters, got 'ch.x1best'"),
        ('"hip", "chest", "left_hand"', '"hip", 3, "left_hand"', "joints: expected a name of printable .* got 3"),
        ('name = "stick"', "name = 3", "name: expected a name .* got 3"),
        ('name = "stick"', 'name = " "', "name: expected a name"),
        ('centre = "hip"', "centre = 0", "centre: expected the name of a joint, got 0"),
        ('centre = "hip"', 'centre = ["hip"]', "centre: expected the name of a joint"),
        ('up = ["hip", "chest"]', 'up = "hip"', "up: expected a list of 2, got 'hip'"),
        ('up = ["hip", "chest"]', "up = 1979-05-27", "up: expected a list of 2"),
        ('left_leg = ["left_foot"]', 'left_leg = "left_foot"', "parts, left_leg: expected a list, got 'left_foot'"),
        ('left_leg = ["left_foot"]', "left_leg = [1.5]", "parts, left_leg: expected the name of a joint, got 1.5"),
        ('chest = "hip"', "chest = nan", "parents: expected the name of a joint, got nan"),
        ('chest = "hip"', "chest = 1" + "0" * 5000, "not a TOML file"),
        ('up = ["hip", "chest"]', "up = " + "[" * 9000, "not a TOML file"),
    ],
)
def test_each_mistake_in_a_layout_is_one_clear_error(tmp_path, old, new, message):
    assert old in STICK
    changed = STICK.replace(old, new)
    if "circle" in message:
        changed = changed.replace('right_hand = "chest"', 'right_hand = "left_hand"')
    (tmp_path / "stick.toml").write_text(changed)
    with pytest.raises(DataError, match=message) as caught:
        load_layout(tmp_path / "stick.toml")
    assert "stick.toml" in str(caught.value)


@pytest.mark.parametrize(
    "text", ['joints = "hip"', "joints = []", "joints = {a = 1}", "joints = [[1]]", "", "parents = 3"]
)
def test_a_file_without_joints_is_one_clear_error(tmp_path, text):
    (tmp_path / "bare.toml").write_text(text)
    with pytest.raises(DataError, match=r"bare\.toml.*joints"):
        load_layout(tmp_path / "bare.toml")


ODD = [
    None,
    True,
    3,
    -1,
    2.5,
    float("nan"),
    "hip",
    "",
    [],
    [0],
    [0, 1, 2],
    [[0, 1]],
    {},
    {"a": 1},
    [None, None],
    10**30,
]


def odd_values(data):
    """(field, data) with an odd value for each field, and for one entry of each list in it."""
    for field, value in data.items():
        yield from ((field, data | {field: odd}) for odd in ODD if odd != value)
        yield field, {name: other for name, other in data.items() if name != field}
        if isinstance(value, list | tuple) and value:
            for odd in ODD:
                yield field, data | {field: [odd, *value[1:]]}
                yield field, data | {field: [*value, odd]}


def test_any_other_plain_data_is_a_layout_or_one_line_that_names_a_field(tmp_path):
    (tmp_path / "stick.toml").write_text(STICK)
    data = load_layout(tmp_path / "stick.toml").to_dict()
    known = set(data)
    for field, odd in odd_values(data):
        try:
            layout = layout_from_dict(odd, "here")
        except DataError as error:
            told = str(error)
            assert told.startswith("here: ")
            assert "\n" not in told
            assert len(told) < 400
            assert any(name in told for name in known | {"joint", "root"}), told
        else:
            assert len(layout.parents) == len(layout.joints)
            assert field not in ("parents", "parts"), (field, odd)
    for odd in ODD:
        with pytest.raises(DataError, match="here: "):
            layout_from_dict(odd, "here")


def test_a_chain_of_very_many_joints_and_a_circle_in_it_are_told_apart_quickly():
    count = 100_000
    names = [f"j{joint}" for joint in range(count)]
    chain = [max(joint - 1, 0) for joint in range(count)]
    assert tree_flaw(chain, names) == ""
    assert tree_flaw([*chain[:500], count - 1, *chain[501:]], names) == "parents form a circle at joint 'j500'"


def test_an_unknown_layout_is_answered_with_those_there_are(tmp_path):
    with pytest.raises(DataError, match=r"kinect_v1, kinect_v2.*got 'kinect'"):
        load_layout("kinect")
    with pytest.raises(DataError, match="file that exists"):
        load_layout(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="UTF-8"):
        load_layout(tmp_path / "latin.toml")
