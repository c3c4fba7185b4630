"""Augmentations beside those of `augment.py`, one module each, found by its name: `data.augment.added: {NAME: {}}`.

A module has

- `augment(joints, draws, settings, layout, frame_mask)`: returns the augmented clips, of the shape of `joints`;
- `Settings`, where it has configuration keys of its own: a dataclass, filled from `data.augment.added.NAME`.

What happens to a clip has to be a function of `draws`, so that a resumed run sees the same clips, and is computed for a
whole batch by tensor operations on the device of `joints`.

Legend: N clips, C coordinates, T frames, V joints, M bodies.
"""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ....utils.plug_ins import find_plug_in, settings_from
from .. import counter_rng

if TYPE_CHECKING:
    from torch import Tensor

    from ....settings.data import AugmentConfig
    from ....skeleton import Layout


@dataclass(frozen=True)
class Draws:
    """Random numbers for one augmentation: functions of the clips' RNG keys and of its name. Each call gives the same.

    Attributes:
        rng_keys: (N,).
        purpose: separates the augmentation's numbers from those of all others.
    """

    rng_keys: "Tensor"
    purpose: int

    def uniform(self, count: int) -> "Tensor":
        """Return `count` numbers in [0, 1) for each clip, (N, count) float32."""
        return counter_rng.uniform(self.rng_keys, self.purpose, count)

    def normal(self, count: int) -> "Tensor":
        """Return `count` standard normal numbers for each clip, (N, count) float32."""
        return counter_rng.normal(self.rng_keys, self.purpose, count)


class AugmentationModule(Protocol):
    """What an augmentation's module has."""

    def augment(
        self, joints: "Tensor", draws: Draws, settings: Any, layout: "Layout", frame_mask: "Tensor"
    ) -> "Tensor": ...


class AddedAugmentations:
    """Apply the augmentations that a configuration adds, in its order.

    Args:
        config: names them, with their settings.

    Raises:
        UserError: there is no augmentation of a name, or a setting of one is unknown or impossible.
    """

    def __init__(self, config: "AugmentConfig") -> None:
        self._steps: list[tuple[AugmentationModule, int, Any]] = []
        for name, values in config.added.items():
            module = get_augmentation(name)
            settings = settings_from(module, values, f"data.augment.added.{name}")
            purpose = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=7).digest(), "big")
            self._steps.append((module, purpose, settings))

    def __call__(self, joints: "Tensor", layout: "Layout", frame_mask: "Tensor", rng_keys: "Tensor") -> "Tensor":
        """Return clips (N, C, T, V, M) augmented; `frame_mask` is (N, M, T) bool, `rng_keys` (N,)."""
        for module, purpose, settings in self._steps:
            joints = module.augment(joints, Draws(rng_keys, purpose), settings, layout, frame_mask)
        return joints


def get_augmentation(name: str) -> AugmentationModule:
    """Return the module of an augmentation by its name.

    Raises:
        UserError: there is none of that name.
    """
    module: AugmentationModule = find_plug_in(__name__, name, "augmentation")
    return module
