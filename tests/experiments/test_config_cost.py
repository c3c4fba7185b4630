"""What a configuration may cost: time and memory in proportion to its text."""

import time
from pathlib import Path

import pytest
from under_limits import call

from last.experiments.config import resolve
from last.utils.config import to_yaml

COUNT = 130_000  # class names in half a MiB of YAML
SECONDS = 10


CASES = {
    "names": ("  classes:\n" + "  - c1\n" * COUNT, "read"),
    "words": ("  classes: [" + "no," * COUNT + "]\n", "read"),
    "nothing": ("  classes:\n" + "  -\n" * COUNT, "refused"),
    "numbers": ("  protocols: {a: {train: [" + "1," * COUNT + "2]}}\n", "read"),
    "mixed": ("  augment: {rotation_degrees: [" + "1," * COUNT + "2]}\n", "refused"),
    "keys": ("".join(f"  class_{number}: x\n" for number in range(30_000)), "refused"),
}


def read_and_write(path: str) -> tuple[float, str, int]:
    """Return the seconds of the processor, the error's name, and the length of its text, or of what is written."""
    begun, error = time.process_time(), ""
    try:
        text = to_yaml(resolve(model="nano_e", dataset=path))
    except Exception as refusal:
        text, error = str(refusal), type(refusal).__name__
    return time.process_time() - begun, error, len(text)


def read_and_write_each(folder: str) -> dict[str, tuple[float, str, int]]:
    """Return what `read_and_write` does, by the name of each file in a folder."""
    return {path.stem: read_and_write(str(path)) for path in Path(folder).glob("*.yaml")}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[float, str, int]]:
    """Return the result of every case; one process reads all of them, because each would import torch."""
    folder = tmp_path_factory.mktemp("big")
    for name, (text, _) in CASES.items():
        (folder / f"{name}.yaml").write_text("data:\n  name: big\n" + text)
    result = call("test_config_cost:read_and_write_each", folder, mib=1_000, seconds=SECONDS * len(CASES))
    assert isinstance(result.value, dict), result
    return result.value


@pytest.mark.parametrize("name", CASES)
def test_half_a_mebibyte_of_yaml_is_read_or_refused_in_seconds(
    results: dict[str, tuple[float, str, int]], name: str
) -> None:
    seconds, error, length = results[name]
    assert seconds < SECONDS
    assert error == ("" if CASES[name][1] == "read" else "UserError")
    assert not error or length < 10_000
