"""Arrays as 2s-AGCN, ST-GCN, CMD and AimCLR leave them: padding undone, names believed, damage told."""

import pickle
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ntu_field_forms import agcn_clip, crowd, name, write_agcn
from ntu_file_text import skeleton_text

from pcm3.data.bodies import bodies_of, choose_bodies
from pcm3.data.datasets import DATASETS, Dataset
from pcm3.data.importer import import_recordings
from pcm3.data.prepare import Recipe, prepare
from pcm3.data.protocol import split
from pcm3.data.readers import agcn, ntu
from pcm3.data.readers.class_names import class_names
from pcm3.data.readers.padding import is_padding, unpadded
from pcm3.data.recording import TEST, TRAIN, Recording
from pcm3.data.source_index import Options
from pcm3.data.store import ClipStore
from pcm3.errors import DataError
from pcm3.skeleton import load_layout

KINECT = load_layout("kinect_v2")
DRAWN = {
    name(1): crowd(1, 40),
    name(2, 3): crowd(2, 70, 1),
    name(3, 2, 2, 5): crowd(3, 57, 3, [(0, 10, 20), (1, 0, 9)]),
    name(4, 3, 3, 60): crowd(4, 300),
    name(5, 8, 1, 2): crowd(5, 35, 2, [(1, 25, 35)]),
}
RECORDINGS = {id: ntu.parse(f"{id}.skeleton", skeleton_text(drawn).encode()).frames for id, drawn in DRAWN.items()}
IDS = list(RECORDINGS)
LABELS = [0, 0, 4, 59, 1]


