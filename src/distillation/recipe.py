"""The recipe for classification, with distillation if the configuration names teachers, or peers."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from ..data.loading.run_data import TrainingData
from ..runtime.distributed import World
from ..runtime.run_context import RunContext
from ..settings.run import RunConfig
from ..tasks.recipe import ResumeRules
from ..tasks.task import Task
from ..training.classification import ClassificationRecipe, weights_of_classes
from ..utils.numbers import counted
from .peers import mutual_learning
from .resume_rules import distillation_rules, identity
from .task import distillation
from .teachers import Teacher, load_teachers


class DistillationRecipe(ClassificationRecipe):
    """Set up the classification of a run's clips, with the teachers that its configuration names."""

    def __init__(self) -> None:
        self.teachers: list[Teacher] = []

    def prepare(self, config: RunConfig, world: World) -> RunConfig:
        """Load the teachers, and return the configuration with their fingerprints.

        Raises:
            UserError: a checkpoint is missing or damaged, does not suit this run, or has changed.
        """
        config, self.teachers = load_teachers(config, world)
        return config

    def build(self, model: nn.Module, config: RunConfig, data: TrainingData, run_context: RunContext) -> Task:
        """Return the task of a student, of a model with peers, or of one alone."""
        if number := config.distillation.peers:
            peers = [self.build_model(config, data) for _ in range(number)]
            weights = weights_of_classes(config.class_weights, data)
            return mutual_learning(config, model, peers, run_context, weights)
        if not self.teachers:
            return super().build(model, config, data, run_context)
        return distillation(config, model, self.teachers, data, run_context)

    def resume_rules(self, before: RunConfig, now: RunConfig) -> ResumeRules:
        """Return which keys of distillation a resumed run may change."""
        return distillation_rules(before.distillation, now.distillation)

    def identity(self, config: Mapping[str, Any]) -> object:
        """Return the teachers' fingerprints, or the number of peers."""
        return identity(config)

    def identity_words(self, config: RunConfig) -> str:
        """Return how a message names the teachers or the peers."""
        if config.distillation.peers:
            return f" and {counted(config.distillation.peers, 'peer')}"
        return " and these teachers" if config.distillation.teachers else ""
