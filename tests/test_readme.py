"""The README's commands run as printed, on less data."""

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import last
from last.cli import main
from last.runs import pictures as run_pictures

README = Path(__file__).parents[1] / "README.md"
# The commands are unchanged except for these, which only shorten them.
SHORTER = [
    (r"--clips \d+", "--clips 60"),
    (r"--epochs \d+", "--epochs 1"),
    (r"--set learning_rate", "--set model.blocks=[1,1,1] learning_rate"),
    (r"(--dataset ntu60 --split xview)", r"\1 --epochs 1"),
]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    return [line for block in blocks("bash") for line in block.splitlines() if line.startswith("python scripts/")]


@pytest.fixture
def newcomer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Callable[..., Any]) -> Callable[[str], Any]:
    """Return a function that runs a line of the README in an empty folder, without the pictures of runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_pictures, "draw_run", lambda run: None)

    def run(line: str) -> Any:
        for pattern, shorter in SHORTER:
            line = re.sub(pattern, shorter, line)
        if runs := sorted(Path().glob("runs/run-*")):
            line = re.sub(r"run-YYYY-MM-DD", runs[0].name, line)
        script, *arguments = shlex.split(line.removeprefix("python ").removeprefix("-m last "), comments=True)
        result = cli(Path(script).stem, *arguments)
        assert result.code == 0, result.err
        return result

    return run


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which the first three commands have run: synthesize, preprocess and train, with pictures."""
    folder = tmp_path_factory.mktemp("walked")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for line in commands()[:3]:
            for pattern, shorter in SHORTER:
                line = re.sub(pattern, shorter, line)
            assert main([Path(shlex.split(line)[1]).stem, *shlex.split(line)[2:]]) == 0
    return folder


@pytest.fixture
def trained(walked: Path, tmp_path: Path, newcomer: Callable[[str], Any]) -> Path:
    """Return the newcomer's folder after the first three commands."""
    shutil.copytree(walked, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.mark.long
def test_synthetic_walk_through_runs_as_it_stands(newcomer: Callable[[str], Any], trained: Path) -> None:
    assert len(list(trained.glob("runs/run-*/*.png"))) == 2
    assert "The report is in" in newcomer(commands()[3]).out
    exports = [line for line in commands() if "export.py" in line]
    assert len(exports) == 2
    for line in exports:
        assert "The files are in" in newcomer(line).out
    (predict,) = [line for line in commands() if "predict.py" in line]
    assert newcomer(predict).out.count(" %") >= 60
    assert (trained / "data" / "synthetic" / "store.json").exists()


@pytest.mark.usefixtures("trained")
def test_runs_are_resumed_listed_and_compared(newcomer: Callable[[str], Any]) -> None:
    newcomer(commands()[2])
    lines = [line for block in blocks("bash") for line in block.splitlines() if line.startswith("python -m last")]
    lines = [line for line in lines if not line.startswith(("python -m last benchmark", "python -m last sequence"))]
    resume, seeds, folds, runs, compare, record, clean = lines
    assert "--seeds 0,1,2" in seeds and "--folds 5" in folds  # their recordings may not be distributed
    newcomer(resume)
    assert "2 runs in runs" in newcomer(runs).out
    assert "curves.png" in newcomer(compare).out
    assert "1 record in results" in newcomer(record).out
    assert "There is nothing to free in runs" in newcomer(clean).out


@pytest.mark.long
def test_distillation_and_the_sequence_run_as_they_stand(
    newcomer: Callable[[str], Any], trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Path] = []  # eighteen pictures of 60 and 120 classes would take half a minute
    monkeypatch.setattr(run_pictures, "draw_run", lambda run: drawn.append(run.path))
    (distill,) = [line for line in commands() if "distill.py" in line]
    newcomer(distill)
    assert len(list(trained.glob("runs/run-*"))) == 2
    newcomer("python scripts/synthesize.py --out data/raw/nturgbd --clips 60")
    for dataset in ("ntu60", "ntu120"):
        newcomer(f"python scripts/preprocess.py --dataset {dataset} --raw data/raw/nturgbd")
    (sequence,) = [line for block in blocks("bash") for line in block.splitlines() if "last sequence" in line]
    here = "--epochs 1 --data_root data --output_root runs --device cpu --teacher_set model.heads=4 "
    here += "--set hardware.num_workers=0 input_frames=8 tensorboard=false model.channels=[8,8,8] model.blocks=[1,1,1]"
    result = newcomer(sequence.replace("--amp", here))
    assert "The sequence is in runs/sequence-ntu60-xsub" in result.out
    assert sum("sequence-ntu60-xsub" in str(path) for path in drawn) == 18


@pytest.mark.long
def test_ntu_commands_run_on_raw_files_of_its_format(newcomer: Callable[[str], Any], tmp_path: Path) -> None:
    newcomer("python scripts/synthesize.py --out data/raw/nturgbd --clips 60")
    prepare, smoke, student = commands()[4:7]
    newcomer(prepare)
    newcomer(smoke)
    newcomer(student.replace("base_e", "nano_e"))
    assert len(list(tmp_path.glob("runs/run-*"))) == 2


def test_torch_for_the_cpu_is_the_version_that_last_is_tested_with() -> None:
    tested = re.findall(r"^torch==.*", (README.parent / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert re.findall(r"torch==[\d.]+", README.read_text(encoding="utf-8")) == tested


@pytest.mark.parametrize("line", commands())
def test_every_command_of_the_readme_is_a_known_one(line: str) -> None:
    assert re.match(r"python scripts/(synthesize|preprocess|train|distill|evaluate|export|predict)\.py --", line)


def test_python_example_runs(trained: Path) -> None:
    run = next(trained.glob("runs/run-*")).name
    example = blocks("python")[0].replace("run-YYYY-MM-DD", run)
    exec(compile(example, "README.md", "exec"), {})  # noqa: S102 - our own README
    assert last.__version__
