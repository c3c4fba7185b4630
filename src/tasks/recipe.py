"""Recipes that build the task of a run, and the task's configuration keys that a resumed run may change.

`task: masked_joints` is the class `Recipe` of the module `masked_joints` of this package. A module with its own
configuration keys has a dataclass `Settings`, filled from `task_settings`. Classification is not a module here: it is
in `training`, and distillation is built on it.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..utils.plug_ins import Kind, settings_from, subclass_of
from .measures import CLASSIFICATION

if TYPE_CHECKING:
    from torch import nn

    from ..data.loading.run_data import TrainingData
    from ..runtime.distributed import World
    from ..runtime.run_context import RunContext
    from ..settings.run import RunConfig
    from .task import Task


@dataclass(frozen=True)
class ResumeRules:
    """Configuration keys, or sections, that a resumed run may or may not change.

    A key in neither list changes what a run computes: a resumed run may have another value only if the user sets it
    explicitly.

    Attributes:
        harmless: keys that do not change what a run computes; a resumed run uses their new values.
        fixed: keys that change the model, the clips or the metrics; no option changes them within a run.
    """

    harmless: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()

    def __add__(self, other: "ResumeRules") -> "ResumeRules":
        return ResumeRules(self.harmless + other.harmless, self.fixed + other.fixed)


class TaskRecipe:
    """Builds one kind of task for a run; a subclass implements `build` and overrides other methods as needed.

    Attributes:
        task: the name in the task's measures; a run is resumed only with the same task.
    """

    task = CLASSIFICATION.task

    def settings(self, config: "RunConfig") -> Any:
        """Return the task's own settings: the dataclass `Settings` of its module, with `task_settings`."""
        return settings_from(sys.modules[type(self).__module__], config.task_settings, "task_settings")

    def prepare(self, config: "RunConfig", world: "World") -> "RunConfig":  # noqa: ARG002
        """Return the configuration completed by the task, before the run to resume is searched for.

        Raises:
            UserError: something that the task needs is missing or does not fit.
        """
        return config

    def build_model(self, config: "RunConfig", data: "TrainingData") -> "nn.Module":
        """Return the untrained model on the CPU."""
        raise NotImplementedError

    def build(self, model: "nn.Module", config: "RunConfig", data: "TrainingData", run_context: "RunContext") -> "Task":
        """Return the task that trains `model`, which is still on the CPU and not compiled."""
        raise NotImplementedError

    def resume_rules(self, before: "RunConfig", now: "RunConfig") -> ResumeRules:  # noqa: ARG002
        """Return the rules for the task's keys when a run with the configuration `before` is resumed with `now`."""
        return ResumeRules()

    def identity(self, config: Mapping[str, Any]) -> object:  # noqa: ARG002
        """Return the values that `--resume auto` compares besides model, data set, protocol and seed."""
        return ()

    def identity_words(self, config: "RunConfig") -> str:  # noqa: ARG002
        """Return the text for `identity` in messages, such as " and these teachers"; empty if it does not matter."""
        return ""


KIND = Kind(
    __name__.rpartition(".")[0],
    "task",
    built_in=(CLASSIFICATION.task,),
    parts=("measures", "recipe", "task"),
    needs={"Recipe": subclass_of(TaskRecipe)},
)


def list_tasks() -> list[str]:
    """Return the names that the configuration key `task` accepts, without importing any task."""
    return KIND.names()


def get_recipe(name: str) -> TaskRecipe | None:
    """Return a new recipe of the task in a module of this package; None for classification, which is not here.

    Raises:
        UserError: there is no such task, or its module cannot be used.
    """
    module = KIND.find(name)
    return None if module is None else module.Recipe()
