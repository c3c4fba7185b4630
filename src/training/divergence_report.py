"""The report of a diverged training: the clips, parameters and activations that are not finite."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..data.loading.samplers import BatchIndices
from ..runs.folder import RunFolder
from ..runtime.distributed import World
from ..utils.errors import TrainingDiverged, UserError
from ..utils.files import write_json
from ..utils.names import first_few
from .guard import CAUSES, SkippedBatch
from .train_state import TrainState

if TYPE_CHECKING:
    from ..data.loading.run_data import TrainingData

_log = logging.getLogger(__name__)
_SHOWN = 10


def report_divergence(
    error: TrainingDiverged, state: TrainState, data: "TrainingData", run: RunFolder, world: World
) -> TrainingDiverged:
    """Write `divergence.json` into the run's folder and return the error with a summary of the report."""
    report = diagnose(state, data)
    where = ""
    if world.is_first:
        try:
            write_json(run.divergence, {"error": str(error), **report})
            where = f" Details are in {run.divergence}."
        except UserError as write_error:
            _log.warning("%s", write_error)
    clips = report["batches"][-1]["clips"] if report["batches"] else []
    named = f" Clips of the last skipped batch: {first_few(clips, 3)}." if clips else ""
    look = ", look at those clips" if clips else ""
    return TrainingDiverged(
        f"{error}{named} {_finding(report)}{where} Lower learning_rate{look}, or train without --amp."
    )


def diagnose(state: TrainState, data: "TrainingData") -> dict[str, Any]:
    """Return the names of non-finite and of the largest values, as plain values.

    `batches` are the skipped ones, newest last, with their cause and clips; `parameters` and `activations` (of the
    last skipped batch) have the names of what is not finite and the largest absolute values of the rest.
    """
    skipped = list(state.guard.recent)
    names = data.source.store.clips["name"]
    batches = [
        {"cause": CAUSES[each.cause], "clips": [str(name) for name in names[each.batch.indices.cpu().numpy()]]}
        for each in skipped
    ]
    parameters = {name: each.detach() for name, each in state.task.model.named_parameters()}
    activations = _activations(state, data, skipped[-1]) if skipped else {}
    bad_clips = _bad_clips(data, skipped, names)
    return {
        "batches": batches,
        "clips_with_bad_values": bad_clips,
        "parameters": _ranked(parameters),
        "activations": _ranked(activations),
    }


def _finding(report: Mapping[str, Any]) -> str:
    """Return the most informative finding as one sentence."""
    if report["clips_with_bad_values"]:
        return f"Values that are not finite are in the clip {report['clips_with_bad_values'][0]}."
    for what in ("parameters", "activations"):
        if report[what]["not_finite"]:
            return f"The first of the {what} that are not finite: {report[what]['not_finite'][0]}."
    looked_at = "parameters and activations of the last skipped batch" if report["batches"] else "parameters"
    return f"All {looked_at} are finite."


def _bad_clips(data: "TrainingData", skipped: list[SkippedBatch], names: Any) -> list[str]:
    """Return the names of clips in skipped batches whose streams are not finite."""
    found: dict[str, None] = {}
    for each in skipped:
        if each.cause != "inputs":
            continue
        batch = data.source[_sampled(each)]
        streams = data.pipeline(batch, training=True)
        bad = ~torch.stack([stream.isfinite().flatten(1).all(dim=1) for stream in streams.values()]).all(dim=0)
        found.update(dict.fromkeys(str(name) for name in names[batch.indices[bad].cpu().numpy()]))
    return list(found)


def _activations(state: TrainState, data: "TrainingData", skipped: SkippedBatch) -> dict[str, Tensor]:
    """Return the outputs of all modules for a batch, by name in the order in which they were computed.

    A layer that has hooks is called as a module, not computed by a faster function.
    """
    device = next(state.task.parameters()).device
    batch = data.source[_sampled(skipped)].to(device)
    batch = data.pipeline.prepared(batch, training=True)
    streams = state.guard.sanitize_inputs(batch.streams, batch.bodies)
    state.task.train()
    with torch.no_grad(), state.precision.autocast(), _outputs(state.task.model) as outputs:
        state.task(batch.with_streams(streams))
    return outputs


def _sampled(skipped: SkippedBatch) -> BatchIndices:
    return BatchIndices(skipped.batch.indices, skipped.batch.rng_keys, skipped.batch.strength)


@contextmanager
def _outputs(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Collect the output of every module while the block runs."""
    found: dict[str, Tensor] = {}

    def collector(name: str) -> Any:
        def collect(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                found[name] = output

        return collect

    hooks = [module.register_forward_hook(collector(name)) for name, module in model.named_modules() if name]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def _ranked(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the names of tensors that are not finite, in order, and the largest absolute values of the others."""
    largest = {name: float(each.abs().max()) for name, each in tensors.items() if bool(each.isfinite().all())}
    ranked = sorted(largest, key=lambda name: -largest[name])[:_SHOWN]
    return {
        "not_finite": [name for name in tensors if name not in largest],
        "largest": {name: largest[name] for name in ranked},
    }
