"""Annealing: the strength of augmentation falls to none at the end of a training.

The last epochs then see clips as they are tested. Strengths and probabilities fall linearly, one step per epoch.
(Augmentation is turned off for the end of a training by He et al., Data Augmentation Revisited, arXiv:1909.09148.)
"""

from dataclasses import dataclass, replace
from typing import Any

from ...settings.data import AugmentConfig

# Settings of `AugmentConfig` that are neither a strength nor a probability of a transform.
_KEPT = ("anneal", "mix_share", "drop_probability", "added")


@dataclass(frozen=True)
class Annealing:
    """The course of the strength of augmentation.

    Attributes:
        share: the share of the epochs, at the end, during which it falls; at least one epoch unless it is 0.
        epochs: the number of epochs of the training.
    """

    share: float = 0.0
    epochs: int = 1

    def strength(self, epoch: int) -> float:
        """Return the strength in an epoch, counted from 0: 1 before the `share` in which it falls, 0 in the last epoch.

        The first epoch of that share already has less than 1, and so has, with a share of 1, the first of all. A
        training of one epoch has no augmentation, whatever the share, unless it is 0.
        """
        return min(1.0, max(0.0, (self.epochs - 1 - epoch) / self.falling)) if self.falling else 1.0

    @property
    def falling(self) -> int:
        """Return the number of epochs in which it falls."""
        return max(1, round(self.share * self.epochs)) if self.share else 0


def strengths(config: AugmentConfig) -> dict[str, float | list[float]]:
    """Return the settings of augmentation that fall: those that are a strength or a probability of a transform."""
    return {name: value for name, value in vars(config).items() if name not in _KEPT}


def at_strength(config: AugmentConfig, strength: float) -> AugmentConfig:
    """Return the settings of augmentation multiplied by a strength from 0 to 1; with 1 the given ones themselves.

    Augmentations that a configuration adds have settings of their own: they are applied to a share of the clips, see
    `AddedAugmentations`.
    """
    if strength == 1:
        return config
    weaker: dict[str, Any] = {name: _times(value, strength) for name, value in strengths(config).items()}
    return replace(config, **weaker)


def _times(value: float | list[float], strength: float) -> float | list[float]:
    return [strength * each for each in value] if isinstance(value, list) else strength * value
