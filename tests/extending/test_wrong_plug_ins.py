"""A file that cannot be a plug-in is refused with what to do, and has no effect on other plug-ins."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from conftest import CommandResult

from last import tasks
from last.data.loading import added_streams, augmentations
from last.data.loading.added_streams import get_stream
from last.data.loading.augmentations import get_augmentation
from last.data.preparation import readers
from last.data.preparation.formats import Source, get_reader, list_formats
from last.deploy import backends
from last.deploy.backends import get_backend, list_backends
from last.distillation import methods
from last.distillation.methods import find_method, list_methods
from last.evaluation import clip_metrics
from last.evaluation.clip_metrics import get_metric, list_metrics
from last.models import families
from last.models.registry import family_config, list_families
from last.settings.run import RunConfig
from last.skeleton import load_layout
from last.tasks.measures import refuse_taken_names
from last.tasks.recipe import get_recipe, list_tasks
from last.training import optimizers
from last.training.optimizers import get_optimizer
from last.utils.errors import UserError

PlugIn = Callable[[ModuleType, Path], None]
GET: dict[ModuleType, Callable[[str], object]] = {
    readers: lambda name: get_reader(name, Source(load_layout("ntu25"), 2, ("wave",))),
    augmentations: get_augmentation,
    added_streams: get_stream,
    families: family_config,
    optimizers: get_optimizer,
    methods: find_method,
    clip_metrics: get_metric,
    tasks: get_recipe,
    backends: get_backend,
}
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
