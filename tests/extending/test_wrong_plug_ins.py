"""A file that cannot be a plug-in is refused with what to do, and has no effect on other plug-ins."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from conftest import TINY, CommandResult
from test_every_kind import GET as BY_NAME

from last import tasks
from last.data.loading import added_streams, augmentations
from last.data.preparation import readers
from last.data.preparation.formats import Source, get_reader, list_formats
from last.deploy import backends
from last.deploy.backends import get_backend, list_backends
from last.distillation import methods
from last.distillation.methods import list_methods
from last.evaluation import clip_metrics
from last.evaluation.clip_metrics import get_metric, list_metrics
from last.models import families
from last.models.registry import list_families
from last.settings.run import RunConfig
from last.skeleton import load_layout
from last.tasks.measures import refuse_taken_names
from last.tasks.recipe import list_tasks
from last.training import optimizers
from last.utils.errors import UserError

PlugIn = Callable[[ModuleType, Path], None]
GET = BY_NAME | {
    readers: lambda name: get_reader(name, Source(load_layout("ntu25"), 2, ("wave",))),
    backends: get_backend,
}
GETTERS = [get for package, get in GET.items() if package is not readers] + [get_reader]
TAKEN = {
    added_streams: ["joint", "velocity", "bone"],
    families: ["last_e", "last_v2"],
    methods: ["kl", "dkd", "features", "attention"],
    clip_metrics: ["top1", "top5", "loss", "epoch"],
    tasks: ["classification"],
    backends: ["both"],
}
LISTS = {families: list_families, methods: list_methods, clip_metrics: list_metrics, tasks: list_tasks}
LISTS |= {backends: list_backends, readers: list_formats}
METRIC = 'from last.tasks.measures import Metric\nMETRIC, UNUSABLE = Metric("{name}", "mine"), 0.0\n'
METRIC += "def values(scores, labels, settings): return scores[:, 0]\n"


def named(package: ModuleType) -> str:
    return package.__name__.rpartition(".")[2]


def written(plug_in: PlugIn, package: ModuleType, folder: Path, name: str, content: str = "") -> None:
    (folder / f"{name}.py").write_text(content)
    plug_in(package, folder / f"{name}.py")


@pytest.mark.parametrize(("package", "name"), [(package, name) for package, names in TAKEN.items() for name in names])
def test_a_file_with_a_name_that_is_taken_is_refused_wherever_its_kind_is_chosen(
    package: ModuleType, name: str, plug_in: PlugIn, tmp_path: Path
) -> None:
    written(plug_in, package, tmp_path, name)
    written(plug_in, package, tmp_path, "of_mine")
    for chosen in (name, "of_mine"):
        with pytest.raises(UserError, match=rf"{name}\.py.* name .*Rename the file"):
            GET[package](chosen)


@pytest.mark.parametrize("package", LISTS, ids=named)
def test_every_name_is_listed_once(package: ModuleType, plug_in: PlugIn, tmp_path: Path) -> None:
    for name in (*TAKEN.get(package, []), "of_mine"):
        written(plug_in, package, tmp_path, name)
    names = LISTS[package]()
    assert len(names) == len(set(names))
    assert "of_mine" in names


def test_a_taken_name_of_a_file_is_refused_before_a_run_begins(
    plug_in: PlugIn, tiny_config: Callable[..., RunConfig], tmp_path: Path
) -> None:
    written(plug_in, tasks, tmp_path, "classification")
    with pytest.raises(UserError, match=r"classification\.py has the name of a built-in task\. Rename the file"):
        tiny_config()


def test_export_to_both_refuses_a_backend_of_that_name(
    plug_in: PlugIn, cli: Callable[..., CommandResult], teacher: Path, tmp_path: Path
) -> None:
    written(plug_in, backends, tmp_path, "both")
    done = cli("export", "--checkpoint", teacher, "--out", tmp_path / "files")
    assert (done.code, "Rename the file" in done.err) == (2, True)


def test_a_metric_has_no_name_of_a_column_of_losses(plug_in: PlugIn, tmp_path: Path) -> None:
    written(plug_in, clip_metrics, tmp_path, "labels_loss", METRIC.format(name="labels_loss"))
    with pytest.raises(UserError, match=r"labels_loss\.py: a metric cannot have the name 'labels_loss'"):
        get_metric("labels_loss")


@pytest.mark.parametrize("names", [["mse", "loss"], ["epoch"], ["hidden_loss"], ["mse", "mse"]])
def test_the_metrics_of_a_task_have_names_of_their_own(names: list[str]) -> None:
    with pytest.raises(UserError, match=r"The task mine: .*Rename"):
        refuse_taken_names(names, "The task mine")


FAULTS = {
    "def augment(:": r"cannot be imported \(SyntaxError: .*line 1",
    "\nimport nosuch_package": r"cannot be imported \(ModuleNotFoundError: No module named 'nosuch_package', line 2\)",
    "raise KeyError('mine')": r"cannot be imported \(KeyError: 'mine', line 1\)",
    "raise ValueError": r"cannot be imported \(ValueError:, line 1\)",
    "raise SystemExit(3)": r"cannot be imported \(SystemExit: 3, line 1\)",
    "x = 1": r"has no `\w+`, ",
    "Settings = 3": "has `Settings` that is not a dataclass",
    "class Settings:\n    share: float = 0.5": "has `Settings` that is not a dataclass",
    "import dataclasses\n@dataclasses.dataclass\nclass Settings:\n    share: float": "without a default of share",
    "import dataclasses\n@dataclasses.dataclass\nclass Settings:\n    share: 'Share' = 1": "annotations cannot be read",
}
LACKS = {
    readers: {"Reader": "3"},
    augmentations: {"augment": "'hide'"},
    added_streams: {"derive": "None"},
    families: {"Config": "dict", "Model": "object"},
    optimizers: {"build": "1"},
    methods: {"COMPARES": "'logit'", "USES_LABELS": "0", "loss": "0.0"},
    clip_metrics: {"METRIC": "'mine'", "UNUSABLE": "None", "values": "[]"},
    tasks: {"Recipe": "object"},
    backends: {"SUFFIXES": "()", "WRITES": "'onnx'", "RUNS": "None", "convert": "1", "open_file": "1"},
}


@pytest.mark.parametrize("content", FAULTS)
@pytest.mark.parametrize("package", GET, ids=named)
def test_a_faulty_file_is_named_with_its_fault_and_the_document(
    package: ModuleType, content: str, plug_in: PlugIn, tmp_path: Path
) -> None:
    written(plug_in, package, tmp_path, "of_mine", content)
    with pytest.raises(
        UserError, match=rf"of_mine\.py .*{FAULTS[content]}.*docs/extending\.md shows what an? .* needs"
    ):
        GET[package]("of_mine")


@pytest.mark.parametrize(("package", "name"), [(package, name) for package, wrong in LACKS.items() for name in wrong])
def test_what_a_file_lacks_is_named_and_so_is_what_it_has_in_a_wrong_form(
    package: ModuleType, name: str, plug_in: PlugIn, tmp_path: Path
) -> None:
    written(plug_in, package, tmp_path, "empty")
    written(plug_in, package, tmp_path, "wrong", f"{name} = {LACKS[package][name]}")
    with pytest.raises(UserError, match=rf"empty\.py .*has no `{name}`, \w"):
        GET[package]("empty")
    with pytest.raises(UserError, match=rf"wrong\.py .*has `{name}` = .*, which should be "):
        GET[package]("wrong")


def test_a_function_of_other_arguments_is_refused_where_it_is_chosen(plug_in: PlugIn, tmp_path: Path) -> None:
    written(plug_in, augmentations, tmp_path, "of_mine", "def augment(joints): return joints")
    with pytest.raises(UserError, match=r"`augment` = .*, which should be a function of \(joints, draws, settings, "):
        GET[augmentations]("of_mine")


def trained_with(
    content: str, plug_in: PlugIn, cli: Callable[..., CommandResult], data_yaml: Path, folder: Path
) -> str:
    written(
        plug_in, augmentations, folder, "of_mine", f"def augment(joints, draws, settings, layout, mask):\n    {content}"
    )
    roots = ("--data_root", data_yaml.parent / "data", "--output_root", folder / "runs")
    chosen = ("--model", "nano_e", "--dataset", data_yaml, "--set", *TINY, "data.augment.added.of_mine={}")
    return str(cli("train", *roots, *chosen).err)


@pytest.mark.parametrize(("value", "found"), [("None", "not NoneType"), ("joints[:, :2]", r"not the shape \(\d+, 2, ")])
def test_what_an_augmentation_returns_in_a_wrong_form_is_an_error_of_its_file(
    value: str, found: str, plug_in: PlugIn, cli: Callable[..., CommandResult], data_yaml: Path, tmp_path: Path
) -> None:
    error = trained_with(f"return {value}", plug_in, cli, data_yaml, tmp_path)
    assert re.search(rf"of_mine\.py: `augment` should return a tensor of the shape .*, {found}", error), error
    assert "defect" not in error


def test_an_error_in_the_function_of_a_file_names_the_file_and_its_line(
    plug_in: PlugIn, cli: Callable[..., CommandResult], data_yaml: Path, tmp_path: Path
) -> None:
    error = trained_with("return joints.no_such_method()", plug_in, cli, data_yaml, tmp_path)
    assert re.search(r"The error was raised in the augmentation .*of_mine\.py, line 2\. Mend it if that file is", error)
    assert "If it came with LAST, this is a defect of LAST" in error


def test_every_need_of_every_kind_is_tested() -> None:
    kinds = {sys.modules[get.__module__].KIND.package: sys.modules[get.__module__].KIND for get in GETTERS}
    assert {name: set(kind.needs) for name, kind in kinds.items()} == {
        package.__name__: set(wrong) for package, wrong in LACKS.items()
    }


def test_a_faulty_file_is_an_error_of_the_user_in_a_command(
    plug_in: PlugIn, cli: Callable[..., CommandResult], data_yaml: Path, tmp_path: Path
) -> None:
    written(plug_in, augmentations, tmp_path, "of_mine", "def augment(:")
    roots = ("--data_root", data_yaml.parent / "data", "--output_root", tmp_path / "runs")
    chosen = ("--model", "nano_e", "--dataset", data_yaml, "--set", "data.augment.added.of_mine={}")
    done = cli("train", *roots, *chosen)
    assert (done.code, "of_mine.py cannot be imported (SyntaxError" in done.err) == (2, True)
    assert "defect" not in done.err and "Traceback" not in done.err
