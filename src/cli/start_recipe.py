"""The settings of the training that `start` does: suggested, given to `train`, and those of a longer one."""

import argparse
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..runs.folder import RunFolder
from ..settings.data import DataConfig
from ..settings.splits import FoldChoice
from ..utils.errors import TrainingDiverged, UserError
from ..utils.files import write_text
from ..utils.numbers import counted
from ..utils.root_folders import is_file
from .terminal import remark, table, within_a_step

if TYPE_CHECKING:
    from ..data.store.reader import Store
    from ..experiments.suggested_recipe import Suggestion


def write_recipe(
    arguments: argparse.Namespace,
    store: "Store",
    config: DataConfig,
    choice: FoldChoice | None,
    dataset: str,
    recipe: Path,
) -> None:
    """Write the recipe, unless it is there; its number of epochs follows the speed of this machine."""
    from ..data.store.fold_choice import fold_protocols
    from ..experiments.suggested_recipe import recipe_text, suggest

    if is_file(recipe):
        remark(f"  {recipe} is there already and is used as it is.")
        return
    if choice is not None:
        config = fold_protocols(config, store.clips, choice)[choice.fold - 1]
    suggested = partial(
        suggest,
        store,
        config,
        arguments.minutes,
        arguments.model,
        finetunes=arguments.finetune is not None,
        seed=arguments.seed,
    )
    found = suggested(clips_per_second=_measured_speed(store, config, dataset, suggested()))
    write_text(recipe, recipe_text(found, f"Suggested by: start {arguments.path}. It may be edited."))
    with within_a_step():
        table("recipe", ["setting", "value", "reason"], [[each.key, str(each.value), each.reason] for each in found])


def _measured_speed(store: "Store", data: DataConfig, dataset: str, draft: "Sequence[Suggestion]") -> float | None:
    """Return how many clips a training with the drafted settings processes in a second; None if it diverges at once."""
    from ..data.store.protocols import split
    from ..experiments.config import resolve
    from ..experiments.suggested_recipe import recipe_text
    from ..inspection.student_training import clips_per_second

    with tempfile.TemporaryDirectory(prefix="last-start-") as folder:
        recipe = Path(folder) / "recipe.yaml"
        write_text(recipe, recipe_text(draft, "A draft."))
        config = resolve(recipe=str(recipe), dataset=dataset)
    try:
        return clips_per_second(store, config, split(store.clips, data).train)
    except TrainingDiverged:  # the training says why
        return None


def training_options(
    arguments: argparse.Namespace, out: Path, dataset: str, store: Path, choice: FoldChoice | None
) -> tuple[object, ...]:
    """Return the options of `train` for the recipe in the folder `out`."""
    places = ("--data_root", store, "--output_root", out / "runs")
    weights = ("--init_from", arguments.finetune) if arguments.finetune else ()
    fold = ("--split_by", choice.by, "--folds", choice.folds, "--fold", choice.fold) if choice else ()
    named = ("--config", out / "recipe.yaml", "--dataset", dataset, "--seed", arguments.seed)
    return (*named, *places, *fold, *weights)


def longer_training_advice(run: RunFolder, options: Sequence[object]) -> Mapping[str, str]:
    """Return the command of a longer training by what it is for, with its minutes; none if the run is not finished."""
    from ..experiments.suggested_recipe import longer_training

    try:
        seconds = run.read_summary(("train_seconds",), ())["train_seconds"]
        epochs, repeats = (run.read_config()[key] for key in ("epochs", "repeats_per_epoch"))
    except (UserError, KeyError):
        return {}
    repeats, minutes = longer_training(epochs, repeats, seconds)
    words = shlex.join([*map(str, options), "--set", f"repeats_per_epoch={repeats}"])
    return {f"train for longer, about {counted(max(round(minutes), 1), 'minute')} on this machine": f"train {words}"}
