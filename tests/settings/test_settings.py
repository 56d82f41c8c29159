import json
from dataclasses import fields, is_dataclass, replace

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pcm3.cli.parse import parse
from pcm3.cli.pretrain import add_arguments, settings_from
from pcm3.errors import ConfigError
from pcm3.settings.encoder import EncoderSettings
from pcm3.settings.methods import METHODS
from pcm3.settings.optimiser import OptimiserSettings
from pcm3.settings.pcm3 import MaskSettings, MixSettings, ObjectiveSettings, PromptSettings
from pcm3.settings.presets import preset_file, preset_names, settings_of_preset
from pcm3.settings.pretrain import PretrainSettings, changed, flat, from_dict, to_dict
from pcm3.settings.views import ViewSettings

PRESETS = pytest.mark.parametrize("preset", preset_names())
OF_THE_RUN = {
    "threads",  # not of the method: where, how long and on what a user runs it
    "protocol", "stream", "steps", "minutes", "seed", "checkpoint_steps", "device", "devices", "nodes", "tensorboard",
    "micro_batches", "sync_batchnorm", "exclude_subjects",
}  # fmt: skip


def parsed(*words):
    """Settings of a pretrain command line, through the parser that the command uses."""
    return settings_from(parse("pretrain", "learns", add_arguments, ["store", "--run", "run", *words]))


def with_value(name, value):
    """The default settings but for one, by dotted name."""
    return changed(PretrainSettings(), {name: value})


def test_there_are_the_presets_that_the_help_names():
    pcm3 = {"paper", "released", "released-bone-motion", "small", "pcm3-small", "live"}
    others = METHODS.keys() - {"pcm3"}
    assert set(preset_names()) == pcm3 | others | {f"{name}-small" for name in others}


def test_the_small_preset_of_all_parts_is_small_with_these_parts():
    small, whole = flat(settings_of_preset("small")), flat(settings_of_preset("pcm3-small"))
    assert {name: (small[name], whole[name]) for name in small if small[name] != whole[name]} == {
        "objective.positives": (["intra"], ["intra", "inter", "mask", "predict"]),
        "objective.distillation_weight": (0.0, 1.0),
        "objective.prediction_weight": (0.0, 1.0),
        "prompts.kind": ("none", "domain"),
    }


@pytest.mark.parametrize(
    "preset",
    [
        pytest.param(name, marks=pytest.mark.soak if f"{name}-small" in preset_names() else ())
        for name in preset_names()
    ],
)
def test_every_preset_parses(preset):
    assert parsed("--preset", preset) == settings_of_preset(preset)


@PRESETS
def test_every_preset_makes_sense(preset):
    made = settings_of_preset(preset)
    made.check()
    written, usual = flat_yaml(preset), flat(PretrainSettings(method=type(made.method)()))
    for name, value in flat(made).items():
        expected = written.get(name, usual.get(name))
        assert value == (list(expected) if isinstance(expected, tuple) else expected), name


def flat_yaml(preset):
    """The values in the preset's file, by dotted name."""
    values = {}
    for name, value in yaml.safe_load(preset_file(preset).read_text(encoding="utf-8")).items():
        if isinstance(value, dict):
            values |= {f"{name}.{inner}": entry for inner, entry in value.items()}
        else:
            values[name] = value
    return values


@pytest.mark.parametrize("preset", ["released", "released-bone-motion"])
def test_released_presets_set_every_switch_explicitly(preset):
    assert set(flat(PretrainSettings())) - set(flat_yaml(preset)) == OF_THE_RUN


def test_released_is_what_the_authors_code_does():
    made = parsed("--preset", "released")
    assert made.encoder == EncoderSettings("gru", 1024, 3, "causal", "last", ["joint"], False)
    assert made.frames == 64
    assert made.method.views == ViewSettings((0.1, 1.0), 64, "either", 1.0, 0.6)
    assert made.method.mask == MaskSettings("topology", 0.6, False, "first")
    assert made.method.prompts == PromptSettings("both", "before_norm", 128, "window")
    assert made.method.objective == ObjectiveSettings(
        ["intra", "inter", "mask", "predict"], 128, False, 16384, "queue", 0.999, "online", 0.07, 0.1, 0.05, 1.0, 1.0,
        1.0, 40.0, "squared", "zero", "filled", True, "gru", 512,
    )  # fmt: skip
    optimiser = made.optimiser
    assert (optimiser.kind, optimiser.lr, optimiser.momentum) == ("sgd", 0.02, 0.9)
    assert (optimiser.weight_decay, optimiser.schedule) == (1e-4, "step")
    assert (made.batch, made.precision) == (128, "32")
    # The released script says --epochs 451 --schedule 351.
    assert (made.epochs, optimiser.drop_epochs) == (451, [351])


