"""How flags, recipes and data YAMLs make up the configuration of a run."""

import shutil
from collections.abc import Iterator
from dataclasses import asdict, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import pytest
import torch

from last.experiments.config import resolve
from last.models.registry import family_config
from last.settings.data import PREPARATION_KEYS
from last.settings.distillation import DistillationConfig
from last.settings.optimization import OptimizationSettings
from last.settings.run import RunConfig
from last.training.schedule import build_schedule
from last.utils.config import MODEL_FILES, config_folder, read_yaml, to_yaml
from last.utils.errors import UserError
from last.utils.limits import Interval, annotations_of, entry_type
from last.utils.root_folders import environment_layer
from last.utils.yaml_text import yaml_of


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text("model: {name: small_e, dropout: 0.5}\ndata: {name: nw_ucla}\nepochs: 7\n")
    return path


def test_a_missing_model_and_data_set_are_reported_together() -> None:
    with pytest.raises(UserError, match=r"Choose what to train with --model and --dataset.*nano_e.*synthetic"):
        resolve()


def test_only_the_missing_one_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Choose what to train with --dataset"):
        resolve(model="nano_e")
    (tmp_path / "half.yaml").write_text("data: {name: synthetic}")
    with pytest.raises(UserError, match="Choose what to train with --model"):
        resolve(recipe=str(tmp_path / "half.yaml"))


def test_recipe_names_model_and_data_set_and_changes_keys(recipe: Path) -> None:
    config = resolve(recipe=str(recipe))
    assert (config.model.name, config.data.name, config.data.layout, config.epochs) == (
        "small_e", "nw_ucla", "kinect20", 7,
    )  # fmt: skip
    assert config.model.dropout == 0.5  # type: ignore[attr-defined]


OF_PREPARATION = {
    "format": "coco",
    "columns": {"clip": "footage"},
    "bodies": 1,
    "fps": 10.0,
    "source_fps": 25,
    "source_layout": "ntu25",
    "layout_map": {"head": None},
    "class_map": {"wave": None},
    "source_classes": ["wave"],
    "intervals": {"window": 3.0},
}


@pytest.mark.parametrize("key", PREPARATION_KEYS)
@pytest.mark.parametrize("source", ["--set", "recipe"])
def test_a_setting_of_the_preparation_is_refused_by_a_training(key: str, source: str, tmp_path: Path) -> None:
    value = OF_PREPARATION[key]
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml_of({"data": {key: value}} if source == "recipe" else {"epochs": 7}))
    overrides = [f"data.{key}={value}".replace("None", "null")] if source == "--set" else []
    with pytest.raises(UserError) as refused:
        resolve(model="nano_e", dataset="synthetic", recipe=str(path), overrides=overrides)
    origin = str(path) if source == "recipe" else "--set"
    assert f"{origin}: data.{key}: {value!r} has no effect here, since preprocess decides it; synthetic has " in str(
        refused.value
    )


def test_a_setting_of_the_preparation_may_repeat_that_of_the_data_set(tmp_path: Path) -> None:
    bodies = resolve(model="nano_e", dataset="nw_ucla").data.bodies
    overrides = [f"data.bodies={bodies}", "data.fps=0", "data.intervals.window=0"]
    config = resolve(model="nano_e", dataset="nw_ucla", overrides=overrides)
    assert config == resolve(model="nano_e", dataset="nw_ucla")


def test_the_saved_configuration_of_a_run_holds_the_settings_of_its_preparation(tmp_path: Path) -> None:
    config = resolve(model="nano_e", dataset="nw_ucla")
    config.data.fps = 10.0
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(config))
    assert resolve(recipe=str(path)).data.fps == resolve(recipe=str(path), dataset="nw_ucla").data.fps == 10
    with pytest.raises(UserError, match=r"--set: data\.fps: 20 has no effect here.* has 10\.0\."):
        resolve(recipe=str(path), overrides=["data.fps=20"])


def test_set_beats_the_recipe_and_a_flag_beats_both(recipe: Path) -> None:
    assert resolve(recipe=str(recipe), overrides=["epochs=8"]).epochs == 8
    assert resolve(recipe=str(recipe), overrides=["epochs=8"], flags={"epochs": 9}).epochs == 9


@pytest.mark.parametrize("text", ["model: nano_e", "model: {name: nano_e}\ndata: 3", "model: [1]"])
def test_section_that_is_no_section_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(UserError, match=r"recipe\.yaml should have a section `(model|data):`"):
        resolve(recipe=str(tmp_path / "recipe.yaml"))


