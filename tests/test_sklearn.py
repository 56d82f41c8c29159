"""`pcm3.sklearn`: estimators that keep scikit-learn's contract with lists of clips, and give what `pcm3.load` gives."""

import pickle
import pickletools

import numpy as np
import pytest
from forks import said_by
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks
from upright_people import standing

import pcm3
from pcm3.encoders.files import save_encoder
from pcm3.encoders.spec import EncoderSpec
from pcm3.errors import CheckpointError, ConfigError, DataError
from pcm3.skeleton import load_layout
from pcm3.sklearn import MotionClassifier, MotionEncoder, as_clips

KINECT1 = load_layout("kinect_v1")
V = len(KINECT1.joints)

PASSED = (
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_estimator_tags_renamed",
    "check_estimators_unfitted",
    "check_get_params_invariance",
    "check_mixin_order",
    "check_n_features_in_after_fitting",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_set_output_transform",
    "check_set_params",
    "check_valid_tag_types",
)
"""scikit-learn's own checks that need no table, as docs/PYTHON.md lists them. The others make tables of numbers, which
are no motion; what they promise is tested below, with clips."""


class Frame:
    """What sktime gives for a clip: a data frame, rows the times, columns the channels."""

    def __init__(self, values):
        self.values, self.columns = values, range(values.shape[1])

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)


@pytest.fixture(scope="module")
def model_path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "model"
    spec = EncoderSpec(
        KINECT1, 1, 6, 1, "causal", "mean", "joint", frames=16, fps=30.0, normalised=True, rule="upright"
    )
    save_encoder(folder, spec.build(3), spec)
    return str(folder)


def people(count=12):
    """Clips of two kinds: those of odd numbers rise."""
    made = [standing(k, 30 + k, 0.3 * k, KINECT1)[:, 0].astype(np.float32) for k in range(count)]
    for clip in made[1::2]:
        clip[:, :, 1] += np.linspace(0, 1, len(clip), dtype=np.float32)[:, None]
    return made


CLIPS = people()
LABELS = np.array([10, 9] * 6)
PEOPLE = np.repeat([0, 1, 2], 4)


@pytest.mark.parametrize("check", PASSED)
@pytest.mark.parametrize("estimator", [MotionEncoder(), MotionClassifier()], ids=["encoder", "classifier"])
def test_scikit_learns_own_checks(check, estimator):
    getattr(estimator_checks, check)(type(estimator).__name__, estimator)


def test_wrong_values_are_told_by_fit_and_not_before(tmp_path):
    script = tmp_path / "check.py"  # elsewhere: in this process beartype looks at what constructors are given
    script.write_text(
        "from sklearn.utils.estimator_checks import check_do_not_raise_errors_in_init_or_set_params as check\n"
        "from pcm3.sklearn import MotionClassifier, MotionEncoder\n"
        "for kind in (MotionEncoder, MotionClassifier): check(kind.__name__, kind())\n"
    )
    assert said_by(script, tmp_path / "told") == []


def test_every_form_of_clips_is_the_same_clips():
    channels = [clip.reshape(len(clip), -1).T for clip in CLIPS]
    for form in (CLIPS, channels, [Frame(table.T) for table in channels], [clip.tolist() for clip in CLIPS]):
        assert all(np.array_equal(mine, clip) for mine, clip in zip(as_clips(form, V), CLIPS, strict=True))
    equal = np.stack([clip[:30] for clip in CLIPS])
    aeon = equal.reshape(len(equal), 30, -1).transpose(0, 2, 1)
    for form in (equal, aeon, list(aeon)):
        assert np.array_equal(as_clips(form, V), equal)
    assert as_clips(equal[:, :, None], V)[0].shape == (30, 1, V, 3)


@pytest.mark.parametrize(
    ("cases", "message"),
    [
        ([], "X: expected a list of clips, got none"),
        ([np.zeros((30, 59))], r"X\[0\]: expected 60 rows \(n_channels, n_timepoints\).* got 30"),
        ([Frame(np.zeros((30, 59)))], r"X\[0\]: expected 60 columns.* got 59"),
        ([np.zeros((30, 17, 3))], r"X\[0\]: expected a clip \(T, 20, 3\).* got \(30, 17, 3\): name its layout"),
        ([["a"]], r"X\[0\]: expected an array of numbers"),
    ],
)
def test_what_is_no_clip_is_told_in_one_line(cases, message):
    with pytest.raises(DataError, match=message):
        as_clips(cases, V)


def test_features_are_those_of_the_model(model_path):
    encoder = MotionEncoder(model_path, up="y")
    features = encoder.fit_transform(CLIPS)
    np.testing.assert_array_equal(features, pcm3.load(model_path).embed(CLIPS, up="y"))
    assert list(encoder.get_feature_names_out()[:2]) == ["motionencoder0", "motionencoder1"]
    assert len(encoder.get_feature_names_out()) == features.shape[1]


@pytest.mark.parametrize("up", [None, "y"])
def test_a_clips_feature_depends_on_no_other_and_on_no_order(model_path, up):
    encoder = MotionEncoder(model_path, up=up).fit(CLIPS)
    features = encoder.transform(CLIPS)
    np.testing.assert_allclose([encoder.transform([clip])[0] for clip in CLIPS], features, atol=1e-6)
    np.testing.assert_allclose(encoder.transform(CLIPS[::-1])[::-1], features, atol=1e-6)


