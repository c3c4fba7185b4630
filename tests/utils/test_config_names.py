"""Names of configurations and in them: texts that YAML would read otherwise, assignments, environments."""

from pathlib import Path

import pytest
from config_schema import merged, problems, written

from last.utils.config import (
    Layer,
    config_names,
    data_layer,
    detect_environment,
    file_layer,
    named_layer,
    override_layer,
    read_yaml,
    section_layer,
    to_yaml,
)
from last.utils.errors import UserError

ODD_NAMES = [
    "yes",
    "No",
    "on",
    "010",
    "0x1F",
    "1_000",
    "1:30",
    "1e3",
    "1.0",
    "007",
    ".5",
    "true",
    "null",
    "~",
    "2026-11-26",
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_name_is_the_text_that_stands_there_whatever_it_looks_like(tmp_path: Path, name: str) -> None:
    layers = [
        file_layer(written(tmp_path, f"names: [a, {name}]\nprotocols: {{{name}: {{train: [010]}}}}\n")),
        override_layer([f"names=[a, {name}]"]),
    ]
    for layer in layers:
        assert merged(layer).names == ["a", name]
    config = merged(layers[0])
    assert list(config.protocols) == [name]
    again = file_layer(written(tmp_path, to_yaml(config), "again.yaml"))
    assert merged(again) == config


@pytest.mark.parametrize("name", [name for name in ODD_NAMES if name not in ("null", "~")])
def test_a_single_name_is_its_text_too(tmp_path: Path, name: str) -> None:
    assert merged(file_layer(written(tmp_path, f"name: {name}\n"))).name == name
    assert merged(override_layer([f"name={name}"])).name == name
    section = section_layer(file_layer(written(tmp_path, f"run: {{name: {name}}}\n")), "run")
    assert merged(section).name == name


def test_a_name_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "names:\n- a\n-\n")
    assert f"{path}: names" in problems(file_layer(path))


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(b"\xef\xbb\xbfepochs: 3\n")
    assert read_yaml(path) == {"epochs": 3}


# --- --set


@pytest.mark.parametrize(
    ("assignment", "values"),
    [
        ("epochs=20", {"epochs": 20}),
        ("rate=1e-3", {"rate": 0.001}),
        ("loader.workers=4", {"loader": {"workers": 4}}),
        ("angles=[1, 2]", {"angles": [1, 2]}),
        ("loader={workers: 1, kind: fast}", {"loader": {"workers": 1, "kind": "fast"}}),
        ("name='007'", {"name": "007"}),
        ('name="a b"', {"name": "a b"}),
        ("name=a=b", {"name": "a=b"}),
        ("name=''", {"name": ""}),
        ("limit=null", {"limit": None}),
        ("limit=", {"limit": None}),
    ],
)
def test_an_assignment_is_read_as_yaml(assignment: str, values: dict[str, object]) -> None:
    assert override_layer([assignment]).values == values


def test_several_assignments_make_one_tree_and_the_last_of_a_key_wins() -> None:
    layer = override_layer(["loader.workers=1", "loader.kind=fast", "loader.workers=2"])
    assert layer.values == {"loader": {"workers": 2, "kind": "fast"}}


def test_an_empty_value_is_refused_where_one_is_needed() -> None:
    assert "--set: epochs: no value is given, and it should be a whole number" in problems(override_layer(["epochs="]))


@pytest.mark.parametrize("assignment", ["epochs", "=5", "", "loader.=1", ".workers=1", "a..b=1"])
def test_an_assignment_without_key_or_equals_sign_is_refused(assignment: str) -> None:
    with pytest.raises(UserError, match="should look like key=value"):
        override_layer([assignment])


def test_a_value_that_is_not_yaml_is_refused() -> None:
    with pytest.raises(UserError, match=r"--set 'angles=\[1': the value is not valid YAML"):
        override_layer(["angles=[1"])


# --- names


def test_the_flag_wins_over_what_the_machine_looks_like(tmp_path: Path) -> None:
    assert detect_environment("lambda", kaggle_mark=tmp_path) == "lambda"


def test_a_kaggle_machine_is_recognised_by_its_folder(tmp_path: Path) -> None:
    assert detect_environment(kaggle_mark=tmp_path) == "kaggle"


def test_any_other_machine_is_local(tmp_path: Path) -> None:
    assert detect_environment(kaggle_mark=tmp_path / "absent") == "local"


def test_a_name_cannot_lead_out_of_the_configuration_folder() -> None:
    with pytest.raises(UserError, match="There is no environment"):
        named_layer("environment", "../model/last_e_nano", "environment")


def test_a_data_set_of_ones_own_is_named_by_its_path(tmp_path: Path) -> None:
    path = written(tmp_path, "data: {name: mine}\n", "mine.yaml")
    assert data_layer(str(path)) == Layer(str(path), {"data": {"name": "mine"}})


def test_an_unknown_data_set_is_refused() -> None:
    with pytest.raises(UserError, match="There is no dataset 'nothing'"):
        data_layer("nothing")


def test_the_environments_are_the_three_of_the_manual() -> None:
    assert config_names("environment") == ["kaggle", "lambda", "local"]


@pytest.mark.parametrize(
    ("name", "data_root", "output_root"),
    [
        ("local", "./data", "./runs"),
        ("kaggle", "/kaggle/working/data", "/kaggle/working"),
        ("lambda", "/lambda/nfs/research-last/data", "/lambda/nfs/research-last/LAST-runs"),
    ],
)
def test_an_environment_knows_where_data_and_runs_lie(name: str, data_root: str, output_root: str) -> None:
    values = named_layer("environment", name, "environment").values
    assert (values["data_root"], values["output_root"]) == (data_root, output_root)
    assert set(values["hardware"]) == {
            "data_placement", "num_workers", "pin_memory", "prefetch_factor", "amp_dtype", "cpu_threads", "cuda_graphs",
            "trial_kernels", "masked_padding", "whole_step_graph",
        }  # fmt: skip
