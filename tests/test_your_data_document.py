"""The guide docs/your-data.md: its Python runs, and what it quotes is what the program says."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
DOCUMENT = (ROOT / "docs" / "your-data.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT, flags=re.MULTILINE | re.DOTALL)


def test_a_long_recording_is_cut_between_its_intervals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    joints = np.arange(30 * 100, dtype=np.float32).reshape(-1, 1, 1) * np.ones((1, 17, 2), np.float32)
    Path("day").mkdir()
    np.save("day/day.npy", joints)
    rows = [(second + 0.5, second + 2.0, "wave" if second % 2 else "clap") for second in range(0, 99, 3)]
    with Path("intervals.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["recording", "start", "stop", "label"], *(["day", *row] for row in rows)])
    exec(compile(blocks("python")[0], "your-data.md", "exec"), {})  # noqa: S102 - our own document
    with Path("parts.csv").open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert [row["label"] for row in found] == [label for *_, label in rows]
    assert len({row["recording"] for row in found}) == 12
    for row, (start, stop, _) in zip(found, rows, strict=True):
        part = np.load(f"parts/{row['recording']}.npy")
        own = part[int(row["start_frame"]) : int(row["stop_frame"])]
        np.testing.assert_array_equal(own, joints[round(start * 30) : round(stop * 30)])
    assert sum(len(np.load(path)) for path in Path("parts").iterdir()) == len(joints)


def test_what_it_says_when_something_is_wrong_is_in_the_program() -> None:
    program = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "src").rglob("*.py")))
    program = re.sub(r'"\s*\n\s*f?"', "", program)  # texts that are divided into lines
    table = DOCUMENT.partition("## Messages and what to do")[2].partition("\n## ")[0]
    quoted = [each for line in table.splitlines()[4:] for each in re.findall(r"`([^`]+)`", line.split(" | ")[0])]
    assert len(quoted) > 10
    for text in quoted:
        words = re.sub(r"\d[\d,]*", "...", text).split("...")
        assert all(each.strip() in program for each in words), text
