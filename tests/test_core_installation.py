"""With NumPy, PyYAML and Rich alone: what works, and which extra the rest asks for."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from core_packages import BLOCK

from last.data.preparation.formats.base import KIND
from last.settings.data import data_settings
from last.skeleton import list_layouts, load_layout
from last.utils.config import config_names

PROGRAM = f"""{BLOCK}
import json
from last.data.preparation.formats.base import KIND
from last.settings.data import DataConfig, data_settings
from last.skeleton import list_layouts, load_layout
from last.utils.config import config_names, data_layer, merge, section_layer

found = {{
    "layouts": {{name: repr(load_layout(name)) for name in list_layouts()}},
    "readers": [name for name in KIND.names() if KIND.find(name).Reader],
    "data": {{
        name: repr(data_settings(name)) for name in config_names("data")
    }},
}}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_layouts_and_data_sets_of_the_program_are_read_without_validation_as_with_it(found: dict[str, Any]) -> None:
    assert found["layouts"] == {name: repr(load_layout(name)) for name in list_layouts()}
    data = {name: repr(data_settings(name)) for name in config_names("data")}
    assert found["data"] == data


def test_every_reader_can_be_imported(found: dict[str, Any]) -> None:
    assert found["readers"] == list(KIND.names())


def test_a_file_of_the_user_names_the_extra_that_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("joints: [hip]\nroot: 1\ncenter: 1\n")
    program = f"{BLOCK}\nfrom last.skeleton import load_layout\nload_layout({str(path)!r})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1].startswith(
        "last.utils.errors.UserError: Reading a configuration needs pydantic"
    )
    assert "pip install 'last-har[prepare]'" in done.stderr


def test_a_function_that_needs_torch_names_its_extra() -> None:
    program = f"{BLOCK}\nimport last\nlast.create_model"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "ModuleNotFoundError: torch is not installed. Install it with: " in done.stderr
    assert "pip install 'last-har[train]'" in done.stderr


NEEDED = {"train": "torch", "preprocess": "pydantic", "export": "torch", "inspect": "pydantic", "cost": "torch"}


@pytest.mark.parametrize("name", NEEDED)
def test_a_command_names_the_extra_that_it_needs_before_it_reads_anything(
    name: str, cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, NEEDED[name], None)
    options = {"train": [], "preprocess": ["--raw", "x"], "export": ["--checkpoint", "x"], "inspect": ["x"]}
    result = cli(name, *options.get(name, []))
    extra = {"torch": "train", "pydantic": "prepare"}[NEEDED[name]]
    assert result.code == 2 and f"pip install 'last-har[{extra}]'" in result.err