@pytest.fixture
def folder(written, tmp_path):
    """A copy of them, to be damaged."""
    return Path(shutil.copytree(written, tmp_path / "xsub"))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The recordings above, three for training and two for testing."""
    made = tmp_path_factory.mktemp("agcn")
    clips = [agcn_clip(recording) for recording in RECORDINGS.values()]
    names = [f"{id}.skeleton" for id in RECORDINGS]
    write_agcn(made, "train", clips[:3], names[:3], LABELS[:3])
    write_agcn(made, "val", clips[3:], names[3:], LABELS[3:])
    return made


@pytest.fixture(autouse=True)
def kind(monkeypatch):
    monkeypatch.setitem(DATASETS, "agcn", Dataset(agcn.index, fps=30.0))


def read(folder, **options):
    return agcn.index(folder, Options(**options))


def as_raw(recording):
    """What a store of the raw file holds."""
    return prepare(Recording("raw", recording), Recipe(KINECT, 2))[0].frames


def test_a_store_of_the_arrays_equals_a_store_of_the_raw_files(folder, tmp_path):
    (tmp_path / "raw").mkdir()
    for id, recording in RECORDINGS.items():
        (tmp_path / "raw" / f"{id}.skeleton").write_text(skeleton_text(recording))
    import_recordings("ntu60", tmp_path / "raw", tmp_path / "of_raw", progress=False)
    import_recordings("agcn", folder, tmp_path / "of_arrays", strict=True, progress=False)
    raw, made = ClipStore.open(tmp_path / "of_raw"), ClipStore.open(tmp_path / "of_arrays")
    assert made.normalised
    assert made.kind == "agcn"
    assert made.classes == raw.classes == class_names("ntu")[:60]
    assert sorted(made.ids) == sorted(raw.ids)
    places = [list(raw.ids).index(id) for id in made.ids]
    for field in ("label", "subject", "camera", "setup", "length"):
        np.testing.assert_array_equal(getattr(made, field), getattr(raw, field)[places])
    for index, place in enumerate(places):
        np.testing.assert_allclose(made.clip(index), raw.clip(place), atol=3e-6)
    assert set(made.protocols) == {"split", "xsub", "xview"}
    np.testing.assert_array_equal(split(made, "split")[0], [0, 1, 2])
    np.testing.assert_array_equal(made.ids[split(made, "xview")[0]], [name(3, 2, 2, 5), name(4, 3, 3, 60)])


def test_the_store_is_the_same_however_many_processes_read(folder, tmp_path):
    for workers in (1, 2):
        import_recordings("agcn", folder, tmp_path / str(workers), workers=workers, progress=False)
    assert ClipStore.open(tmp_path / "1").checksum == ClipStore.open(tmp_path / "2").checksum


@settings(max_examples=40, deadline=None)
@given(
    frames=st.integers(2, 120),
    bodies=st.integers(1, 3),
    gaps=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 100), st.integers(1, 40)), max_size=3),
    normalise=st.booleans(),
    seed=st.integers(0, 999),
)
def test_looping_is_undone_to_the_last_frame_with_a_body(frames, bodies, gaps, normalise, seed):
    recording = crowd(seed, frames, bodies, [(body % bodies, first, first + count) for body, first, count in gaps])
    chosen = choose_bodies(bodies_of(recording), 2).frames
    if not recording.any() or not chosen[:, 0].any():
        return
    clip = agcn_clip(recording, 130, normalise)
    got = unpadded(np.ascontiguousarray(clip.transpose(1, 3, 2, 0)))
    there = [chosen[:, body].any(axis=(1, 2)) for body in range(2)]
    lasts = [
        (np.flatnonzero(seen)[-1] + 1 if seen[0] else int(seen.sum())) for seen in there if seen.sum() > 1 or seen[0]
    ]
    moving = [last for last in lasts if last > 1]
    assert len(got) == (max(moving) if moving else 130)
    np.testing.assert_array_equal(got, clip.transpose(1, 3, 2, 0)[: len(got)])


def test_a_true_length_wins_and_keeps_frames_at_the_end_without_a_body(folder):
    recording = crowd(7, 50, 2, [(0, 44, 50), (1, 40, 50)])
    write_agcn(folder, "train", [agcn_clip(recording)] * 2, [name(7), name(8)], [0, 0])
    assert [len(clip.read().frames) for clip in read(folder).clips[:2]] == [44, 44]
    np.save(folder / "train_num_frame.npy", np.array([50, 400]))
    whole, cut = (clip.read().frames for clip in read(folder).clips[:2])
    np.testing.assert_allclose(whole, as_raw(recording), atol=3e-6)
    assert len(cut) == 300


@pytest.mark.parametrize(("lengths", "message"), [([20, 40], "num_frame says 20 frames, but more than padding"),
                                                  ([0, 40], "at least 1 frame, its num_frame says 0")])  # fmt: skip
def test_a_length_that_is_not_the_clips_costs_the_clip(folder, lengths, message):
    write_agcn(folder, "train", [agcn_clip(crowd(8, 40))] * 2, [name(7), name(8)], [0, 0], lengths)
    wrong, right = read(folder).clips[:2]
    assert len(right.read().frames) == 40
    with pytest.raises(DataError, match=message):
        wrong.read()


@pytest.mark.parametrize("fill", ["zeros", "the last pose", "the clip again"])
def test_all_padding_is_known_as_padding(fill):
    clip = np.zeros((50, 1, 25, 3), np.float32)
    clip[:20] = crowd(1, 20, 1)
    if fill == "the last pose":
        clip[20:] = clip[19]
    elif fill == "the clip again":
        clip[20:] = np.resize(clip[:20], (30, 1, 25, 3))
    assert is_padding(clip, 20)
    assert not is_padding(clip, 19)


def test_zeros_at_the_end_are_cut_and_gaps_stay(folder):
    recording = crowd(9, 60, 1, [(0, 20, 30)])
    clip = np.zeros((3, 300, 25, 2), np.float32)
    clip[:, :60, :, :1] = recording.transpose(3, 0, 2, 1)
    for part in ("train", "val"):
        write_agcn(folder, part, [clip], [name(1 + (part == "val"))], [0])
    index = read(folder)
    np.testing.assert_array_equal(index.clips[0].read().frames[:, :1], recording)
    assert (index.chosen, index.normalised) == (False, False)


def test_what_was_done_to_the_arrays_is_not_done_again(folder):
    centred = [agcn_clip(recording, normalise=False) for recording in RECORDINGS.values()]
    centred = [np.where(clip.any(axis=0), clip - clip[:, :, 1:2, :1], 0).astype(np.float32) for clip in centred]
    whole = read(folder)
    assert (whole.chosen, whole.normalised) == (True, True)
    write_agcn(folder, "train", centred[:3], IDS[:3], LABELS[:3])
    with pytest.raises(DataError, match="do not belong together"):
        read(folder)
    write_agcn(folder, "val", centred[3:], IDS[3:], LABELS[3:])
    index = read(folder)
    assert (index.chosen, index.normalised) == (True, False)
    for clip, recording in zip(index.clips, RECORDINGS.values(), strict=True):
        made = prepare(clip.read(), Recipe(KINECT, 2, chosen=True))[0].frames
        np.testing.assert_allclose(made, as_raw(recording)[: len(made)], atol=3e-6)


def test_a_body_that_never_moves_does_not_make_a_clip_of_one_frame():
    still = np.repeat(crowd(1, 1, 2), 300, axis=0)
    assert len(unpadded(still)) == 300
    moving = np.concatenate([np.resize(crowd(2, 40, 1), (300, 1, 25, 3)), still[:, :1]], axis=1)
    assert len(unpadded(moving)) == 40
    assert len(unpadded(still[:1])) == 1
    assert len(unpadded(np.zeros((300, 2, 25, 3), np.float32))) == 0


def test_a_recording_that_stands_still_at_its_end_keeps_its_length():
    clip = crowd(3, 300, 1)
    clip[100:] = clip[99]
    assert len(unpadded(clip)) == 300


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_joints_that_are_absent_now_and_then_do_not_hide_a_repetition(normalise, seed):
    random = np.random.default_rng(seed)
    recording = crowd(seed, 45, 2, [(1, 30, 45)] if seed % 2 else [])
    for frame, body, joint in zip(*random.integers(0, [[20], [2], [25]], (3, 9)), strict=True):
        recording[frame, body, joint] = 0
    recording[3:9, 0, 1] = 0  # the centre, too
    clip = np.ascontiguousarray(agcn_clip(recording, normalise=normalise).transpose(1, 3, 2, 0))
    assert len(unpadded(clip)) == 45


def test_frames_that_the_script_could_not_centre_are_told_and_not_taken_for_centred(folder):
    recording = crowd(3, 60, 1)
    write_agcn(folder, "train", [agcn_clip(recording)] * 3, IDS[:3], LABELS[:3])
    assert read(folder).notes == []
    recording[20:23, 0, 1] = 0
    write_agcn(folder, "train", [agcn_clip(recording)] * 3, IDS[:3], LABELS[:3])
    index = read(folder)
    assert index.notes == [agcn.UNCENTRED]
    present = index.clips[0].read().present
    assert list(np.flatnonzero(~present[:, 0, 1])) == [20, 21, 22]
    assert present[:, 0, 0].all()


def test_a_part_without_clips_is_an_empty_side_with_a_word(folder):
    np.save(folder / "train_data_joint.npy", np.zeros((0, 3, 300, 25, 2), np.float32))
    (folder / "train_label.pkl").write_bytes(pickle.dumps(([], [])))
    index = read(folder)
    assert [clip.id for clip in index.clips] == IDS[3:]
    assert "split" not in index.protocols
    assert any("train has no clip" in note for note in index.notes)


def test_arrays_in_half_and_double_precision_are_unpadded_too(folder):
    recording = crowd(11, 45, 2, [(1, 30, 45)])
    for kind in (np.float16, np.float64):
        write_agcn(folder, "train", [agcn_clip(recording).astype(kind)], [name(7)], [0])
        frames = read(folder).clips[0].read().frames
        assert len(frames) == 45
        np.testing.assert_allclose(frames, as_raw(recording), atol=3e-3)


def test_clips_resampled_to_fifty_frames_stay_fifty_with_a_word(tmp_path):
    clip = crowd(1, 50).transpose(3, 0, 2, 1)
    for part, count in (("train", 3), ("val", 2)):
        np.save(tmp_path / f"{part}_position.npy", np.stack([clip] * count))
        np.save(tmp_path / f"{part}_label.npy", np.arange(count)[:, None])
    index = read(tmp_path)
    assert [clip.id for clip in index.clips][-2:] == ["val-000000", "val-000001"]
    assert [clip.read().label for clip in index.clips] == [0, 1, 2, 0, 1]
    assert index.classes == ("0", "1", "2")
    assert len(index.clips[0].read().frames) == 50
    assert index.notes[0].startswith("The arrays have 50 frames a clip")
    assert set(index.protocols) == {"split"}


def test_val_and_test_make_two_protocols(folder):
    write_agcn(folder, "test", [agcn_clip(crowd(1, 30))], [name(9)], [0])
    index = read(folder)
    assert set(index.protocols) == {"split", "split-val", "xsub", "xview"}
    splits = {clip.id: clip.read().splits for clip in index.clips}
    assert splits[name(1)] == {"split": TRAIN, "split-val": TRAIN}
    assert splits[name(4, 3, 3, 60)] == {"split-val": TEST}
    assert splits[name(9)] == {"split": TEST}


def test_one_part_alone_is_read_and_makes_no_split(folder):
    (folder / "val_data_joint.npy").unlink()
    alone = read(folder)
    assert (len(alone.clips), set(alone.protocols)) == (3, {"xsub", "xview"})
    file = read(folder / "train_data_joint.npy")
    assert [clip.id for clip in file.clips] == [clip.id for clip in alone.clips]


def test_actions_beyond_sixty_are_ntu_120s(folder):
    write_agcn(folder, "train", [agcn_clip(crowd(1, 30))], [name(1, action=120)], [119])
    index = read(folder)
    assert index.classes == class_names("ntu")
    assert index.protocols == {"split": {"by": "side", "train": [0]}, **ntu.PROTOCOLS_120}


def test_names_and_labels_that_contradict_cost_the_clip(folder):
    clip = agcn_clip(crowd(1, 30))
    names = [name(1), name(1), "walk_1", name(2, action=3), name(3, action=121)]
    write_agcn(folder, "train", [clip] * 5, names, [0, 0, 0, 3, 120])
    index = read(folder)
    assert [clip.id for clip in index.clips] == [name(1), name(4, 3, 3, 60), name(5, 8, 1, 2)]
    reasons = [reason for _, reason in index.unusable]
    assert [
        word in reason for word, reason in zip(["taken by", "a name like", "label 2", "1 to 120"], reasons, strict=True)
    ]
    with pytest.raises(DataError, match="taken by"):
        import_recordings("agcn", folder, folder / "store", strict=True, progress=False)


@pytest.mark.parametrize("writing", [
    lambda names: pickle.dumps((names, [0.0, np.float64(1), np.int64(2)]), 2),
    lambda names: pickle.dumps([tuple(names), np.array([0, 1, 2])], 4),
    lambda names: pickle.dumps((np.array(names), np.array([[0], [1], [2]])), 5),
    lambda names: b"(" + b"(" + b"".join(b"S'%s'\n" % one.encode() for one in names) + b"l(I0\nI1\nI2\nlt.",
])  # fmt: skip
def test_labels_pickled_in_any_way_are_read(folder, writing):
    names = [name(index, action=index) for index in (1, 2, 3)]
    (folder / "train_label.pkl").write_bytes(writing(names))
    index = read(folder)
    assert [(clip.id, clip.read().label) for clip in index.clips[:3]] == list(zip(names, range(3), strict=True))


def test_names_that_are_not_different_are_not_ids(folder):
    for part, count in (("train", 3), ("val", 2)):
        (folder / f"{part}_label.pkl").write_bytes(pickle.dumps((["a", "b", "c"][:count], [0] * count)))
    assert [clip.id for clip in read(folder).clips][:3] == ["train-000000", "train-000001", "train-000002"]


def dump(file, data):
    file.write_bytes(pickle.dumps(data))


BAD = [
    ("train_data_joint.npy", lambda file: file.write_bytes(b"PK"), r"expected a \.npy file"),
    ("train_data_joint.npy", lambda file: np.save(file, np.zeros((3, 3, 9, 25))), r"joints \(N, 3, T, 25, M\)"),
    ("train_data_joint.npy", lambda file: np.save(file, np.zeros((3, 2, 9, 25, 2))), r"expected joints \(N, 3"),
    ("train_data_joint.npy", lambda file: np.save(file, np.zeros((3, 3, 9, 20, 2))), "for layout 'kinect_v2'"),
    ("train_data_joint.npy", lambda file: np.save(file, np.zeros((3, 3, 9, 25, 2), int)), "of floats"),
    ("train_data_joint.npy", lambda file: np.save(file, np.zeros((3, 3, 9, 25, 1), "f4")), "do not belong together"),
    ("train_data_joint.npy", lambda file: np.save(file, np.array([{}])), r"expected a \.npy file"),
    ("train_data_joint.npy", lambda file: np.save(file, np.zeros((3, 3, 9, 25, 2)).T.copy().T), "ascontiguousarray"),
    ("train_data.npy", lambda file: np.save(file, np.zeros(3)), "expected one file of joints for train, got"),
    ("train_label.pkl", lambda file: file.unlink(), "expected the labels of train in train_label.pkl or"),
    ("train_label.pkl", lambda file: dump(file, [1]), r"expected a pair \(names, labels\)"),
    ("train_label.pkl", lambda file: dump(file, (["a"], [1])), "expected 3 names, one a clip"),
    ("train_label.pkl", lambda file: dump(file, (["a", "b", ""], [1] * 3)), "the name of a clip"),
    ("train_label.pkl", lambda file: dump(file, (["a", "b", "\ud800"], [1] * 3)), "of a clip"),
    ("train_label.pkl", lambda file: dump(file, (["a", "b", 1], [1] * 3)), "the name of a clip"),
    ("train_label.pkl", lambda file: dump(file, (["a", "b", "c"], [1] * 2)), "expected 3 labels"),
    ("train_label.pkl", lambda file: dump(file, (["a", "b", "c"], ["1"] * 3)), "expected 3 labels"),
    ("train_label.pkl", lambda file: dump(file, (["a", "b", "c"], [0.5] * 3)), "as whole numbers"),
    ("train_label.pkl", lambda file: dump(file, (["a", "b", "c"], [-1] * 3)), "labels from 0"),
    ("train_label.pkl", lambda file: dump(file, (["a", "b", "c"], [2**31] * 3)), "labels from 0"),
    ("train_label.pkl", lambda file: dump(file, (["a", "b", "c"], [10**400] * 3)), "whole numbers"),
    ("train_label.pkl", lambda file: dump(file, (["a", "b", "c"], [np.nan] * 3)), "whole numbers"),
    ("train_label.pkl", lambda file: dump(file, print), r"refused: asks for builtins\.print"),
    ("train_num_frame.npy", lambda file: np.save(file, np.zeros(2)), "expected 3 frames, one a clip"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "change", "message"), BAD)
def test_each_mistake_is_told_in_one_line(folder, file, change, message):
    change(folder / file)
    with pytest.raises(DataError, match=message) as told:
        read(folder)
    assert "\n" not in str(told.value)


def test_a_folder_above_or_without_arrays_says_where_to_look(folder):
    with pytest.raises(DataError, match=r"import one of the folders in it \(xsub\)"):
        read(folder.parent)
    with pytest.raises(DataError, match=r"got none$"):
        read(folder / "none")
    with pytest.raises(DataError, match="expected a folder with train_data_joint"):
        read(folder / "train_label.pkl")


def test_a_joint_with_a_coordinate_that_is_none_is_absent(folder):
    joints = np.load(folder / "train_data_joint.npy", mmap_mode="r+")
    joints[1, 2, 5, 4, 0] = np.nan
    joints.flush()
    recording = read(folder).clips[1].read()
    assert not recording.frames[5, 0, 4].any()
    assert not recording.present[5, 0, 4]
    assert recording.present[5, 0].sum() == 24


@pytest.mark.soak
def test_two_thousand_damaged_folders_parse_or_are_refused(tmp_path):
    write_agcn(tmp_path, "train", [crowd(1, 12).transpose(3, 0, 2, 1)], [name(1)], [0], [12])
    whole = {file: file.read_bytes() for file in tmp_path.iterdir()}
    heads = {"train_data_joint.npy": 160, "train_num_frame.npy": 160}
    random = np.random.default_rng(5)
    outcomes = {True: 0, False: 0}
    began = time.process_time()
    for number in range(2000):
        file = list(whole)[number % 3]
        data = bytearray(whole[file])
        if number % 5 == 0:
            del data[random.integers(len(data)) :]
        for place in random.integers(0, heads.get(file.name, len(data)) + 1, random.integers(1, 5)):
            if data:
                data[min(place, len(data) - 1)] = random.integers(256)
        file.write_bytes(data)
        outcomes[_reads(tmp_path)] += 1
        file.write_bytes(whole[file])
    assert time.process_time() - began < 60
    assert min(outcomes.values()) > 20


def _reads(folder):
    """Whether the folder and all its clips can be read; what is read is finite."""
    try:
        for clip in agcn.index(folder, Options()).clips:
            assert np.isfinite(clip.read().frames).all()
    except DataError:
        return False
    return True
