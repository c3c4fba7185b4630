"""Options of a command become the fields of its request by their names."""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Collection
from dataclasses import MISSING, Field, fields
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from last.cli.options import fill, hours, numbers, parse, share, time_limit
from last.deploy.export import ExportRequest
from last.evaluation.request import EvalRequest, Further, TestTime
from last.experiments.sequence.plan import SequenceSpec

# The requests that commands fill from their options, and the fields that they set otherwise.
FILLED: list[tuple[str, type, Collection[str]]] = [
    ("evaluate", EvalRequest, ("checkpoint", "environment", "pictures", "members", "compare", "test_time", "further")),
    ("evaluate", TestTime, ()),
    ("evaluate", Further, ("report", "command")),
    ("export", ExportRequest, ("checkpoint", "formats", "name")),
    ("sequence", SequenceSpec, ("environment", "settings", "flags")),
]


def options_of(command: str) -> dict[str, Any]:
    """Return the default of each option of a command, by the name of its value."""
    parser = ArgumentParser()
    import_module(f"last.cli.{command}").add_arguments(parser)
    return {action.dest: action.default for action in parser._actions}


def default_of(field: Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


@pytest.mark.parametrize(("command", "request_type", "others"), FILLED)
def test_every_field_of_a_request_has_an_option_of_its_name(
    command: str, request_type: type, others: Collection[str]
) -> None:
    names = {field.name for field in fields(request_type)}
    assert names - set(others) == names & set(options_of(command)) - set(others)


@pytest.mark.parametrize(("command", "request_type", "others"), FILLED)
def test_an_option_has_no_default_beside_that_of_its_field(
    command: str, request_type: type, others: Collection[str]
) -> None:
    options = options_of(command)
    for field in fields(request_type):
        if field.name not in others:
            assert options[field.name] in (None, default_of(field)), field.name


def test_options_fill_the_request_and_those_not_given_leave_its_defaults() -> None:
    command = import_module("last.cli.evaluate")
    given = ["--checkpoint", "a.pth", "--split", "xview", "--metric", "f1", "--metric", "kappa", "--no_ema"]
    arguments = parse("evaluate", "try", command.add_arguments, given)
    filled = fill(EvalRequest, arguments, checkpoint=Path("b.pth"))
    assert filled == EvalRequest(Path("b.pth"), split="xview", metrics=["f1", "kappa"], no_ema=True)


@pytest.mark.parametrize(
    ("kind", "text", "complaint"),
    [
        (hours, "0", "'0' should be a number of hours above 0"),
        (time_limit, "-1", "'-1' should be a number of hours, such as 8.5, or 0 for no limit"),
        (share, "half", "'half' should be a share from 0 to 0.9"),
        (numbers, "1,-2", "'1,-2' should be integers from 0"),
    ],
)
def test_a_number_that_an_option_cannot_be_is_refused(kind: Callable[[str], object], text: str, complaint: str) -> None:
    with pytest.raises(ArgumentTypeError, match=complaint):
        kind(text)


@pytest.mark.parametrize("command", ["train", "sequence"])
def test_a_second_recipe_does_not_silently_replace_the_first(cli: Callable[..., Any], command: str) -> None:
    result = cli(command, "--config", "one.yaml", "--config", "two.yaml")
    assert result.code == 2 and "--config is given twice, as one.yaml and two.yaml: give one" in result.err


def test_no_hours_are_no_limit() -> None:
    assert (time_limit("0"), time_limit("8.5")) == (0.0, 8.5)
