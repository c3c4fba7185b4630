"""The command `synthesize`: files, what comes next, and clear refusals."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def test_it_writes_recordings_and_prints_the_next_command(cli: Run, tmp_path: Path) -> None:
    done = cli("synthesize", "--out", tmp_path / "raw", "--clips", 3)
    assert done.code == 0
    assert len(list((tmp_path / "raw").glob("*.skeleton"))) == 3
    assert f"last preprocess --dataset synthetic --raw {tmp_path / 'raw'}" in done.out


def test_a_folder_with_a_space_is_quoted_in_the_next_command(cli: Run, tmp_path: Path) -> None:
    done = cli("synthesize", "--out", tmp_path / "my raw", "--clips", 1)
    assert f'--raw "{tmp_path / "my raw"}"' in done.out


def test_another_seed_writes_other_recordings(cli: Run, tmp_path: Path) -> None:
    for seed in (0, 1):
        cli("synthesize", "--out", tmp_path / str(seed), "--clips", 1, "--seed", seed)
    first, second = (next((tmp_path / seed).iterdir()).read_bytes() for seed in ("0", "1"))
    assert first != second


def test_no_recordings_are_refused(cli: Run, tmp_path: Path) -> None:
    refused = cli("synthesize", "--out", tmp_path, "--clips", 0)
    assert refused.code == 2
    assert "0 clips" in refused.err


def test_help_shows_examples(cli: Run) -> None:
    shown = cli("synthesize", "--help")
    assert shown.code == 0
    assert "last synthesize --out ./raw/synthetic --clips 600" in shown.out


def test_two_dozen_recordings_can_be_trained_and_tested(
    cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli("synthesize", "--out", "raw", "--clips", 24).code == 0
    prepared = cli("preprocess", "--dataset", "synthetic", "--raw", "raw", "--out", "data/synthetic")
    assert "18 train, 6 test" in prepared.out
    assert "Training refuses" not in prepared.out + prepared.err


def test_a_single_recording_is_reported_as_too_few_to_train(cli: Run, tmp_path: Path) -> None:
    assert "Request at least 2" in cli("synthesize", "--out", tmp_path, "--clips", 1).err
