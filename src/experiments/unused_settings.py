"""Settings that are not at their defaults and have no effect in a run, because of others or of its clips.

Other keys of distillation are told by `DistillationConfig.unused`. `hardware.amp_dtype` is not among them: an
environment sets it for its machine, whether or not a run has `amp`.
"""

import logging
from collections.abc import Iterable

import numpy as np

from ..data.loading.annealing import Annealing, strengths
from ..settings.data import AugmentConfig, DataConfig, SamplingConfig
from ..settings.distillation import DistillationConfig
from ..settings.model import ModelConfig
from ..settings.run import RunConfig
from ..utils.model_files import model_files
from ..utils.names import suggestion
from ..utils.numbers import counted

_DROPS = ("drop_joints", "drop_limbs", "drop_frames", "mask_crop")
_SHARED = ("mix_add", "mix_splice")
_MIXES = (*_SHARED, "mix_axes")
_OF_TWO_BODIES = ("drop_body", "exchange_bodies")
_OF_SAMPLING = {"crop": ("crop_min", "crop_max", "test_crop"), "uniform": ("test_draws",)}

_log = logging.getLogger(__name__)


def warn_of_unused(config: RunConfig, bodies: int, processes: int) -> None:
    """Warn in one sentence of settings without effect, given the largest number of bodies in a clip of the store."""
    if unused := unused_settings(config, bodies, processes):
        found = "; ".join(f"{key} {reason}" for key, reason in unused.items())
        _log.warning("Without effect in this run: %s.", found)


def unused_settings(config: RunConfig, bodies: int, processes: int = 1) -> dict[str, str]:
    """Return the keys of settings without effect, each with the reason; see `warn_of_unused`."""
    augment = config.data.augment
    unused = _of_sampling(config.data.sampling) | _of_clips(config.data, bodies)
    if config.batch_size <= processes:
        unused |= _augment_keys(_changed(augment, _MIXES), "with one clip per batch and process, which has no partner")
    unused |= _of_deciding_settings(augment) | _of_scaling(config.data) | _of_model(config.model)
    unused |= _of_annealing(augment, config.epochs)
    unused |= _of_unknown_students(config.distillation, config.model.name)
    if config.trains_unlabelled and config.label_fraction == 1:
        unused["distillation.unlabelled"] = "with label_fraction 1, which leaves no clip without a label"
    return unused


def _of_sampling(sampling: SamplingConfig) -> dict[str, str]:
    plain = SamplingConfig()
    return {
        f"data.sampling.{name}": f"with data.sampling.method {sampling.method}, only with {method}"
        for method, names in _OF_SAMPLING.items()
        for name in names
        if method != sampling.method and getattr(sampling, name) != getattr(plain, name)
    }


def _of_clips(data: DataConfig, bodies: int) -> dict[str, str]:
    """Return the settings of augmentation that clips with so many bodies, or in the plane, cannot show."""
    unused: dict[str, str] = {}
    if bodies == 1:
        unused |= _augment_keys(_changed(data.augment, _OF_TWO_BODIES), "with clips of one body")
    turns = _changed(data.augment, ("rotation_degrees",))
    if turns and data.skeleton.flat and any(data.augment.rotation_degrees[:2]):
        unused |= _augment_keys(turns, f"about x and y with {data.layout}, whose skeletons stay in their plane")
    return unused


def _of_deciding_settings(augment: AugmentConfig) -> dict[str, str]:
    """Return the settings of augmentation that others switch off."""
    unused: dict[str, str] = {}
    for name, deciding in (("mix_share", _SHARED), ("drop_probability", _DROPS)):
        if not any(getattr(augment, each) for each in deciding):
            unused |= _augment_keys(_changed(augment, (name,)), f"without {', '.join(deciding[:-1])} or {deciding[-1]}")
    if augment.drop_probability == 0:
        unused |= _augment_keys(_changed(augment, _DROPS), "with data.augment.drop_probability 0")
    return unused


def _of_scaling(data: DataConfig) -> dict[str, str]:
    """Return `scale` where every axis of a clip is scaled to one length right afterwards."""
    later = (data.augment.shear, data.augment.jitter_metres, data.augment.drift_metres)
    if data.normalize.scale != "unit" or any(later) or data.augment.added:
        return {}
    return _augment_keys(_changed(data.augment, ("scale",)), "with data.normalize.scale unit, which undoes it")


def _of_annealing(augment: AugmentConfig, epochs: int) -> dict[str, str]:
    """Return `anneal` without anything to anneal, and what it anneals if no epoch has any of it."""
    annealing, annealed = Annealing(augment.anneal, epochs), strengths(augment)
    if not annealing.falling:
        return {}
    if not augment.added and not any(np.any(each) for each in annealed.values()):
        return {"data.augment.anneal": "without any augmentation"}
    if annealing.strength(0) > 0:
        return {}
    return _augment_keys(_changed(augment, annealed), f"with data.augment.anneal in {counted(epochs, 'epoch')}")


def _of_model(model: ModelConfig) -> dict[str, str]:
    blocks = getattr(model, "blocks", None)
    if blocks is not None and sum(blocks) == 1 and getattr(model, "drop_path", 0):
        return {"model.drop_path": "with one block, since the first is never skipped"}
    return {}


def _of_unknown_students(distillation: DistillationConfig, student: str) -> dict[str, str]:
    """Return the keys of `distillation.alpha_of` that name no known model; other students may be in one recipe."""
    if not distillation.learns_from_others or not distillation.has_effect("alpha_of"):
        return {}
    known = [*model_files(), student]
    unused: dict[str, str] = {}
    for name in distillation.alpha_of:
        if name not in known:
            near = suggestion(name, known).strip()
            unused[f"distillation.alpha_of.{name}"] = f"for a model that is not known{f' ({near})' if near else ''}"
    return unused


def _changed(augment: AugmentConfig, names: Iterable[str]) -> list[str]:
    plain = AugmentConfig()
    return [name for name in names if getattr(augment, name) != getattr(plain, name)]


def _augment_keys(names: Iterable[str], reason: str) -> dict[str, str]:
    return {f"data.augment.{name}": reason for name in names}
