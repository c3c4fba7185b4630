"""What holds of every kind of plug-in: found by its name, imported only when used, shown in the document's table."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import pytest
import torch
from distillation_probes import taught_by
from test_document import DOCUMENT
from test_no_host_round_trips import NoReading, trainer_of

from last import tasks
from last.data.loading import added_streams, augmentations
from last.data.loading.added_streams import get_stream
from last.data.loading.augmentations import get_augmentation
from last.data.preparation import readers
from last.data.preparation.formats import list_formats
from last.deploy import backends
from last.deploy.backends import list_backends
from last.distillation import methods
from last.distillation.methods import find_method, list_methods
from last.evaluation import clip_metrics
from last.evaluation.clip_metrics import get_metric, list_metrics
from last.models import families
from last.models.registry import family_config, list_families
from last.runtime.distributed import ALONE
from last.settings.run import RunConfig
from last.tasks.recipe import get_recipe, list_tasks
from last.training import optimizers
from last.training.epoch_metrics import EpochMetrics
from last.training.optimizers import get_optimizer
from last.training.step import LocalBatch
from last.utils.errors import UserError
from last.utils.plug_ins import plug_in_names

HERE = Path(__file__).parent
KINDS: dict[ModuleType, Callable[[], Sequence[str]]] = {
    readers: list_formats,
    augmentations: lambda: plug_in_names(augmentations.__name__),
    added_streams: lambda: plug_in_names(added_streams.__name__),
    families: list_families,
    optimizers: lambda: plug_in_names(optimizers.__name__),
    methods: list_methods,
    clip_metrics: list_metrics,
    tasks: list_tasks,
    backends: list_backends,
}
GET = {
    augmentations: get_augmentation,
    added_streams: get_stream,
    families: family_config,
    optimizers: get_optimizer,
    methods: find_method,
    clip_metrics: get_metric,
    tasks: get_recipe,
}
EXAMPLES = {
    augmentations: "hidden_joints",
    added_streams: "acceleration",
    optimizers: "lion",
    methods: "similarity",
    clip_metrics: "reciprocal_rank",
}
PlugIn = Callable[[ModuleType, Path], None]


def named(package: ModuleType) -> str:
    return package.__name__.rpartition(".")[2]


@pytest.mark.parametrize("package", KINDS, ids=named)
def test_a_module_is_listed_by_its_name_and_not_imported(package: ModuleType, plug_in: PlugIn, tmp_path: Path) -> None:
    (tmp_path / "of_mine.py").write_text("raise AssertionError('imported though nothing uses it')")
    plug_in(package, tmp_path / "of_mine.py")
    assert "of_mine" in KINDS[package]()
    assert f"{package.__name__}.of_mine" not in sys.modules


@pytest.mark.parametrize("package", GET, ids=named)
def test_an_unknown_name_is_refused_with_the_names_there_are(
    package: ModuleType, plug_in: PlugIn, tmp_path: Path
) -> None:
    (tmp_path / "of_mine.py").write_text("raise AssertionError('imported though nothing uses it')")
    plug_in(package, tmp_path / "of_mine.py")
    with pytest.raises(UserError, match=r"'of_yours'.*of_mine"):
        GET[package]("of_yours")


@pytest.mark.parametrize("package", KINDS, ids=named)
def test_the_table_of_the_document_says_where_each_kind_goes(package: ModuleType) -> None:
    table = DOCUMENT.read_text(encoding="utf-8").partition("\n## ")[0]
    assert f"`src/{'/'.join(package.__name__.split('.')[1:])}/NAME.py`" in table


def test_all_of_them_together_train_without_the_host_waiting_for_the_device(
    plug_in: PlugIn, tiny_config: Callable[..., RunConfig], teacher: Path
) -> None:
    for package, name in EXAMPLES.items():
        plug_in(package, HERE / f"{name}.py")
    trainer = trainer_of(
        tiny_config(
            *("optimizer=lion", "data.augment.added.hidden_joints={}", "model.added_streams.acceleration={}"),
            *("metrics.reciprocal_rank={}", taught_by(teacher), "distillation.method=similarity"),
        )
    )
    trainer.task.train()
    metrics = EpochMetrics(torch.device("cpu"), trainer.measures, terms=len(trainer.task.terms))
    for batch in trainer.data.loader:
        with NoReading():
            streams = trainer.data.pipeline(batch, training=True)
            trainer.step(streams, batch, LocalBatch(len(batch), len(batch)), closes=True, metrics=metrics)
    figures = metrics.read(ALONE)
    assert len(figures.metrics) == 3 and figures.loss > 0


@pytest.mark.parametrize("package", [augmentations, clip_metrics], ids=named)
def test_where_there_is_none_yet_the_message_says_how_to_add_one(package: ModuleType) -> None:
    with pytest.raises(UserError, match=r"nor any other yet: docs/extending\.md shows how to add one"):
        GET[package]("of_yours")
