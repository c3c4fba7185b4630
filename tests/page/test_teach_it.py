"""Teach it, from the first clip to a model that recognises: recorded, downloaded, trained by `last start`, opened."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from built_page import browser
from node_probes import node

from last.data.synthetic.actions import ACTIONS
from last.data.synthetic.performer import act, sample_performer

FOLDER = Path(__file__).parent
CLASSES = ("kick", "raise both arms")
SECONDS, CLIP_FRAMES = 600.0, 61


def performed(name: str, seed: int) -> np.ndarray[Any, Any]:
    """Return the joints (T, V, C) of someone who performs an action, in as many frames as the page records."""
    generator = np.random.default_rng((11, seed))
    action = next(each for each in ACTIONS if each.name == name)
    joints = act(action, sample_performer(generator), sample_performer(generator), generator)[0]
    at = np.linspace(0, len(joints) - 1, CLIP_FRAMES).round().astype(int)
    return joints[at].astype(np.float32)


def in_chromium(page: Path, folder: Path, scenario: str) -> Any:
    arguments = (browser(), page, folder, FOLDER / "teach_scenarios.mjs", scenario)
    done = node(FOLDER / "chromium.mjs", *arguments, seconds=SECONDS)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)[scenario]
    assert "value" in result, result["error"]
    assert result["value"]["faults"] == []
    return result["value"]


@pytest.mark.slow
def test_what_is_recorded_in_the_page_trains_a_model_that_recognises_it_there(built_page: Path, tmp_path: Path) -> None:
    """Run it with `pytest -m slow tests/page/test_teach_it.py`; it takes a minute or two, mostly for the training."""
    for number, name in enumerate(CLASSES):
        np.save(tmp_path / f"{name}.npy", np.concatenate([performed(name, 100 * number + turn) for turn in range(11)]))
        np.save(tmp_path / f"new {name}.npy", performed(name, 100 * number + 50))
    recorded = in_chromium(built_page, tmp_path, "record")
    assert recorded["name"] == "taught.zip"
    assert recorded["command"] == "python -m last start ./taught --layout ntu25 --minutes 2"
    zipfile.ZipFile(tmp_path / "taught.zip").extractall(tmp_path)
    assert {path.name: len(list(path.iterdir())) for path in (tmp_path / "taught").iterdir()} == dict.fromkeys(
        CLASSES, 10
    )
    command = [sys.executable, "-m", "last", "start", "./taught", "--layout", "ntu25", "--minutes", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("model.onnx", "model.json"):
        shutil.copy(tmp_path / "taught-start" / name, tmp_path / name)
    found = in_chromium(built_page, tmp_path, "recognise")["found"]
    for name in CLASSES:
        assert found[f"new {name}"].startswith(f"The whole clip: {name}, ")
