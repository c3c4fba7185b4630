"""What a configuration may cost: time and memory in proportion to its text."""

from pathlib import Path

import pytest
from limited import run_limited

COUNT = 130_000  # class names in half a MiB of YAML

READ = """
from last.training.config import resolve
from last.utils.config import to_yaml
from last.utils.errors import UserError
try:
    text = to_yaml(resolve(model="nano_e", dataset="big.yaml"))
    print("read", len(text) > 0)
except UserError as error:
    print("refused", len(str(error)))
"""


@pytest.mark.parametrize(
    ("text", "answer"),
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
def test_half_a_mebibyte_of_yaml_is_read_or_refused_in_seconds(tmp_path: Path, text: str, answer: str) -> None:
    (tmp_path / "big.yaml").write_text("data:\n  name: big\n" + text)
    told, number = run_limited(READ, seconds=12, mib=3_000, folder=tmp_path).split()
    assert told == answer
    assert told == "read" or int(number) < 10_000
