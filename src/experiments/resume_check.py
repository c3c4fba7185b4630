"""Whether a run can be resumed: not after it diverged, and not on other data."""

from collections.abc import Callable, Mapping, Sequence

from ..data.loading.confidences import is_same_store
from ..data.store.fingerprints import differing
from ..data.store.reader import Store
from ..runs.resume import ResumePoint
from ..runtime.distributed import World
from ..settings.data import DataConfig
from ..settings.run import EndOfRun
from ..training.epoch_report import refuse_no_result
from ..utils.errors import TrainingDiverged, UserError


def refuse_diverged(end: EndOfRun, resume_point: ResumePoint) -> None:
    """Refuse to resume a run that has ended without finite scores.

    Raises:
        TrainingDiverged: it has diverged; its divergence report is kept.
    """
    checkpoint, run = resume_point.checkpoint, resume_point.run
    if checkpoint is None or run is None or not checkpoint.is_end(end):
        return
    try:
        if checkpoint.guard.get("updates", 1) == 0:
            raise TrainingDiverged("It made no update.")
        part = f"{'ema_' if checkpoint.ema else ''}test"
        refuse_no_result(checkpoint.metrics, part, checkpoint.task_measures, checkpoint.has_best)
    except TrainingDiverged as error:
        raise TrainingDiverged(
            f"The run {run.path} has diverged and cannot be resumed: {error} Details are in {run.divergence}. Start a "
            "new run, with a lower learning_rate or without --amp."
        ) from error


def refuse_other_data(resume_point: ResumePoint, changes: Callable[[], Sequence[str]], world: World) -> None:
    """Refuse to resume a run on data other than its training data; the first process reports it.

    Args:
        resume_point: the run and its checkpoint.
        changes: returns how the data differ; called in the first process only.
        world: the processes of the training.

    Raises:
        UserError: the data differ.
    """

    def refuse() -> None:
        assert resume_point.run is not None
        if other := changes():
            raise UserError(
                f"The run {resume_point.run.path} learned from other data: {' and '.join(other)} changed since. "
                "Restore the data, or leave --resume out to start a new run; with --init_from it can start from the "
                "weights of the old one."
            )

    world.agree(refuse)


def changes_since(data: DataConfig, resume_point: ResumePoint, store: Store, present: Mapping[str, str]) -> list[str]:
    """Return how the data differ from the training data of the resumed run."""
    assert resume_point.checkpoint is not None
    before = resume_point.checkpoint.data
    same_store = is_same_store(before.get("store", ""), store, data.min_confidence)
    return differing(before, present, same_store=same_store)