@pytest.mark.parametrize("text", ["data: 3", "data: [a]", "data:", "epochs: 1"])
def test_data_yaml_without_its_section_is_refused(recipe: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    for options in ({"recipe": str(recipe)}, {"model": "nano_e"}):
        with pytest.raises(UserError, match=r"mine\.yaml should have a section `data:`"):
            resolve(dataset=str(tmp_path / "mine.yaml"), **options)


@pytest.mark.parametrize(
    "setting", ["seed=99999999999999999999", "batch_size=10000000", "repeats_per_epoch=100000", "epochs=0"]
)
def test_number_that_no_run_can_have_is_refused(setting: str) -> None:
    with pytest.raises(UserError, match=setting.partition("=")[0]):
        resolve(model="nano_e", dataset="synthetic", overrides=[setting])


def test_default_yaml_has_every_training_key_with_the_value_that_the_code_has() -> None:
    written = read_yaml(config_folder() / "training" / "default.yaml")
    elsewhere = {"environment", "data_root", "output_root", "input_roots", "hardware", "model", "data", "distillation"}
    defaults = {key: value for key, value in asdict(RunConfig()).items() if key not in elsewhere}
    assert written == defaults


def test_distillation_yaml_has_every_key_with_the_value_that_the_code_has() -> None:
    written = read_yaml(config_folder() / "distillation" / "default.yaml")["distillation"]
    defaults = asdict(DistillationConfig())
    assert written.pop("alpha_of").keys() == MODEL_FILES.keys()
    assert written == {key: value for key, value in defaults.items() if key not in ("alpha_of", "fingerprints")}


def test_defaults_are_those_of_the_owners_document() -> None:
    config = resolve(model="nano_e", dataset="ntu60")
    found = [
        config.optimizer, config.momentum, config.nesterov, config.weight_decay, config.epochs, config.batch_size,
        config.input_frames, config.label_smoothing, config.grad_clip, config.gradient_accumulation_steps,
    ]  # fmt: skip
    assert found == ["sgd", 0.9, True, 0.0004, 70, 16, 64, 0.1, 1.0, 1]
    rates = (config.warmup_learning_rate, config.learning_rate, config.min_learning_rate, config.warmup_epochs)
    assert rates == (0.001, 0.01, 1e-5, 10)


# --- values that no run can have


def settings_of(config: Any) -> Iterator[tuple[str, Any]]:
    """Yield every setting of a configuration, its sections and one entry of each mapping of sections, with its type."""
    for name, annotation in annotations_of(config).items():
        if is_dataclass(section := entry_type(annotation) or annotation):
            yield from settings_of(section)
        else:
            kind = config if isinstance(config, type) else type(config)
            yield f"{kind.__name__}.{name}", annotation


def numbers_in(annotation: Any) -> Iterator[Interval]:
    """Yield the limits of each number in an annotation."""
    base, *limits = get_args(annotation) if get_origin(annotation) is Annotated else (annotation,)
    if base in (int, float):
        yield next((limit for limit in limits if isinstance(limit, Interval)), Interval())
    else:
        for part in get_args(base):
            yield from numbers_in(part)


@pytest.mark.parametrize("family", ["last_e", "last_v2"])
def test_every_number_of_a_configuration_has_a_smallest_and_a_largest_value(family: str) -> None:
    found = list(settings_of(replace(RunConfig(), model=family_config(family))))
    # All numbers of a layout are checked together, with the names of its joints, by `skeleton.check`.
    found = [(name, annotation) for name, annotation in found if not name.startswith("LayoutFile.")]
    limits = [(name, limit) for name, annotation in found for limit in numbers_in(annotation)]
    assert len(limits) > 50
    assert not [name for name, limit in limits if None in (limit.le, limit.ge if limit.gt is None else limit.gt)]


@pytest.mark.parametrize(
    ("overrides", "complaint"),
    [
        (["data.sampling.crop_min=0.9", "data.sampling.crop_max=0.5"], r"crop_min 0\.9 should be at most data\.sampl"),
        (["warmup_learning_rate=0.5"], r"warmup_learning_rate 0\.5 should be at most learning_rate, which is 0\.01"),
        (["min_learning_rate=0.5"], r"min_learning_rate 0\.5 should be at most learning_rate"),
    ],
)
def test_settings_in_the_wrong_order_are_refused(overrides: list[str], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        resolve(model="nano_e", dataset="synthetic", overrides=overrides)


def test_a_default_gives_way_to_a_lower_learning_rate() -> None:
    config = resolve(model="nano_e", dataset="synthetic", overrides=["learning_rate=1e-7", "epochs=14"])
    parameter = torch.nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.SGD([parameter], lr=config.learning_rate)
    schedule = build_schedule(optimizer, config.optimization)
    for _ in range(14):
        assert optimizer.param_groups[0]["lr"] <= 1e-7
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize("setting", ["model.name=x", "data.name=x", "model={name: base}"])
def test_a_model_or_data_set_is_not_renamed_by_the_way(setting: str) -> None:
    with pytest.raises(UserError, match=r"name: '\w+' cannot rename (nano_e|synthetic)\. Choose another one with --"):
        resolve(model="nano_e", dataset="synthetic", overrides=[setting])
    resolve(model="nano_e", dataset="synthetic", overrides=["model.name=nano_e"])


def test_settings_of_optimization_are_keys_of_the_configuration_with_their_types() -> None:
    keys, parts = annotations_of(RunConfig), annotations_of(OptimizationSettings)
    plain = {name: get_args(keys[name])[0] if get_origin(keys[name]) is Annotated else keys[name] for name in parts}
    assert plain == parts
    config = RunConfig(momentum=0.5, batch_size=3)
    assert asdict(config.optimization) == {name: getattr(config, name) for name in parts}


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"cached": True}, "distillation.cached needs distillation.fixed_augmentations"),
        ({"unlabelled": True, "method": "dkd"}, "needs a method without labels"),
        ({"teachers": ["a.pth"], "weights": [1.0, 2.0]}, "has 2 numbers for 1 teacher\\. "),
        ({"peers": 1, "teachers": ["a.pth"]}, "distillation.peers=1: networks learn from each other by the method kl"),
    ],
)
def test_settings_of_distillation_that_contradict_each_other_are_refused(
    settings: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(UserError, match=complaint):
        DistillationConfig(**settings)


def test_a_student_needs_a_weight_of_the_cross_entropy_that_is_a_share() -> None:
    with pytest.raises(UserError, match=r"no distillation.alpha between 0 and 1 for the student 'own'"):
        DistillationConfig(alpha_of={"own": 7.0}).ce_weight("own", 0, 1)


@pytest.mark.parametrize("setting", ["model.added_streams.partner=null", "model.added_streams={}"])
def test_the_recipe_sbu_trains_without_its_stream_and_the_saved_configuration_has_none(
    setting: str, tmp_path: Path
) -> None:
    assert resolve(recipe="sbu").model.added_streams == {"partner": {}}
    config = resolve(recipe="sbu", overrides=[setting])
    assert config.model.added_streams == {}
    path, model = tmp_path / "config.yaml", tmp_path / "mine.yaml"
    text = (config_folder() / "model" / "last_e_nano.yaml").read_text().replace("name: nano_e", "name: mine")
    model.write_text(f"{text}  added_streams: {{partner: {{}}}}\n")
    for given in ("nano_e", str(model)):
        path.write_text(to_yaml(resolve(recipe="sbu", model=given, overrides=[setting])))
        assert resolve(recipe=str(path), model=given) == resolve(recipe=str(path))
        assert resolve(recipe=str(path)).model.added_streams == {}


@pytest.mark.parametrize("setting", ["alpha_of.nano_e=null", "alpha_of={}", "alpha_of={mine: 0.2}"])
def test_the_saved_configuration_of_a_run_lacks_what_it_took_from_the_defaults(setting: str, tmp_path: Path) -> None:
    config = resolve(model="nano_e", dataset="synthetic", overrides=[f"distillation.{setting}"])
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(config))
    assert resolve(recipe=str(path)) == config
    again = resolve(recipe=str(path), overrides=["distillation.alpha_of.other=0.3"]).distillation.alpha_of
    assert again == {**config.distillation.alpha_of, "other": 0.3}


