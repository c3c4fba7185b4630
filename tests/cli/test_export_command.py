"""The command `export`: what it prints, where its files go, and what it refuses."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from patience import PATIENCE_S

from last.cli import export as command
from last.deploy import export as exporting
from last.deploy.export import Exported, ExportRequest


@pytest.fixture
def orders(monkeypatch: pytest.MonkeyPatch) -> list[tuple[ExportRequest, Path]]:
    """Return the command's request, without exporting."""
    requests = []

    def export(request: ExportRequest, out: Path, *_: object) -> list[Exported]:
        requests.append((request, out))
        return [Exported("openvino", (out / "nano_e.xml", out / "nano_e.bin"), 3 << 20, 1.5e-7, 0.55)]

    monkeypatch.setattr(exporting, "export", export)
    monkeypatch.setattr(command, "_data_of", lambda *_: None)
    return requests


def test_it_shows_files_sizes_agreement_and_latency(cli: Callable, orders: list, tmp_path: Path) -> None:
    result = cli("export", "--checkpoint", tmp_path / "run" / "checkpoints" / "best_model.pth")
    assert result.code == 0
    assert "nano_e.xml nano_e.bin" in result.out
    assert result.out.split("CPU ms")[1].split()[2:5] == ["3.0", "1.5e-07", "0.55"]
    assert "Compared with the checkpoint on random recordings." in result.out
    assert result.out.splitlines()[-1] == f"The files are in {tmp_path / 'run' / 'export' / 'best_model'}"


@pytest.mark.parametrize(
    ("flags", "folder"),
    [
        ([], "last"),
        (["--bodies", "2"], "last-bodies-2"),
        (["--bodies", "1", "--no_ema"], "last-bodies-1-no_ema"),
    ],
)
def test_each_export_has_its_own_folder(
    cli: Callable, orders: list, tmp_path: Path, flags: list[str], folder: str
) -> None:
    cli("export", "--checkpoint", tmp_path / "last.pth", *flags)
    assert orders[0][1] == tmp_path / "export" / folder


def test_every_option_reaches_the_export(cli: Callable, orders: list, tmp_path: Path) -> None:
    flags = ["--format", "onnx", "--bodies", "2", "--threads", "1", "--no_ema"]
    cli("export", "--checkpoint", "a.pth", *flags, "--out", tmp_path)
    assert orders == [(ExportRequest(Path("a.pth"), ("onnx",), bodies=2, threads=1, no_ema=True), tmp_path)]


@pytest.mark.parametrize(("name", "formats"), [("mine.onnx", ("onnx",)), ("mine.xml", ("openvino",))])
def test_a_file_may_be_named(cli: Callable, orders: list, tmp_path: Path, name: str, formats: tuple[str]) -> None:
    assert cli("export", "--checkpoint", "a.pth", "--out", tmp_path / name).code == 0
    assert orders == [(ExportRequest(Path("a.pth"), formats, "mine"), tmp_path)]


@pytest.mark.parametrize(
    ("formats", "expected"),
    [
        ([], ("onnx",)),
        (["both"], ("onnx", "openvino")),
        (["safetensors", "openvino", "safetensors"], ("safetensors", "openvino")),
    ],
)
def test_several_formats_are_written_at_once(
    cli: Callable, orders: list, tmp_path: Path, formats: list[str], expected: tuple[str, ...]
) -> None:
    flags = ["--format", *formats] if formats else []
    assert cli("export", "--checkpoint", "a.pth", "--out", tmp_path, *flags).code == 0
    assert orders[0][0].formats == expected


@pytest.mark.parametrize("name", ["model.tflite", "model.pth"])
def test_a_file_of_an_unknown_kind_is_refused(cli: Callable, orders: list, tmp_path: Path, name: str) -> None:
    result = cli("export", "--checkpoint", "a.pth", "--out", tmp_path / name)
    assert (result.code, orders) == (2, [])
    assert "should be a folder, or a file whose name ends in .onnx, .xml, .safetensors" in result.err


def test_8_bit_numbers_are_refused_without_the_clips_that_calibrate_them(
    cli: Callable, orders: list, tmp_path: Path
) -> None:
    result = cli("export", "--checkpoint", "a.pth", "--format", "int8", "--out", tmp_path)
    assert (result.code, orders) == (2, [])
    assert "--format int8 needs the data set of the run" in result.err and "--data_root" in result.err


def test_a_file_of_another_format_than_the_one_that_is_asked_for_is_refused(cli: Callable, tmp_path: Path) -> None:
    result = cli("export", "--checkpoint", "a.pth", "--format", "openvino", "--out", tmp_path / "mine.onnx")
    assert result.code == 2
    assert "mine.onnx is a file for --format onnx, not openvino: name a folder" in result.err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--compare", "0"], "--compare 0 should be at least 1"),
        (["--threads", "-1"], "--threads -1 should be at least 0"),
        (["--bodies", "3"], "argument --bodies: invalid choice"),
        ([], "Cannot read the checkpoint missing.pth"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(cli: Callable, flags: list[str], message: str) -> None:
    result = cli("export", "--checkpoint", "missing.pth", *flags)
    assert result.code == 2
    assert message in result.err


def test_the_command_loads_no_runtime_before_it_is_run() -> None:
    heavy = ("torch", "onnx", "openvino")
    code = f"import sys, {command.__name__}; print([each for each in {heavy} if each in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE_S
    )
    assert result.stdout == "[]\n"