def test_released_bone_and_motion_differ_as_the_method_says():
    joint, other = flat(parsed("--preset", "released")), flat(parsed("--preset", "released-bone-motion"))
    assert {name: value for name, value in other.items() if value != joint[name]} == {
        "prompts.kind": "none",
        "objective.decoder_gradient": False,
        "objective.distillation_weight": 0.0,
    }


def test_paper_is_what_the_text_reads():
    made, default = flat(parsed("--preset", "paper")), flat(PretrainSettings())
    assert {name: value for name, value in made.items() if value != default[name]} == {
        "encoder.direction": "bidirectional",
        "views.spatial": "both",
        "mask.per_clip": True,
        "mask.bodies": "all",
        "prompts.place": "channels",
        "objective.prediction_error": "distance",
        "objective.predicted_view": "whole",
    }
    assert (made["epochs"], made["optimiser.drop_epochs"], made["batch"]) == (450, [350], 128)


def test_the_command_line_outranks_the_preset():
    made = parsed(
        "--preset", "released", "--encoder.hidden_size", "32", "--views.crop", "[0.3, 0.9]", "--objective.momentum=0.5"
    )
    assert (made.encoder.hidden_size, made.method.views.crop, made.method.objective.momentum) == (32, (0.3, 0.9), 0.5)
    assert made.encoder.direction == "causal"


def test_the_preset_is_small_unless_told_otherwise():
    assert parsed() == parsed("--preset", "small") == parsed("--preset=small")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--preset", "tiny"], "expected a preset"),
        (["--hiden", "3"], "did you mean --encoder.hidden_size"),
        (["--momentum", "3"], "momentum"),
        (["--encoder.direction", "sideways"], "direction"),
        (["--encoder.hidden_size", "many"], "hidden"),
        (["--objective.positives", "[intra, outer]"], "positives"),
        (["--views.crop", "[0.1]"], "crop"),
    ],
)
def test_a_word_that_is_no_setting_is_told_in_one_line(words, told):
    with pytest.raises(ConfigError, match=told) as raised:
        parsed(*words)
    assert "\n" not in str(raised.value)


def test_the_defaults_make_sense():
    PretrainSettings().check()


WRONG = [
    ("frames", 0),
    ("frames", -16),
    ("views.crop", (0.0, 1.0)),
    ("views.crop", (0.1, 1.1)),
    ("views.crop", (0.9, 0.5)),
    ("views.crop", (float("nan"), 1.0)),
    ("views.jitter_joint_ratio", -0.1),
    ("views.jitter_joint_ratio", 1.1),
    ("views.shear", -1.0),
    ("views.min_frames", 0),
    ("mask.ratio", 0.0),
    ("mask.ratio", 1.0),
    ("prompts.width", 0),
    ("prompts.width", 1025),
    ("prompts.amplitude", -0.1),
    ("objective.momentum", -0.1),
    ("objective.momentum", 1.1),
    ("objective.positives", ["intra", "intra"]),
    ("objective.queue", 0),
    ("objective.embedding", 0),
    ("objective.decoder_hidden", 0),
    ("objective.temperature", 0.0),
    ("objective.student_temperature", -0.1),
    ("objective.teacher_temperature", 0.0),
    ("objective.contrast_weight", -1.0),
    ("objective.distillation_weight", -1.0),
    ("objective.prediction_weight", -1.0),
    ("optimiser.lr", 0.0),
    ("optimiser.lr", float("nan")),
    ("optimiser.weight_decay", -1.0),
    ("batch", 1),
    ("minutes", 0.0),
    ("encoder.hidden_size", -1),
    ("encoder.layers", 0),
    ("epochs", -1),
    ("steps", 0),
    ("checkpoint_steps", 0),
    ("devices", -1),
    ("nodes", -1),
]


@pytest.mark.parametrize(("name", "value"), WRONG, ids=str)
def test_a_value_that_makes_no_sense_is_told_with_its_setting(name, value):
    made = with_value(name, value)
    with pytest.raises(ConfigError, match=rf"^setting {name}: expected .*, got "):
        made.check()


@pytest.mark.parametrize("features", [[], ["joint", "joint"], ["bone", "motion", "bone"]], ids=str)
def test_an_encoder_has_input_features_and_none_twice(features):
    told = r"^setting encoder.input_features: expected one or more of joint, bone and motion, without"
    with pytest.raises(ConfigError, match=told):
        with_value("encoder.input_features", features).check()


