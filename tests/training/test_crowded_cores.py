"""A training that other programs slow down says why, once."""

import logging

import pytest
import torch

from last.training.crowded_cores import CrowdedCores


@pytest.fixture(autouse=True)
def _two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)


def warnings_after(speeds: list[float], caplog: pytest.LogCaptureFixture, device: str = "cpu") -> list[str]:
    cores = CrowdedCores(torch.device(device))
    with caplog.at_level(logging.WARNING):
        for speed in speeds:
            cores.observe(speed)
    return [record.getMessage() for record in caplog.records]


def test_a_collapse_of_speed_is_explained_once(caplog: pytest.LogCaptureFixture) -> None:
    (warning,) = warnings_after([170, 180, 8, 7], caplog)

    assert "8 clips/s, an earlier one 180" in warning
    assert "OMP_WAIT_POLICY=passive" in warning


def test_half_the_speed_is_no_collapse(caplog: pytest.LogCaptureFixture) -> None:
    assert warnings_after([90, 180, 91], caplog) == []


def test_threads_that_sleep_are_not_warned_of(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")

    assert warnings_after([180, 8], caplog) == []


def test_one_thread_waits_for_none(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)

    assert warnings_after([180, 8], caplog) == []


def test_a_gpu_does_not_depend_on_them(caplog: pytest.LogCaptureFixture) -> None:
    assert warnings_after([180, 8], caplog, device="cuda") == []