def test_fit_changes_neither_parameters_nor_clips_and_again_comes_to_the_same(model_path):
    classifier, before = MotionClassifier(model_path, epochs=3), [clip.copy() for clip in CLIPS]
    told = classifier.get_params()
    assert classifier.fit(CLIPS, LABELS) is classifier
    first = classifier.predict_proba(CLIPS)
    held = set(vars(classifier))
    assert classifier.get_params() == told
    np.testing.assert_array_equal(classifier.fit(CLIPS, LABELS).predict_proba(CLIPS), first)
    assert set(vars(classifier)) == held
    assert all(np.array_equal(a, b) for a, b in zip(CLIPS, before, strict=True))
    np.testing.assert_array_equal(clone(classifier).fit(CLIPS, LABELS).predict_proba(CLIPS), first)


@pytest.mark.parametrize("labels", [LABELS, np.where(LABELS == 10, "sit", "rise"), LABELS == 10])
@pytest.mark.parametrize("kind", ["nearest", pytest.param("linear", marks=pytest.mark.soak)])  # both are scored below
def test_a_classifier_tells_the_classes_it_was_given(model_path, kind, labels):
    classifier = MotionClassifier(model_path, kind=kind, epochs=30).fit(CLIPS, labels)
    assert classifier.classes_.tolist() == sorted(set(labels.tolist()))
    shares = classifier.predict_proba(CLIPS)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(classifier.classes_[shares.argmax(axis=1)], classifier.predict(CLIPS))
    assert classifier.predict(CLIPS).dtype == labels.dtype
    assert classifier.score(CLIPS, labels) == np.mean(classifier.predict(CLIPS) == labels)
    if kind == "nearest":
        assert classifier.score(CLIPS, labels) == 1


def test_up_is_found_in_fit_and_kept_for_clips_that_tell_another(model_path):
    encoder = MotionEncoder(model_path).fit(CLIPS)
    lying = [np.asarray(CLIPS[0])[..., [0, 2, 1]] * np.array([1, -1, 1], np.float32)]
    kept = encoder.transform(lying)
    np.testing.assert_array_equal(kept, encoder.model_.embed(lying, up=encoder.up_))
    assert np.abs(kept - encoder.model_.embed(lying)).max() > 1e-3


def test_more_than_ten_classes_keep_their_order(model_path):
    labels = np.arange(12)  # as words, 10 would come before 2
    classifier = MotionClassifier(model_path, kind="nearest").fit(CLIPS, labels)
    np.testing.assert_array_equal(classifier.predict(CLIPS), labels)


def test_they_work_in_pipelines_searches_and_cross_validation_over_people(model_path):
    pipeline = make_pipeline(MotionEncoder(model_path), StandardScaler(), LogisticRegression())
    groups = GroupKFold(3)
    assert len(cross_val_score(pipeline, CLIPS, LABELS, groups=PEOPLE, cv=groups)) == 3
    search = GridSearchCV(MotionClassifier(model_path, epochs=2), {"kind": ["linear", "nearest"]}, cv=groups)
    search.fit(CLIPS, LABELS, groups=PEOPLE)
    assert search.best_params_["kind"] in ("linear", "nearest")
    assert search.predict(CLIPS[:2]).shape == (2,)
    assert cross_val_score(clone(search.best_estimator_), CLIPS, LABELS, groups=PEOPLE, cv=groups).shape == (3,)


@pytest.mark.parametrize("kind", ["linear", "nearest"])
def test_a_pickle_holds_numbers_and_no_code_of_torch(model_path, kind):
    classifier = MotionClassifier(model_path, kind=kind, epochs=2).fit(CLIPS, LABELS)
    data = pickle.dumps(classifier)
    again = pickle.loads(data)
    np.testing.assert_array_equal(again.predict_proba(CLIPS), classifier.predict_proba(CLIPS))
    named = {word for op, word, _ in pickletools.genops(data) if isinstance(word, str) and "UNICODE" in op.name}
    assert {"pcm3.sklearn", "MotionClassifier", "model.safetensors"} <= named
    assert not {word for word in named if word.split(".")[0] in ("torch", "builtins") or word.startswith("pcm3.enc")}
    assert pickle.loads(pickle.dumps(MotionEncoder(model_path))).get_params() == MotionEncoder(model_path).get_params()


def test_where_there_is_no_model_fit_pretrains_one():
    encoder = MotionEncoder(None, layout="kinect_v1", steps=2, seed=1)
    features = encoder.fit_transform(CLIPS)
    assert features.shape == (12, encoder.model_.width)
    assert encoder.model_.spec.provenance.step == 2
    assert encoder.model_.spec.layout == KINECT1
    with pytest.raises(ConfigError, match="layout: expected that of the skeletons"):
        MotionEncoder(None).fit(CLIPS)


def test_what_does_not_fit_is_told_in_one_line(model_path, tmp_path):
    with pytest.raises(NotFittedError):
        MotionEncoder(model_path).transform(CLIPS)
    with pytest.raises(CheckpointError, match="nothing is there"):
        MotionEncoder(tmp_path / "none").fit(CLIPS)
    with pytest.raises(DataError, match="y: expected a class for each of the 12 clips, got 11"):
        MotionClassifier(model_path).fit(CLIPS, LABELS[1:])
    with pytest.raises(DataError, match="at least two classes"):
        MotionClassifier(model_path).fit(CLIPS, np.zeros(12))
