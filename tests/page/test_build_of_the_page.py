"""The build of the page says what it lacks."""

import shutil
from pathlib import Path

from node_probes import ROOT, node

CONTENT = ("clips.json", "drawing.json", "layouts.json", "model.json", "model.onnx")


def built(folder: Path) -> tuple[int, str]:
    """Build the page of a checkout that has only what is in a folder; return the exit code and the error."""
    shutil.copy(ROOT / "demo" / "build.mjs", folder)
    (folder / "package.json").write_text('{"type": "module"}')
    done = node("build.mjs", folder / "page", folder=folder)
    return done.returncode, done.stderr


def test_a_build_without_content_names_the_program_that_writes_it(tmp_path: Path) -> None:
    code, told = built(tmp_path)
    assert code == 1
    assert told.startswith(f"demo/content has no {', '.join(CONTENT)}: run `python demo/make_content.py` first")
    assert len(told.splitlines()) == 1


def test_a_build_without_packages_names_the_command_that_installs_them(tmp_path: Path) -> None:
    (tmp_path / "content").mkdir()
    for name in CONTENT:
        (tmp_path / "content" / name).touch()
    code, told = built(tmp_path)
    assert code == 1
    assert "run `npm ci` in demo first" in told
    assert not (tmp_path / "page").exists()


def test_a_folder_with_other_files_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / "content").mkdir()
    for name in CONTENT:
        (tmp_path / "content" / name).touch()
    esbuild = tmp_path / "node_modules" / "esbuild"
    esbuild.mkdir(parents=True)
    (esbuild / "index.js").write_text("export const build = async () => {};")
    (esbuild / "package.json").write_text('{"type": "module", "main": "index.js"}')
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "letter.txt").write_text("mine")
    code, told = built(tmp_path)
    assert code == 1
    assert "holds other files than those of a page" in told
    assert (tmp_path / "page" / "letter.txt").read_text() == "mine"
