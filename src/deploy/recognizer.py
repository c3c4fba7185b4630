"""Classify recordings with an exported file. This needs NumPy and the runtime of the file, and not torch.

Legend: M bodies, F frames, V joints, C coordinates, D features, K classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from ..data.store.clip import FARTHEST, Clip
from ..utils.errors import UserError
from ..utils.numbers import counted
from .arrays import array_of_clip, not_measured, with_bodies
from .backends import open_exported
from .contract import FileFacts, Floats, Outputs, facts_from

Recording = Clip | NDArray[Any]
_WRAP = "Wrap nested lists of numbers in numpy.array."


@dataclass(frozen=True)
class Prediction:
    """What a model says about a recording.

    Attributes:
        label: the most probable class.
        probabilities: of every class, the most probable first.
    """

    label: str
    probabilities: Mapping[str, float]

    @property
    def probability(self) -> float:
        """Return that of the label."""
        return self.probabilities[self.label]


class NoBody(UserError):
    """A recording has nothing to recognise."""

    def __init__(self, min_confidence: float = 0.0) -> None:
        certain = f" with the confidence {min_confidence:g} that the model wants" if min_confidence else ""
        super().__init__(f"No body is present in any frame of the recording{certain}: there is nothing to recognise.")


class Recognizer:
    """An exported model that is ready to classify recordings.

    Args:
        path: the file, `.onnx` or `.xml`, as `export` writes it.
        threads: the number of CPU threads; 0 for the runtime's choice.

    Attributes:
        facts: what the file says about itself: classes, layout, number of bodies, and more.

    Raises:
        UserError: the file is missing, damaged, of another program or of another version, or its runtime is not
            installed.
    """

    def __init__(self, path: Path | str, threads: int = 0) -> None:
        self.path = Path(path)
        opened = open_exported(self.path, threads)
        self.facts: FileFacts = facts_from(opened.metadata, self.path)
        self._run = opened.run

    def __repr__(self) -> str:
        facts = self.facts
        return (
            f"Recognizer({str(self.path)!r}: {facts.model}, {len(facts.classes)} classes, layout {facts.layout.name})"
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the class names in the order of the logits."""
        return self.facts.classes

    @overload
    def __call__(self, recording: Recording, confidence: NDArray[Any] | None = None) -> Prediction: ...
    @overload
    def __call__(self, recording: list[Recording], confidence: None = None) -> list[Prediction]: ...
    def __call__(
        self, recording: Recording | list[Recording], confidence: NDArray[Any] | None = None
    ) -> Prediction | list[Prediction]:
        """Return the prediction for a recording of any length, or one for each of several.

        Args:
            recording: joints (M, F, V, C), or (F, V, C) of one body, as recorded: NaN where a joint is missing; a body
                is absent in a frame in which all its coordinates are zero or NaN. If there are more bodies than the
                model takes, the first ones that are present are used. Or a clip of a store; or a list of these.
            confidence: of the joints of a single array, (M, F, V) or (F, V), from 0 to 1, NaN where one is missing;
                scores of pose estimators up to 10 count as 1. A joint below the model's `min_confidence` is missing.

        Raises:
            UserError: the joints do not fit the layout of the model, the confidences are out of range, or no body is
                present.
        """
        if isinstance(recording, list):
            if any(not isinstance(each, Clip | np.ndarray) for each in recording):
                raise UserError(f"A list should hold arrays or clips, one for each recording. {_WRAP}")
            if confidence is not None:
                raise UserError("`confidence` is that of a single recording: give one at a time.")
            return [self(each) for each in recording]
        probabilities = self.probabilities(recording, confidence)
        best = np.argsort(-probabilities, kind="stable")
        ranked = {self.classes[number]: float(probabilities[number]) for number in best.tolist()}
        return Prediction(self.classes[best[0]], ranked)

    def probabilities(self, recording: Recording, confidence: NDArray[Any] | None = None) -> Floats:
        """Return the probabilities (K,) of a recording in the order of the classes; see `__call__`."""
        found: Floats = self._outputs(recording, confidence).probabilities[0]
        return found

    def embed(self, recording: Recording, confidence: NDArray[Any] | None = None) -> Floats:
        """Return the features (D,) of a recording, from which the model computes its logits; see `__call__`."""
        features: Floats = self._outputs(recording, confidence).features[0]
        return features

    def _outputs(self, recording: Recording, confidence: NDArray[Any] | None) -> Outputs:
        facts = self.facts
        if isinstance(recording, Clip):
            joints = array_of_clip(recording, facts.bodies, facts.min_confidence)
            self._refuse_other_layout(joints[0])
        else:
            joints = with_bodies(self._measured(recording, confidence), facts.bodies)
        outputs = self._run(joints) if joints.shape[2] else None
        if outputs is None or np.isnan(outputs.logits).any():
            raise NoBody(facts.min_confidence)
        return outputs

    def _measured(self, joints: NDArray[Any], confidence: NDArray[Any] | None) -> NDArray[np.float64]:
        """Return the joints of the bodies that are present, (M, F, V, C), NaN where they are missing or uncertain."""
        if not isinstance(joints, np.ndarray) or joints.dtype.kind not in "fiu":
            raise UserError(f"The joints should be a numpy.array of numbers, not {_described(joints)}.")
        self._refuse_other_layout(joints)
        whole = (joints if joints.ndim == 4 else joints[None]).astype(np.float64)
        if (np.abs(whole) > FARTHEST).any():
            raise UserError(f"Coordinates should be up to {FARTHEST:g}, and NaN where a joint is missing.")
        if confidence is not None:
            certain = np.asarray(confidence, np.float64)
            certain = certain if certain.ndim == 3 else certain[None]
            if certain.shape != whole.shape[:3]:
                raise UserError(
                    f"The confidences have the shape {np.shape(confidence)}; the joints need {joints.shape[:-1]}."
                )
            missing = not_measured(whole, certain, self.facts.min_confidence)
            whole = np.where(missing[..., None], np.nan, whole)
        present = ~((whole == 0) | np.isnan(whole)).all(axis=(1, 2, 3))
        kept: NDArray[np.float64] = whole[present]
        return kept

    def _refuse_other_layout(self, joints: NDArray[Any]) -> None:
        layout = self.facts.layout
        if joints.ndim not in (3, 4) or joints.shape[-2:] != (layout.num_joints, layout.coordinates):
            one = f"frames, {layout.num_joints}, {layout.coordinates}"
            raise UserError(
                f"The joints have the shape {joints.shape}; {self.path} takes ({one}) or (bodies, {one}), the layout "
                f"{layout.name} with {counted(layout.num_joints, 'joint')}."
            )


def _described(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype}."
    return f"a {type(value).__name__}. {_WRAP}" if isinstance(value, list | tuple) else f"{type(value).__name__}."