@pytest.mark.parametrize("name", ["stream", "encoder.input_features"])
def test_an_encoder_of_motions_needs_two_frames(name):
    value = "motion" if name == "stream" else ["motion4", "motion"]
    with pytest.raises(ConfigError, match=r"^setting frames: expected at least 2, as motion"):
        changed(PretrainSettings(), {name: value, "frames": 1}).check()


def test_cmd_needs_two_frames_for_the_motions_that_it_makes():
    run = changed(PretrainSettings(method=METHODS["cmd"].settings()), {"frames": 2})
    run.check()
    with pytest.raises(ConfigError, match=r"^setting frames: expected at least 2 for the method cmd"):
        changed(run, {"frames": 1}).check()


@pytest.mark.parametrize("kind", ["transformer", "graph"])
def test_only_the_gru_is_causal_and_the_others_share_a_feature_out_among_four(kind):
    with pytest.raises(ConfigError, match=rf"^setting encoder.direction: expected bidirectional for kind {kind}"):
        with_value("encoder.kind", kind).check()
    other = EncoderSettings(kind=kind, direction="bidirectional")
    PretrainSettings(encoder=other).check()
    with pytest.raises(ConfigError, match=rf"^setting encoder.hidden_size: expected a multiple of 2 for kind {kind}"):
        PretrainSettings(encoder=replace(other, hidden_size=201)).check()
    with_value("encoder.hidden_size", 201).check()


def test_negatives_of_the_batch_need_four_clips_a_part():
    for batch, parts, fine in ((4, 1, True), (3, 1, False), (8, 2, True), (6, 2, False), (14, 4, False)):
        made = changed(PretrainSettings(), {"batch": batch, "micro_batches": parts, "objective.negatives": "batch"})
        if fine:
            made.check()
        else:
            with pytest.raises(ConfigError, match=r"^setting batch: expected "):
                made.check()
    PretrainSettings(batch=3).check()


@pytest.mark.parametrize("name", METHODS)
def test_every_micro_batch_has_the_clips_that_the_method_needs(name):
    of = settings_of_preset(METHODS[name].preset)
    least = of.method.min_clips
    replace(of, batch=4 * least, micro_batches=4).check()
    replace(of, batch=0, micro_batches=4).check()  # chosen later
    if least > 1:
        expected = (
            rf"^setting batch: expected at least {4 * least}, {least} clips for each micro-batch, got {4 * least - 4}"
        )
        with pytest.raises(ConfigError, match=expected):
            replace(of, batch=4 * least - 4, micro_batches=4).check()
        with pytest.raises(ConfigError, match=f"^setting batch: expected at least {least}, as the method compares"):
            replace(of, batch=least - 1).check()


@pytest.mark.parametrize("name", ["aimclr", "cpm", "crossclr", "hiclr"])
def test_not_all_keys_of_a_queue_are_neighbours(name):
    of = changed(settings_of_preset(METHODS[name].preset), {"objective.queue": 9, "neighbours.nearest": 8})
    of.check()
    told = r"^setting objective.queue: expected at least 9, more than the 8 of neighbours.nearest \(.*\), got 8$"
    with pytest.raises(ConfigError, match=told):
        changed(of, {"objective.queue": 8}).check()
    with pytest.raises(ConfigError, match=r"at least 2, more than the 1 of neighbours.nearest .*, got 1$"):
        changed(of, {"objective.queue": 1, "neighbours.nearest": 1}).check()


def test_a_queue_of_fewer_keys_than_clusters_is_told_in_numbers():
    of = changed(settings_of_preset("halp-small"), {"objective.queue": 9, "hallucination.prototypes": 10})
    with pytest.raises(ConfigError, match=r"^setting objective.queue: expected at least 10, .*prototypes.*, got 9$"):
        of.check()


@pytest.mark.parametrize("name", ["gl-transformer", "h-transformer"])
def test_what_tells_motion_needs_two_frames(name):
    of = settings_of_preset(METHODS[name].preset)
    replace(of, frames=2).check()
    with pytest.raises(
        ConfigError, match=rf"^setting frames: expected at least 2 for the method {name}, which .*, got 1"
    ):
        replace(of, frames=1).check()


@pytest.mark.parametrize("name", ["devices", "nodes"])
def test_no_devices_are_told_as_such(name):
    with pytest.raises(ConfigError, match=rf"^setting {name}: expected at least 1, got 0"):
        with_value(name, 0).check()


def test_a_batch_is_shared_evenly_by_the_devices():
    with pytest.raises(ConfigError, match=r"^setting batch: expected a multiple of devices x nodes"):
        replace(PretrainSettings(), batch=128, devices=3).check()
    replace(PretrainSettings(), batch=128, devices=2, nodes=2).check()


