"""Commands that write at their end: a place that cannot be written is refused first, and refusals leave nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.mark.parametrize(
    "arguments",
    [
        ("inspect", "recordings", "--out", "file/page.html"),
        ("inspect", "recordings", "--json", "--write_ignore", "file/bad.txt"),
        ("view", "recordings", "--out", "file/page.html"),
        ("start", "recordings", "--out", "file/started"),
        ("predict", "--model", "model.onnx", "recordings", "--out", "file/page.html"),
        ("export", "--checkpoint", "last.pth", "--out", "file/model.onnx"),
        ("export", "--checkpoint", "last.pth", "--out", "file/exported"),
        ("split", "--dataset", "synthetic", "--out", "file/splits"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_anything_is_read(
    arguments: tuple[str, ...], cli: Command
) -> None:
    Path("file").write_text("kept")
    refused = cli(*arguments)  # nothing else that is named exists, so that reading anything would say so
    assert refused.code == 2 and "a part of the path is a file, not a folder. Choose another place" in refused.err
    assert [path.name for path in Path().iterdir()] == ["file"]


def test_an_inspection_that_cannot_be_written_here_names_the_option(
    cli: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def touch(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "touch", touch)
    refused = cli("inspect", "recordings")
    assert refused.code == 2 and f"Cannot write {Path.cwd()}: permission was denied" in refused.err
    assert "--out FILE" in refused.err
    assert "There is no recordings" in cli("inspect", "recordings", "--json").err


@pytest.mark.parametrize("command", ["inspect", "view", "start"])
@pytest.mark.parametrize(("path", "problem"), [("empty", "is an empty folder"), ("gone", "There is no gone")])
def test_what_is_refused_at_once_leaves_no_folder(command: str, path: str, problem: str, cli: Command) -> None:
    Path("empty").mkdir()
    out = Path("new") / ("folder" if command == "start" else "page.html")
    for more in ((), ("--out", out)):
        refused = cli(command, path, *more)
        assert refused.code == 2 and problem in refused.err
    assert [each.name for each in Path().iterdir()] == ["empty"]
