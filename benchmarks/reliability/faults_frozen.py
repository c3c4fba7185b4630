"""The command line with BatchNorm frozen, so that several processes can compute what one computes.

Each process normalises its own part of a batch, which one process alone does not; by running statistics all normalise
alike. It is for `faults.py` alone.
"""

import sys

from torch import nn

from last.cli import main


def _stay_in_evaluation(module: nn.Module, _mode: bool = True) -> nn.Module:
    return nn.Module.train(module, False)


def freeze() -> None:
    """Let every BatchNorm normalise by its running statistics, in training too."""
    nn.modules.batchnorm._BatchNorm.train = _stay_in_evaluation  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    freeze()
    sys.exit(main())