def test_a_run_has_something_to_learn_from():
    alone = with_value("objective.prediction_weight", 0.0)
    with pytest.raises(ConfigError, match=r"^setting objective: expected a prediction_weight, or"):
        changed(alone, {"objective.positives": []}).check()
    with_value("objective.positives", []).check()
    changed(alone, {"objective.positives": ["intra"]}).check()


def test_a_task_prompt_fits_the_feature():
    for place, room in (("window", 64), ("channels", 128)):
        fitting = {"encoder.hidden_size": 64, "prompts.width": room, "prompts.place": place}
        changed(PretrainSettings(), fitting).check()
        with pytest.raises(ConfigError, match=r"^setting prompts.width: "):
            changed(PretrainSettings(), fitting | {"prompts.width": room + 1}).check()
        changed(PretrainSettings(), fitting | {"prompts.width": room + 1, "prompts.kind": "domain"}).check()


@pytest.mark.parametrize(
    ("name", "value"),
    [("optimiser.momentum", -0.5), ("optimiser.momentum", 1.5), ("optimiser.drop_epochs", [-1])],
    ids=str,
)
def test_values_of_the_optimiser_are_checked(name, value):
    with pytest.raises(ConfigError, match=name):
        with_value(name, value).check()


def test_weights_of_zero_are_nothing_to_learn_from():
    weights = ("contrast_weight", "distillation_weight", "prediction_weight")
    with pytest.raises(ConfigError, match="objective"):
        changed(PretrainSettings(), {f"objective.{name}": 0.0 for name in weights}).check()


@pytest.mark.parametrize("ratio", [0.05, 0.95])
def test_a_mask_hides_some_part_and_not_all(ratio):
    with pytest.raises(ConfigError, match=r"mask\.ratio"):
        with_value("mask.ratio", ratio).check()


@PRESETS
def test_settings_survive_json(preset):
    made = settings_of_preset(preset)
    again = from_dict(json.loads(json.dumps(to_dict(made))))
    assert again == made
    assert isinstance(again.method.views.crop, tuple)


def test_from_dict_gives_defaults_for_what_is_missing():
    assert from_dict({}) == PretrainSettings()
    assert from_dict({"views": {"shear": 0.5}}).method.views == ViewSettings(shear=0.5)


@pytest.mark.parametrize("data", [{"colour": 1}, {"views": {"colour": 1}}, {"views": 5}])
def test_from_dict_refuses_a_setting_that_does_not_exist(data):
    with pytest.raises(ConfigError, match="does not know"):
        from_dict(data)


def values_for(group):
    """Other values of the same types, for every field of a settings class."""
    entries = {}
    for entry in fields(group):
        value = getattr(group(), entry.name)
        if isinstance(value, bool):
            entries[entry.name] = st.booleans()
        elif isinstance(value, int):
            entries[entry.name] = st.integers(1, 10_000)
        elif isinstance(value, float):
            entries[entry.name] = st.floats(0, 100)
        elif entry.name == "crop":
            entries[entry.name] = st.tuples(st.floats(0, 1), st.floats(0, 1))
        elif entry.name == "drop_epochs":
            entries[entry.name] = st.lists(st.integers(1, 100))
        elif is_dataclass(value):
            entries[entry.name] = values_for(type(value))
        else:
            entries[entry.name] = st.just(value)
    return st.fixed_dictionaries(entries)


def made_of(group, values):
    """The settings class with these values; the type checks draw random numbers, which no strategy may."""
    inner = {entry.name: type(getattr(group(), entry.name)) for entry in fields(group)}
    return group(**{n: made_of(inner[n], v) if is_dataclass(inner[n]) else v for n, v in values.items()})


@settings(max_examples=30, deadline=None)
@given(values_for(PretrainSettings))
def test_from_dict_is_the_inverse_of_to_dict(values):
    made = made_of(PretrainSettings, values)
    assert from_dict(to_dict(made)) == made
    assert from_dict(json.loads(json.dumps(to_dict(made)))) == made


def test_flat_names_every_setting_once():
    names = flat(PretrainSettings())
    groups = (
        ViewSettings,
        MixSettings,
        MaskSettings,
        PromptSettings,
        ObjectiveSettings,
        OptimiserSettings,
        EncoderSettings,
    )
    alone = [
        entry.name for entry in fields(PretrainSettings) if not is_dataclass(getattr(PretrainSettings(), entry.name))
    ]
    assert len(names) == len(alone) + len(["method"]) + sum(len(fields(group)) for group in groups)
    assert names["views.crop"] == [0.1, 1.0]
