"""Evaluation of checkpoints on a part of their data set, from the files to the report."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..plots.figures import draws_or_warns
from ..runs.checkpoint import read_checkpoint
from ..tasks.measures import Metric
from ..utils.errors import UserError
from ..utils.files import make_folder
from ..utils.progress import SILENT, Progress
from ..version import __version__
from .clip_metrics import clip_metrics, get_metric, list_metrics
from .details import correct_clips, gain_of, measure_details, share_of
from .ensemble import (
    COMPARISON,
    Ensemble,
    Weights,
    equal_weights,
    in_order,
    refuse_other_clips,
    refuse_same_weights,
    refuse_strangers,
    trained_weights,
)
from .findings import ComparisonResult, EnsembleResult, Extras, MemberResult, TestTimeResult, WithoutCopies
from .metrics import Metrics, Predictions, measure
from .page import write_evaluation_page
from .page_content import content_of
from .paired import mcnemar
from .recordings import EvaluatedRecordings, evaluate_recordings
from .report import PICTURES, write_report
from .request import EvalRequest
from .robustness import measure_robustness
from .tested import TestedModel, condition_of, open_tested, use_statistics
from .tested_notes import notes_on
from .unusable_clips import NOT_RECOGNISED, warn_about_unusable

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvalResult:
    """The result of an evaluation: metrics, further metrics, facts about it, and the files of its report.

    Attributes:
        recordings: the figures of long recordings, if windows over them were tested.
        extras: what else was measured.
    """

    metrics: Metrics
    added: Sequence[tuple[Metric, float]]
    class_names: list[str]
    facts: Mapping[str, str]
    files: Mapping[str, Path]
    recordings: EvaluatedRecordings | None = None
    extras: Extras = field(default_factory=Extras)


def evaluate(request: EvalRequest, out: Path, progress: Progress = SILENT) -> EvalResult:
    """Evaluate a checkpoint, or an ensemble of several, and write the report into `out`.

    Raises:
        UserError: a checkpoint cannot be read, the data are missing or do not fit it, networks cannot be summed, or
            `out` cannot be written.
    """
    for name in request.metrics:
        get_metric(name)  # reports an unknown one before any work
    _refuse_contradictions(request)
    members, compared = _opened(request)
    _refuse_impossible_views(request, members)
    for note in notes_on(members[0]):
        _log.warning("%s", note)
    make_folder(out)  # reports an unwritable folder before all clips are scored
    pictures = request.pictures and draws_or_warns(PICTURES)
    statistics = [use_statistics(member, request) for member in members]
    ensemble = Ensemble(members, _weights(members, request, progress))
    parts = _predicted(ensemble, request, progress)
    predictions = ensemble.summed(parts)
    if not predictions.scored.all():
        unusable = [predictions.names[number] for number in np.flatnonzero(~predictions.scored)]
        warn_about_unusable(unusable, NOT_RECOGNISED)
    first = ensemble.first
    metrics = measure(predictions, len(first.classes))
    added = _further(predictions, first.config.metrics, request.metrics)
    facts = _facts(request, ensemble) | {"statistics": ", ".join(dict.fromkeys(statistics))}
    facts |= {"store": first.store.fingerprint}
    facts |= {f"dropped {name}": f"{share:g}" for name, share in request.dropped.items()}
    found = evaluate_recordings(predictions, first.store, len(first.classes), request.shortest_event)
    extras = _extras(ensemble, request, parts, predictions, metrics, progress)
    if compared is not None:
        extras = replace(extras, comparison=_comparison(compared, request, predictions, progress))
    files = write_report(
        out, metrics, predictions, first.classes, facts, pictures=pictures, added=added, recordings=found, extras=extras
    )
    if request.further.report is not None:
        content = content_of(ensemble, request, facts, metrics, predictions, extras)
        write_evaluation_page(request.further.report, content)
        files["page"] = request.further.report
    return EvalResult(metrics, added, first.classes, facts, files, found, extras)


def _opened(request: EvalRequest) -> tuple[list[TestedModel], TestedModel | None]:
    """Open the networks that are evaluated, and the one that they are compared with.

    Raises:
        UserError: a checkpoint cannot be read, the data are missing or do not fit it, or the networks do not fit.
    """
    read = {path: read_checkpoint(path) for path in request.checkpoints}
    refuse_strangers(read)
    if request.members:
        refuse_same_weights(read)
    other = None if request.compare is None else read_checkpoint(request.compare)
    if request.compare is not None and other is not None:
        refuse_strangers({request.checkpoint: read[request.checkpoint], request.compare: other}, COMPARISON)
    members = [open_tested(request, path, checkpoint) for path, checkpoint in read.items()]
    refuse_other_clips(members)
    if request.compare is None or other is None:
        return members, None
    compared = open_tested(request, request.compare, other)
    refuse_other_clips([members[0], compared], COMPARISON)
    return members, compared


def _refuse_contradictions(request: EvalRequest) -> None:
    """Refuse options that do not belong together.

    Raises:
        UserError: there are such.
    """
    if request.further.robustness and request.dropped:
        raise UserError(
            f"--robustness drops joints, limbs and frames itself, beginning with whole clips: leave "
            f"{' and '.join(f'--drop_{name}' for name in request.dropped)} out."
        )
    if request.weights != "equal" and not request.members:
        raise UserError(f"--weights {request.weights} is for an ensemble: give --checkpoint once for each network.")
    files = [path.resolve() for path in request.checkpoints]
    twice = [path for path, file in zip(request.checkpoints, files, strict=True) if files.count(file) > 1]
    if twice:
        raise UserError(f"--checkpoint {twice[0]} is given twice: an ensemble needs different networks.")
    if request.compare is not None and request.compare.resolve() in files:
        raise UserError(f"--compare {request.compare} is the network that is evaluated: name another one.")


def _refuse_impossible_views(request: EvalRequest, members: Sequence[TestedModel]) -> None:
    """Refuse to turn clips that have two coordinates.

    Raises:
        UserError: the request does.
    """
    layout = members[0].config.data.skeleton
    if any(request.test_time.turns) and layout.flat:
        raise UserError(
            f"--turns needs clips of three coordinates, and those of the layout {layout.name} have two: they cannot be "
            "turned about the vertical. Leave --turns out; --crops and --mirror are possible."
        )


def _weights(members: Sequence[TestedModel], request: EvalRequest, progress: Progress) -> Weights:
    if len(members) == 1 or request.weights == "equal":
        return equal_weights(len(members))
    with progress.task("weighing", sum(len(member.held_out()) for member in members)) as shown:
        return trained_weights(members, shown, condition_of(request))


def _predicted(ensemble: Ensemble, request: EvalRequest, progress: Progress) -> list[Predictions]:
    """Return what each network predicts for the requested part."""
    total = sum(len(member.indices) for member in ensemble.members)
    with progress.task("evaluating", total) as shown:
        return [member.predict(condition=condition_of(request), shown=shown) for member in ensemble.members]


def _extras(
    ensemble: Ensemble,
    request: EvalRequest,
    parts: Sequence[Predictions],
    predictions: Predictions,
    metrics: Metrics,
    progress: Progress,
) -> Extras:
    """Return what is measured beside the metrics."""
    further = request.further
    wants_details = further.details or further.report is not None
    return Extras(
        without_copies=_without_copies(ensemble, predictions) if request.subset == "test" else None,
        ensemble=None if ensemble.single else _ensemble_result(ensemble, parts),
        test_time=_test_time(ensemble, request, predictions, progress) if request.test_time.averages else None,
        details=measure_details(ensemble, request, predictions, metrics, progress) if wants_details else None,
        robustness=measure_robustness(ensemble, predictions, progress) if further.robustness else (),
    )


def _without_copies(ensemble: Ensemble, predictions: Predictions) -> WithoutCopies | None:
    """Return how the clips are recognised that are no copies of a network's training clips; None if no clip is one."""
    searched = {
        (member.store.fingerprint, member.config.data.copies, member.trained().tobytes()): member
        for member in ensemble.members
    }
    copies = {str(name) for member in searched.values() for name in member.store.clips["name"][member.copies()]}
    if not copies:
        return None
    others = correct_clips(predictions)[[name not in copies for name in predictions.names]]
    return WithoutCopies(len(others), len(copies), share_of(others) if len(others) else None)


