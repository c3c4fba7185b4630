"""Settings of a run that contradict each other, refused before anything is trained.

Each contradiction is refused where a run meets it too. Commands that train several runs, one after the other, call this
first: otherwise the last of them would be refused after hours of training.
"""

from ..data.loading.run_data import annealing_of, refuse_class_settings
from ..distillation.task import refuse_mixing, refuse_unlabelled
from ..settings.run import RunConfig
from ..training.whole_step import refuse_contradictions
from ..utils.errors import UserError


def refuse_contradictory(title: str, config: RunConfig, processes: int = 1) -> None:
    """Refuse settings with which a run would be refused although its data and teachers are there.

    Args:
        title: names the run in the message.
        config: the whole configuration; its teachers may not have been trained yet.
        processes: the number of processes that train it.

    Raises:
        UserError: names the settings.
    """
    try:
        annealing_of(config)
        refuse_class_settings(config)
        if config.distillation.teachers:
            refuse_mixing(config.distillation, config.data.augment)
            refuse_unlabelled(config.distillation)
        if config.hardware.whole_step_graph:
            refuse_contradictions(config, processes)
    except UserError as error:
        raise UserError(f"{title}: {error}") from error
