"""A recognizer whose probabilities are a function of the joints that it is given."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from last.deploy.contract import FileFacts
from last.deploy.recognizer import Recognizer
from last.skeleton import load_layout

CLASSES = ("rise", "wave", "still")
Array = np.ndarray[Any, Any]


class FakeRecognizer(Recognizer):
    """Keep the recordings that it is given, and answer with `answer(joints)`, the probabilities of three classes."""

    def __init__(self, answer: Callable[[Array], list[float]], bodies: int = 1, **facts: Any) -> None:
        self.path = Path("fake.onnx")
        self.facts = FileFacts("fake", load_layout("coco17"), CLASSES, bodies, 30.0, 0.0, facts)
        self.seen: list[Array] = []
        self._answer = answer

    def probabilities(self, recording: Any, confidence: Any = None) -> Any:
        self.seen.append(recording)
        return np.array(self._answer(recording), np.float32)


def body(x: float = 0.0, height: float = 1.0, y: float = 0.0) -> Array:
    """Return the joints of a person who stands at `x` with raised hands of a height."""
    joints = np.random.default_rng(0).normal(0, 0.1, (17, 3))
    joints[:, 0] += x
    joints[:, 1] += np.linspace(0, 1.6, 17) + y
    joints[9:11, 1] = height
    return joints.astype(np.float32)