def _ensemble_result(ensemble: Ensemble, parts: Sequence[Predictions]) -> EnsembleResult:
    classes = len(ensemble.first.classes)
    members = [
        MemberResult(
            str(member.path),
            member.config.model.title,
            float(weight),
            member.parameters,
            measure(part, classes).top1,
        )
        for member, part, weight in zip(ensemble.members, parts, ensemble.weights.values, strict=True)
    ]
    names = parts[0].names
    wrong = np.stack([~correct_clips(part)[in_order(part, names)] for part in parts]).sum(axis=0)  # networks, (N,)
    counts = [int((wrong >= least).sum()) for least in (1, len(parts) // 2 + 1, len(parts))]
    return EnsembleResult(members, ensemble.weights.source, *counts)


def _comparison(
    other: TestedModel, request: EvalRequest, predictions: Predictions, progress: Progress
) -> ComparisonResult:
    """Return how another network does on the same clips."""
    use_statistics(other, request)
    with progress.task("comparing", len(other.indices)) as shown:
        found = other.predict(condition=condition_of(request), shown=shown)
    own, others = correct_clips(predictions), correct_clips(found)[in_order(found, predictions.names)]
    return ComparisonResult(
        str(other.path),
        other.config.model.title,
        share_of(others),
        share_of(own.astype(np.float64) - others),
        int((own & ~others).sum()),
        int((others & ~own).sum()),
        mcnemar(own, others),
    )


def _test_time(
    ensemble: Ensemble, request: EvalRequest, predictions: Predictions, progress: Progress
) -> TestTimeResult:
    """Return the result of averaging over several looks at each clip."""
    how = request.test_time
    draws = how.crops or ensemble.first.config.data.sampling.draws_in_a_test
    condition = replace(condition_of(request), draws=how.crops, views=how.views)
    total = sum(len(member.indices) for member in ensemble.members)
    with progress.task("averaging", total) as shown:
        averaged = ensemble.predict(shown, condition)
    metrics = measure(averaged, len(ensemble.first.classes))
    return TestTimeResult(how.title, draws * len(how.views), metrics, gain_of(averaged, predictions))


def _further(
    predictions: Predictions, of_run: Mapping[str, Mapping[str, Any]], requested: Sequence[str]
) -> list[tuple[Metric, float]]:
    """Return the metrics of the run and the requested ones, with their values."""
    if gone := [name for name in of_run if name not in list_metrics()]:
        _log.warning("The run has metrics that no longer exist; they are skipped: %s.", ", ".join(gone))
    chosen = {name: values for name, values in of_run.items() if name not in gone}
    scores, labels = torch.from_numpy(predictions.scores), torch.from_numpy(predictions.labels)
    return [
        (each.metric, each.metric.scale * float(each.total(scores, labels)) / len(labels))
        for each in clip_metrics({**{name: {} for name in requested}, **chosen})
    ]


def _facts(request: EvalRequest, ensemble: Ensemble) -> dict[str, str]:
    first = ensemble.first
    config = first.config
    models = dict.fromkeys(member.config.model.title for member in ensemble.members)
    return {
        "checkpoint": ", ".join(map(str, request.checkpoints)),
        "epoch": ", ".join(str(member.checkpoint.epoch) for member in ensemble.members),
        "model": " + ".join(models),
        "dataset": config.data.name,
        "split": config.data.split,
        "subset": request.subset,
        "seed": ", ".join(dict.fromkeys(str(member.config.seed) for member in ensemble.members)),
        "weights": first.checkpoint.kind_of_weights(request.no_ema),
        "parameters": str(ensemble.parameters),
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "last": __version__,
        "torch": str(torch.__version__),
    }
