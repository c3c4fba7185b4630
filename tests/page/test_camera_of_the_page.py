"""People of a camera, found by a pose model for several people, are recognised by a student of its layout."""

import json
from pathlib import Path

import numpy as np
import pytest
from built_page import browser
from deploy_probes import write_checkpoint
from node_probes import node
from test_page_in_chromium import network

from last.deploy.export import ExportRequest, export

FOLDER = Path(__file__).parent


def write_people(path: Path) -> None:
    """Write a network as YOLO-pose that finds two people, one of them twice, among three candidates."""
    rows = np.zeros((1, 56, 60))
    for number, (x, score) in enumerate([(160, 0.9), (165, 0.8), (480, 0.7), (320, 0.1)]):
        rows[0, :5, number] = x, 320, 120, 300, score
        rows[0, 5::3, number] = x + np.linspace(-40, 40, 17)
        rows[0, 6::3, number] = 320 + np.linspace(-120, 120, 17)
        rows[0, 7::3, number] = 0.9
    network(path, [1, 3, 640, 640], {"output0": rows})


@pytest.mark.slow
def test_two_people_of_a_camera_are_recognised(built_page: Path, data_yaml: Path, tmp_path: Path) -> None:
    """Run it with `pytest -m slow tests/page/test_camera_of_the_page.py`."""
    write_checkpoint(tmp_path / "last.pth", data_yaml, "nano_e", False, "data.layout=coco17_2d")
    export(ExportRequest(tmp_path / "last.pth", ("onnx",), name="student", threads=1), tmp_path)
    write_people(tmp_path / "people.onnx")
    done = node(FOLDER / "chromium.mjs", browser(), built_page, tmp_path, FOLDER / "camera_scenarios.mjs")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["recognises"]
    assert "value" in found, found["error"]
    assert found["value"]["labels"] == ["fall", "rise", "still"]
    assert found["value"]["faults"] == []
