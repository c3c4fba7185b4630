"""The metrics in the summary of a run whose logbook lacks rows."""

import re
from collections.abc import Callable

import pytest

from last.experiments.summary import _row_of
from last.runs.checkpoint import read_checkpoint
from last.runs.folder import RunFolder
from last.utils.errors import UserError


def test_metrics_that_the_logbook_lacks_are_those_of_the_checkpoint_of_their_epoch(
    trained_run: Callable[..., RunFolder],
) -> None:
    run = trained_run("epochs=2")
    assert _row_of(run, {1: {"test_top1": 12.5}}, 1) == {"test_top1": 12.5}
    assert _row_of(run, {}, 1) == read_checkpoint(run.last).metrics


def test_metrics_of_an_epoch_that_neither_logbook_nor_checkpoints_have_are_reported(
    trained_run: Callable[..., RunFolder],
) -> None:
    run = trained_run("epochs=2")
    message = rf"epoch 7 of {re.escape(str(run.path))} are missing .*evaluate --checkpoint {re.escape(str(run.last))}"
    with pytest.raises(UserError, match=message):
        _row_of(run, {0: {}, 1: {}}, 7)
