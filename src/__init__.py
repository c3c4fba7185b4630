"""LAST: train, distil, evaluate and ship lightweight recognisers of human actions from skeletons.

Importing this package is cheap: what needs torch is loaded when it is first used.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:
    from . import data
    from .deploy.inputs import model_inputs
    from .deploy.recognizer import Recognizer
    from .experiments.from_python import train
    from .live.stream import StreamRecognizer
    from .models.registry import list_models
    from .runs.checkpoint_model import load_checkpoint
    from .runs.pretrained import create_model

__all__ = [
    "Recognizer",
    "StreamRecognizer",
    "__version__",
    "create_model",
    "data",
    "list_models",
    "load_checkpoint",
    "model_inputs",
    "train",
]

_HOME_OF = {
    "Recognizer": ".deploy.recognizer",
    "StreamRecognizer": ".live.stream",
    "create_model": ".runs.pretrained",
    "list_models": ".models.registry",
    "load_checkpoint": ".runs.checkpoint_model",
    "model_inputs": ".deploy.inputs",
    "train": ".experiments.from_python",
}


if not TYPE_CHECKING:  # with it a type checker would accept any name

    def __getattr__(name: str) -> Any:
        if name == "data":
            return import_module(".data", __name__)
        if name in _HOME_OF:
            return getattr(_imported(_HOME_OF[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _imported(module: str) -> ModuleType:
    """Import a module of this package; if a package that it needs is not installed, the error names the extra."""
    try:
        return import_module(module, __name__)
    except ModuleNotFoundError as error:
        from .utils.extras import extra_of
        from .utils.program import install_command

        if not (extra := extra_of(error.name or "")):
            raise
        advice = f"{error.name} is not installed. Install it with: {install_command(f'last-har[{extra}]')}"
        raise ModuleNotFoundError(advice, name=error.name) from error


def __dir__() -> list[str]:
    return __all__