def test_a_protocol_that_a_data_set_got_after_a_run_is_known_where_a_flag_names_both(tmp_path: Path) -> None:
    data, path = tmp_path / "mine.yaml", tmp_path / "config.yaml"
    text = "data: {name: mine, classes: [a], protocols: {first: {test: [1]}%s}}"
    data.write_text(text % "")
    path.write_text(to_yaml(resolve(model="nano_e", dataset=str(data))))
    data.write_text(text % ", second: {test: [2]}")
    assert set(resolve(recipe=str(path), dataset=str(data)).data.protocols) == {"first", "second"}


def test_a_mapping_of_the_preparation_that_is_emptied_is_refused_like_any_other_change(tmp_path: Path) -> None:
    data = tmp_path / "mine.yaml"
    data.write_text("data: {name: mine, classes: [a], class_map: {b: a}, columns: {x: u}}")
    for setting in ("data.class_map={}", "data.columns={}", "data.columns.x=null"):
        with pytest.raises(UserError, match=r"--set: data\.(class_map|columns): \{.* has no effect here"):
            resolve(model="nano_e", dataset=str(data), overrides=[setting])


def test_an_environment_whose_input_folders_have_no_value_is_refused_also_with_a_store_beside_the_data_yaml(
    data_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(data_yaml.parent / "data" / "tiny", tmp_path / "tiny")
    beside = Path(shutil.copy(data_yaml, tmp_path))
    local = environment_layer("local")
    layer = replace(local, values={**local.values, "input_roots": None})
    monkeypatch.setattr("last.experiments.config.environment_layer", lambda _: layer)
    with pytest.raises(UserError, match="input_roots: no value is given, and it should be a list"):
        resolve(model="nano_e", dataset=str(beside))


@pytest.mark.parametrize("key", ["jitter_metres", "drift_metres"])
def test_noise_of_more_than_a_metre_is_refused_but_not_of_a_pixel(key: str) -> None:
    settings = [f"data.augment.{key}=1.5"]
    assert resolve(
        model="nano_e", dataset="ntu60", environment="local", overrides=[*settings, "data.layout=coco17_2d"]
    ).data.augment
    with pytest.raises(UserError, match=rf"data\.augment\.{key} 1\.5 should be at most 1, since .* metres"):
        resolve(model="nano_e", dataset="ntu60", environment="local", overrides=settings)
