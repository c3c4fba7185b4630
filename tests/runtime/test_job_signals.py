"""Signals to all processes of a training, including the loader's workers."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import TINY
from patience import PATIENCE_S

from last.runs.folder import RunFolder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no groups of processes")


# One signal stands for the others, which a trainer without workers gets in `test_resume`, by default as well.
@pytest.mark.parametrize(
    ("name", "code"),
    [
        pytest.param("SIGTERM", 143, marks=pytest.mark.long),
        pytest.param("SIGHUP", 129, marks=pytest.mark.slow),
        pytest.param("SIGINT", 130, marks=pytest.mark.slow),
    ],
)
def test_a_signal_to_trainer_and_workers_saves(data_yaml: Path, tmp_path: Path, name: str, code: int) -> None:
    roots = ["--data_root", str(data_yaml.parent / "data"), "--output_root", str(tmp_path / "runs")]
    settings = ["--set", *TINY, "epochs=100000", "hardware.num_workers=2", "checkpoint.every_minutes=0"]
    program = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    program += "from last.cli import main; sys.exit(main(sys.argv[1:]))"
    words = ["train", "--model", "nano_e", "--dataset", str(data_yaml), "--device", "cpu", *roots, *settings]
    with (tmp_path / "output").open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", program, *words], stdout=subprocess.DEVNULL, stderr=output, start_new_session=True
        )
    try:
        end = time.monotonic() + PATIENCE_S
        while not list(tmp_path.glob("runs/run-*/checkpoints/last.pth")) and time.monotonic() < end:
            time.sleep(0.05)
        os.killpg(process.pid, getattr(signal, name))
        assert process.wait(PATIENCE_S) == code, (tmp_path / "output").read_text()
    finally:
        process.kill()
        process.wait()
    (run,) = map(RunFolder, (tmp_path / "runs").glob("run-*"))
    assert run.partial.exists()
    assert "Traceback" not in (tmp_path / "output").read_text()
