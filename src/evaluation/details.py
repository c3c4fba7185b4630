"""What `--details` measures beside the metrics: intervals, confusions, calibration, streams, epochs, cost."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..models.cost import count_multiply_adds
from ..runs.checkpoint import read_checkpoint
from ..runs.checkpoint_model import model_of
from ..runs.folder import RunFolder
from ..tasks.measures import CLASSIFICATION
from ..utils.numbers import counted
from ..utils.progress import Progress
from .ensemble import Ensemble, common_held_out, fits_only_tested
from .findings import ClassEstimate, Confused, Cost, Details, EpochResult, Estimate, StreamResult
from .intervals import DRAWS, LEVEL, bootstrap_interval, mean_class_interval
from .metrics import Metrics, Predictions, true_ranks
from .reliability import ALL_TESTED, NOT_HELD_OUT, measure_reliability
from .request import EvalRequest
from .tested import Condition, TestedModel, condition_of, use_statistics
from .tested_notes import notes_on

MOST_CONFUSIONS = 40
_FEWEST_STREAMS = 2
_FEW = 10  # clips of a class, below which its accuracy says little


def correct_clips(predictions: Predictions) -> NDArray[np.bool_]:
    """Return which clips are recognised, (N,)."""
    correct: NDArray[np.bool_] = true_ranks(predictions) == 1
    return correct


def share_of(values: NDArray[np.bool_] | NDArray[np.float64]) -> Estimate:
    """Return the mean of values, one for each clip, in percent with its interval."""
    low, high = bootstrap_interval(values)
    return Estimate(100 * float(values.mean()), 100 * low, 100 * high)


def gain_of(one: Predictions, other: Predictions) -> Estimate:
    """Return by how much more top-1 is in `one` than in `other`, which are of the same clips in the same order."""
    return share_of(correct_clips(one).astype(np.float64) - correct_clips(other))


def measure_details(
    ensemble: Ensemble, request: EvalRequest, predictions: Predictions, metrics: Metrics, progress: Progress
) -> Details:
    """Return the details of an evaluation.

    Args:
        ensemble: what was tested.
        request: how.
        predictions: of the requested part.
        metrics: of these.
        progress: the progress display.

    Raises:
        UserError: another checkpoint of the run cannot be read.
    """
    single = ensemble.single
    streams, no_streams = _streams_of(single)
    others, no_epochs = _other_epochs(single, request)
    held = len(common_held_out(ensemble.members)[0])
    passes = 2 * len(streams) + len([path for path in others if single is not None and path != single.path])
    with progress.task("measuring details", passes * len(predictions.names) + held * len(ensemble.members)) as shown:
        asked = condition_of(request)
        measured = [_stream(single, name, streams, asked, shown) for name in streams if single is not None]
        epochs, difference = _epochs(single, others, request, predictions, shown)
        why_none = ALL_TESTED if fits_only_tested(ensemble.members) else NOT_HELD_OUT
        reliability = measure_reliability(predictions, ensemble.held_out(shown, asked), why_none)
    return Details(
        level=LEVEL,
        draws=DRAWS,
        top1=share_of(correct_clips(predictions)),
        mean_class_accuracy=_mean_class_accuracy(metrics),
        classes=_classes(predictions, metrics),
        confusions=confusions_of(metrics),
        wrong=int(metrics.confusion.sum() - np.trace(metrics.confusion)),
        reliability=reliability,
        streams=measured,
        no_streams=no_streams,
        epochs=epochs,
        epochs_difference=difference,
        no_epochs=no_epochs,
        cost=_cost(ensemble),
        notes=_notes(ensemble, metrics),
    )


def _mean_class_accuracy(metrics: Metrics) -> Estimate:
    counts = [(each.correct, each.clips) for each in metrics.per_class if each.clips]
    low, high = mean_class_interval(*map(np.array, zip(*counts, strict=True)))
    return Estimate(metrics.mean_class_accuracy, 100 * low, 100 * high)


def _classes(predictions: Predictions, metrics: Metrics) -> list[ClassEstimate]:
    correct, found = correct_clips(predictions), []
    for result in metrics.per_class:
        if not result.clips:
            found.append(ClassEstimate(result.index, None, "no clips"))
            continue
        few = f"{counted(result.clips, 'clip')} {'says' if result.clips == 1 else 'say'} little"
        estimate = share_of(correct[predictions.labels == result.index])
        found.append(ClassEstimate(result.index, estimate, few if result.clips < _FEW else ""))
    return found


def confusions_of(metrics: Metrics, most: int = MOST_CONFUSIONS) -> list[Confused]:
    """Return the confusions that cost most, first; equal ones in the order of the classes."""
    wrong = metrics.confusion.copy()
    np.fill_diagonal(wrong, 0)
    classes = len(wrong)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    clips = [each.clips for each in metrics.per_class]
    found = []
    for cell in order.tolist():
        true, predicted = divmod(cell, classes)
        if count := int(wrong[true, predicted]):
            cost = 100 * count / sum(clips)
            back = int(wrong[predicted, true])
            found.append(Confused(true, predicted, count, 100 * count / clips[true], cost, back))
    return found


def _streams_of(single: TestedModel | None) -> tuple[Sequence[str], str]:
    """Return the streams to measure, or why there are none."""
    if single is None:
        return (), "not available: several networks were tested; evaluate one of them alone"
    if len(single.model.streams) < _FEWEST_STREAMS:
        return (), f"not available: the network has one stream, {single.model.streams[0]}"
    return single.model.streams, ""


def _stream(single: TestedModel, name: str, streams: Sequence[str], asked: Condition, shown: Progress) -> StreamResult:
    others = [each for each in streams if each != name]
    without = single.predict(condition=replace(asked, zeroed=[name]), shown=shown)
    alone = single.predict(condition=replace(asked, zeroed=others), shown=shown)
    return StreamResult(name, share_of(correct_clips(without)), share_of(correct_clips(alone)))


def _other_epochs(single: TestedModel | None, request: EvalRequest) -> tuple[list[Path], str]:
    """Return the files of the best and the last epoch, or why they are not compared."""
    if single is None:
        return [], "not available: several networks were tested"
    folder = request.checkpoint.absolute().parent
    run = RunFolder(folder.parent)
    files = [run.best, run.last]
    if folder.name != run.checkpoints.name or not all(path.is_file() for path in files):
        return [], f"not available: beside the checkpoint there are no {run.best.name} and {run.last.name} of its run"
    own = request.checkpoint.absolute()
    return [single.path if path == own else path for path in files], ""


def _epochs(
    single: TestedModel | None, files: Sequence[Path], request: EvalRequest, predictions: Predictions, shown: Progress
) -> tuple[list[EpochResult], Estimate | None]:
    """Return the best and the last epoch on the same clips, and how much higher the best one is."""
    if single is None or not files:
        return [], None
    parts = []
    for path, title in zip(files, (_choice_of_best(single), "last epoch"), strict=True):
        own = path == single.path
        tested = single if own else _reopened(single, path, request)
        found = predictions if own else tested.predict(condition=condition_of(request), shown=shown)
        parts.append((EpochResult(title, tested.checkpoint.epoch, share_of(correct_clips(found)), own), found))
    (best, of_best), (last, of_last) = parts
    return [best, last], None if best.epoch == last.epoch else gain_of(of_best, of_last)


def _choice_of_best(single: TestedModel) -> str:
    if single.checkpoint.config.validation == "split":
        held = len(single.held_out())
        return f"best epoch, chosen on {counted(held, 'held-out training clip') if held else 'held-out training clips'}"
    return "best epoch, chosen on the test part"


def _reopened(single: TestedModel, path: Path, request: EvalRequest) -> TestedModel:
    """Return another checkpoint of the same run, on the same data."""
    checkpoint = read_checkpoint(path)
    model = model_of(checkpoint, str(path), request.no_ema).to(single.device)
    tested = replace(single, path=path, checkpoint=checkpoint, model=model)
    use_statistics(tested, request)
    return tested


def _cost(ensemble: Ensemble) -> Cost:
    first = ensemble.first
    layout, frames = first.config.data.skeleton, first.config.input_frames
    total = 0
    for member in ensemble.members:
        shape = (1, layout.coordinates, member.config.input_frames, layout.num_joints, 1)
        streams = {name: torch.zeros(shape, device=member.device) for name in member.model.streams}
        with torch.no_grad():
            total += count_multiply_adds(member.model, streams)
    size = sum(member.path.stat().st_size for member in ensemble.members)
    what = f"{counted(frames, 'frame')} of {counted(layout.num_joints, 'joint')}, one body"
    return Cost(ensemble.parameters, total, what, size, len(ensemble.members))


def _notes(ensemble: Ensemble, metrics: Metrics) -> list[str]:
    """Return sentences about figures that say less than they seem to."""
    classes = ensemble.first.classes
    notes = [*notes_on(ensemble.first), *CLASSIFICATION.notes(len(classes))]
    if empty := sum(not each.clips for each in metrics.per_class):
        notes.append(
            f"{counted(empty, 'class')} of {len(classes)} {'has' if empty == 1 else 'have'} no tested clip, and no "
            "part in the mean class accuracy."
        )
    if unusable := int(metrics.unusable.sum()):
        notes.append(f"{counted(unusable, 'clip')} could not be used by the model and count as wrong.")
    return notes
