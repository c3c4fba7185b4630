"""The command line with BatchNorm frozen, so that several processes compute the same as one.

Each process normalises its own part of a batch, unlike a single process; with running statistics all normalise
equally. Only `faults.py` uses it.
"""

import sys

from torch import nn

from last.cli import main


def _stay_in_evaluation(module: nn.Module, _mode: bool = True) -> nn.Module:
    return nn.Module.train(module, False)


def freeze() -> None:
    """Make every BatchNorm normalise by its running statistics, also in training."""
    nn.modules.batchnorm._BatchNorm.train = _stay_in_evaluation  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    freeze()
    sys.exit(main())
