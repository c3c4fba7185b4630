"""What the page of an evaluation shows, gathered from the checkpoint, its run and its clips."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..data.store.played_clips import played_clip
from ..plots.player import PlayedClip
from ..runs.history import is_run
from ..runs.results import read_run
from ..utils.files import file_checksum
from .ensemble import Ensemble
from .findings import Extras
from .metrics import Metrics, Predictions
from .page import PageContent, TrainingRows
from .request import EvalRequest
from .tested import TestedModel


def content_of(
    ensemble: Ensemble,
    request: EvalRequest,
    facts: Mapping[str, str],
    metrics: Metrics,
    predictions: Predictions,
    extras: Extras,
) -> PageContent:
    """Return what a page shows of an evaluation; `facts` are those of its report."""
    first = ensemble.first
    return PageContent(
        facts=facts,
        checksums=_checksums(ensemble),
        command=request.further.command,
        metrics=metrics,
        predictions=predictions,
        class_names=first.classes,
        extras=extras,
        training=_training_rows(request),
        clip_of=_clip_of(first, predictions.names),
    )


def _checksums(ensemble: Ensemble) -> dict[str, str]:
    """Return what identifies the files of an evaluation."""
    several = len(ensemble.members) > 1
    sums = {
        f"SHA-256 of {member.path.name if not several else member.path}": file_checksum(member.path)
        for member in ensemble.members
    }
    return {**sums, "fingerprint of the store": ensemble.first.store.fingerprint}


def _training_rows(request: EvalRequest) -> TrainingRows:
    """Return the epochs of the first checkpoint's run, if its folder is there."""
    folder = request.checkpoint.absolute().parent
    if not is_run(folder.parent):
        return TrainingRows(problem="the checkpoint is not in the folder of a run")
    run = read_run(folder.parent)
    return TrainingRows(run.rows, run.measures, run.weights_prefix, " ".join(run.problems))


def _clip_of(first: TestedModel, names: Sequence[str]) -> Callable[[int], PlayedClip]:
    """Return a function that returns the clip of a prediction's number for a player."""

    def clip_of(number: int) -> PlayedClip:
        index = int(np.flatnonzero(first.store.clips["name"] == names[number])[0])
        clip = first.store[index]
        return played_clip(clip, first.store.skeleton, first.classes[clip.label])

    return clip_of
