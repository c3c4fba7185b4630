"""How a run gets its task, and which configuration keys of it a resumed run may change.

`task: masked_joints` is the class `Recipe` of the module `masked_joints` of this package. Where it has configuration
keys of its own, it has a dataclass `Settings`, filled from `task_settings`. Classification is not among
them: it stands above, in `training`, with distillation on top.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..utils.errors import UserError
from ..utils.plug_ins import plug_in_names, settings_from
from .measures import CLASSIFICATION

if TYPE_CHECKING:
    from torch import nn

    from ..data.loading.run_data import TrainingData
    from ..runtime.distributed import World
    from ..runtime.run_context import RunContext
    from ..settings.run import RunConfig
    from .task import Task

_PACKAGE, _PROTOCOL = __name__.rpartition(".")[0], ("measures", "recipe", "task")


@dataclass(frozen=True)
class ResumeRules:
    """Configuration keys, or sections of them, by what a resumed run may do with them.

    A key in neither list changes what a run computes: a resumed run may have another value only where the user sets it
    on purpose.

    Attributes:
        harmless: keys that do not change what a run computes; a resumed run takes them as they are now.
        fixed: keys that make another model, other clips or other metrics; no option changes them within a run.
    """

    harmless: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()

    def __add__(self, other: "ResumeRules") -> "ResumeRules":
        return ResumeRules(self.harmless + other.harmless, self.fixed + other.fixed)


class TaskRecipe:
    """Set up one kind of task for a run; a subclass builds the task, and overrides what else differs.

    Attributes:
        task: the name in the task's measures; a run is resumed only as what it is.
    """

    task = CLASSIFICATION.task

    def settings(self, config: "RunConfig") -> Any:
        """Return the task's own settings: the dataclass `Settings` of its module, with `task_settings`."""
        return settings_from(sys.modules[type(self).__module__], config.task_settings, "task_settings")

    def prepare(self, config: "RunConfig", world: "World") -> "RunConfig":  # noqa: ARG002
        """Return the configuration with what the task fills in, before a run to resume is looked for.

        Raises:
            UserError: what the task needs is missing or does not fit.
        """
        return config

    def build_model(self, config: "RunConfig", data: "TrainingData") -> "nn.Module":
        """Return the untrained model on the CPU."""
        raise NotImplementedError

    def build(self, model: "nn.Module", config: "RunConfig", data: "TrainingData", run_context: "RunContext") -> "Task":
        """Return the task that trains `model`, which is on the CPU and not compiled yet."""
        raise NotImplementedError

    def resume_rules(self, before: "RunConfig", now: "RunConfig") -> ResumeRules:  # noqa: ARG002
        """Return which of the task's keys a run of the configuration `before` may change to those of `now`."""
        return ResumeRules()

    def identity(self, config: Mapping[str, Any]) -> object:  # noqa: ARG002
        """Return what `--resume auto` compares beside model, data set, protocol and seed, of a plain configuration."""
        return ()

    def identity_words(self, config: "RunConfig") -> str:  # noqa: ARG002
        """Return how a message names `identity`, such as " and these teachers"; empty where it does not matter."""
        return ""


def list_tasks() -> list[str]:
    """Return the names that the configuration key `task` accepts; no task is imported for it."""
    return [CLASSIFICATION.task, *(name for name in plug_in_names(_PACKAGE) if name not in _PROTOCOL)]


def get_recipe(name: str) -> TaskRecipe:
    """Return a new recipe of a task that is a module of this package.

    Raises:
        UserError: there is no such task.
    """
    if name not in list_tasks():
        raise UserError(f"There is no task {name!r}. The tasks are: {', '.join(list_tasks())}.")
    recipe: TaskRecipe = import_module(f"{_PACKAGE}.{name}").Recipe()
    return recipe
