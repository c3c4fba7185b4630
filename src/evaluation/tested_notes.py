"""Sentences about a tested part whose figures say less than they seem to: few classes, untrained ones, no movement."""

import numpy as np

from ..data.store.clip_faults import still_clips
from ..utils.names import first_few
from ..utils.numbers import counted
from .tested import TestedModel

_ONE_CLASS = "There is one class only, so every clip is recognised, whatever the model has learned."
_CLASSES_NAMED = 3


def notes_on(model: TestedModel) -> list[str]:
    """Return sentences about the classes that a model was trained on and those of the tested clips, and still clips.

    Nothing is said of the training if its clips are not here.
    """
    clips = model.store.clips[model.indices]
    stills = still_clips(clips, "tested clip")
    return [*_about_classes(model, clips["label"]), *([stills] if stills else [])]


def _about_classes(model: TestedModel, labels: np.ndarray) -> list[str]:
    classes, untrained, tested = model.classes, model.untrained(), np.unique(labels).tolist()
    if len(classes) == 1:
        return [_ONE_CLASS]
    found = []
    trained = [name for label, name in enumerate(classes) if label not in untrained]
    if len(trained) == 1:
        found.append(
            f"All training clips are of one class ({trained[0]}), so there was nothing to tell apart, and the accuracy "
            "says nothing."
        )
    if len(tested) == 1:
        found.append(
            f"All tested clips are of one class ({classes[tested[0]]}), so the accuracy does not tell whether clips of "
            "other classes are taken for it."
        )
    if missing := [label for label in tested if label in untrained]:
        clips = int(np.isin(labels, missing).sum())
        names = first_few([classes[label] for label in missing], _CLASSES_NAMED)
        found.append(
            f"{counted(clips, 'tested clip')} of {counted(len(missing), 'class')} without any training clip ({names}): "
            "the accuracy of such clips says nothing."
        )
    return found
