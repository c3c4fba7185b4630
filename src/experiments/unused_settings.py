"""Settings that are not at their defaults and have no effect in a run, because of others or of its clips.

Those of distillation are told by `DistillationConfig.unused`. `hardware.amp_dtype` is not among them: an environment
sets it for its machine, whether or not a run has `amp`.
"""

import logging

from ..settings.data import AugmentConfig, DataConfig, SamplingConfig
from ..settings.run import RunConfig

_DROPS = ("drop_joints", "drop_limbs", "drop_frames", "mask_crop")
_SHARED = ("mix_add", "mix_splice")
_OF_TWO_BODIES = ("drop_body", "exchange_bodies")

_log = logging.getLogger(__name__)


def warn_of_unused(config: RunConfig, bodies: int) -> None:
    """Warn in one sentence of settings without effect, given the largest number of bodies in a clip of the store."""
    if unused := unused_settings(config, bodies):
        found = "; ".join(f"{key} {reason}" for key, reason in unused.items())
        _log.warning("Without effect in this run: %s.", found)


def unused_settings(config: RunConfig, bodies: int) -> dict[str, str]:
    """Return the keys of settings without effect, each with the reason; see `warn_of_unused`."""
    unused = _of_data(config.data, bodies)
    if config.trains_unlabelled and config.label_fraction == 1:
        unused["distillation.unlabelled"] = "with label_fraction 1, which leaves no clip without a label"
    return unused


def _of_data(data: DataConfig, bodies: int) -> dict[str, str]:
    augment, plain, unused = data.augment, AugmentConfig(), {}
    if data.sampling.method != "uniform" and data.sampling.test_draws != SamplingConfig().test_draws:
        unused["data.sampling.test_draws"] = f"with data.sampling.method {data.sampling.method}, only with uniform"
    if bodies == 1:
        alone = [name for name in _OF_TWO_BODIES if getattr(augment, name) != getattr(plain, name)]
        unused |= {f"data.augment.{name}": "with clips of one body" for name in alone}
    for name, deciding in (("mix_share", _SHARED), ("drop_probability", _DROPS)):
        if getattr(augment, name) != getattr(plain, name) and not any(getattr(augment, each) for each in deciding):
            unused[f"data.augment.{name}"] = f"without {', '.join(deciding[:-1])} or {deciding[-1]}"
    return unused
