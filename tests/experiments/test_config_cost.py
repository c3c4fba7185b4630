"""What a configuration may cost: time and memory in proportion to its text."""

from pathlib import Path

import pytest
from under_limits import call

from last.experiments.config import resolve
from last.utils.config import to_yaml

COUNT = 130_000  # class names in half a MiB of YAML


def read_and_write(path: str) -> int:
    """Return the length of what is written of a configuration."""
    return len(to_yaml(resolve(model="nano_e", dataset=path)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  classes:\n" + "  - c1\n" * COUNT, "read"),
        ("  classes: [" + "no," * COUNT + "]\n", "read"),
        ("  classes:\n" + "  -\n" * COUNT, "refused"),
        ("  protocols: {a: {train: [" + "1," * COUNT + "'2']}}\n", "read"),
        ("  augment: {rotation_degrees: [" + "1," * COUNT + "2]}\n", "refused"),
        ("".join(f"  class_{number}: x\n" for number in range(30_000)), "refused"),
    ],
    ids=["names", "words", "nothing", "numbers", "mixed", "keys"],
)
def test_half_a_mebibyte_of_yaml_is_read_or_refused_in_seconds(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "big.yaml").write_text("data:\n  name: big\n" + text)
    answer = call("test_config_cost:read_and_write", tmp_path / "big.yaml", mib=1_000, seconds=10)
    assert answer.error == ("" if expected == "read" else "UserError"), answer
    assert len(answer.text) < 10_000
