"""The page takes the description of an exported model, and no damaged one."""

import json
from pathlib import Path
from typing import Any

import pytest
from deploy_probes import SharedExport
from node_probes import ROOT, answer

PROGRAM = f"""
import {{ readFileSync }} from "node:fs";
import {{ checkedFacts }} from "{(ROOT / "demo/src/engine/facts.js").as_uri()}";
const told = JSON.parse(readFileSync(process.argv[1], "utf8")).map((facts) => {{
  try {{
    return checkedFacts(facts) ? "" : "nothing";
  }} catch (error) {{
    return error.constructor.name === "Problem" ? error.message : String(error);
  }}
}});
console.log(JSON.stringify(told));
"""


@pytest.fixture
def facts(shared_export: SharedExport) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(shared_export.model.with_suffix(".json").read_text(encoding="utf-8"))
    return found


def told_of(folder: Path, *descriptions: object) -> list[str]:
    (folder / "facts.json").write_text(json.dumps(descriptions))
    found: list[str] = answer(PROGRAM, folder / "facts.json")
    return found


def test_the_description_that_export_writes_is_taken(facts: dict[str, Any], tmp_path: Path) -> None:
    assert told_of(tmp_path, facts) == [""]


def test_another_or_a_damaged_description_is_refused(facts: dict[str, Any], tmp_path: Path) -> None:
    layout = facts["layout"]
    others = told_of(tmp_path, None, [], 5, {"format": "other"})
    assert all("not the description of a model that LAST exported" in told for told in others)
    assert "has version 9 of the format" in told_of(tmp_path, {**facts, "format_version": 9})[0]
    damaged: list[dict[str, Any]] = [
        {"classes": ["one"]},
        {"classes": [1, 2, 3]},
        {"classes": None},
        {"outputs": {}},
        {"exported": {}},
        {"input": {"shape": ["clips", 3, "frames", 25, 3]}},
        {"input": {"shape": ["clips", 2, "frames", 17, 3]}},
        {"layout": {**layout, "bones": [[0, 25]]}},
        {"layout": {**layout, "mirror": [5]}},
        {"layout": {**layout, "center": 99}},
        {"layout": {**layout, "coordinates": 4}},
        {"layout": {**layout, "joints": []}},
        {"layout": None},
        {"frame_rate": 1e9},
        {"frame_rate": "fast"},
    ]
    for change, told in zip(damaged, told_of(tmp_path, *({**facts, **each} for each in damaged)), strict=True):
        assert told.startswith("The description of the model is damaged"), change
