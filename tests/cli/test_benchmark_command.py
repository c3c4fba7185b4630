"""The command `benchmark`: its help, and what it refuses."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from patience import PATIENCE_S

from last.benchmarks.parts import PARTS


def test_help_lists_every_part_and_does_not_wait_for_torch() -> None:
    code = "import sys, last.cli; last.cli.main(['benchmark', '--help']); print('torch' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE_S
    )
    assert all(f"\n  {name} " in result.stdout for name in (*PARTS, "all"))
    assert result.stdout.endswith("False\n")


@pytest.mark.parametrize("part", [*PARTS, "all"])
def test_a_parts_help_has_examples_and_the_options_of_all(part: str, cli: Callable[..., Any]) -> None:
    result = cli("benchmark", part, "--help")
    assert result.code == 0
    assert f"python -m last benchmark {part}" in result.out.split("examples:")[1]
    assert all(option in result.out for option in ("--json FILE", "--threads N", "--seed N", "--quick"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: PART;"),
        (["trainig"], "There is no benchmark 'trainig'. Did you mean 'training'?"),
        (["training", "--models", "nano"], "There is no model 'nano'. Did you mean 'nano_e'?"),
        (["training", "--batch", "0"], "argument --batch: '0' should be a whole number, 1 or more"),
        (["data", "--data_placemnt", "ram"], "there is no option '--data_placemnt' (did you mean '--data_placement'?)"),
        (["epochs", "--quick", "--config", "none"], "There is no recipe 'none'."),
        (["roofline", "--device", "cuda"], "--device cuda: this machine has no such device"),
        (["guards", "--json", "."], "--json . is a folder."),
    ],
)
def test_wrong_values_are_one_message_and_exit_code_2(
    arguments: list[str], message: str, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    result = cli("benchmark", *arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"error: {message}")
    assert result.err.count("\n") == 1


@pytest.mark.parametrize(("given", "batch"), [([], 2), (["--batch", "3"], 3)])
def test_quick_is_small_but_an_option_that_is_given_wins(given: list[str], batch: int, cli: Callable[..., Any]) -> None:
    result = cli("benchmark", "losses", "--quick", "--steps", 1, "--frames", 4, "--quiet", *given)
    assert result.code == 0, result.err
    assert f"nano_e, batch {batch}:" in result.out
