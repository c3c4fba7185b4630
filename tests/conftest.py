"""What every test can use: real recordings where they are, fixed seeds, the command line, a tiny data set."""

import errno
import gc
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import settings

from last.cli import main
from last.data.store.clip import Clip
from last.data.store.reader import write_store
from last.experiments import run as experiment
from last.experiments.config import resolve
from last.plots import figures
from last.runs.folder import RunFolder
from last.runtime.stop_requests import Stop
from last.settings.run import RunConfig
from last.training.trainer import Trainer
from last.utils.signals import ENDING_SIGNALS, is_ignored

pytest_plugins = [
    "built_page",
    "deploy_probes",
    "preprocess_probes",
    "sequence_probes",
    "serve_fixtures",
    "store_probes",
    "sweep_probes",
    "search_probes",
]  # fixtures of more than one file of tests

# The same examples every time, and no deadline, because a busy machine is no defect.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")


@dataclass(frozen=True)
class CommandResult:
    """What a command left behind: its exit code and what it wrote."""

    code: int
    out: str
    err: str


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect tests without looking for garbage; later look for it seldom, and not among what is there by then."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)
        gc.enable()


def pytest_sessionfinish() -> None:
    """Let what was left out be freed, as libraries expect that watch for leaks."""
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def _signals_reach_what_is_started() -> None:
    """Handle signals that are ignored, as under `nohup` or in the background, so that tests and children get them."""
    if is_ignored(signal.SIGINT):
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in ENDING_SIGNALS:
        if is_ignored(number):
            signal.signal(number, lambda _number, _frame: None)


@pytest.fixture(scope="session", autouse=True)
def _one_torch_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _nothing_flushed() -> Iterator[None]:
    """Skip flushing to the disk, which only a power failure would reveal, and which is slow."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", os.fstat)  # which also needs an open file
        yield


@pytest.fixture(scope="session", autouse=True)
def _bf16_as_on_any_processor() -> Iterator[None]:
    """Let mixed precision mean bf16 on a CPU that is slow at it too, so that tests mean the same on each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("last.runtime.precision.bf16_is_slow", lambda _: False)
        yield


@pytest.fixture(autouse=True)
def _fixed_seeds() -> None:
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - code under test may be a library that draws from the global generator
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def real_recordings() -> Path:
    """Return the folder of real recordings that LAST_TEST_DATA names; without it, skip."""
    named = os.environ.get("LAST_TEST_DATA", "")
    if not named:
        pytest.skip("LAST_TEST_DATA is not set, so there are no real recordings to test on")
    folder = Path(named)
    if not folder.is_dir():
        pytest.fail(f"LAST_TEST_DATA names {folder}, which is not a folder", pytrace=False)
    return folder


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Callable[..., CommandResult]:
    """Return a function that runs `last <arguments>` in this process."""

    def run(*arguments: object) -> CommandResult:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return CommandResult(code, captured.out, captured.err)

    return run


@pytest.fixture
def replace_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str | None], None]:
    """Return a function that puts a package of the given content in the place of an installed one, or none at all."""

    def hide(name: str, content: str | None) -> None:
        for module in list(sys.modules):
            if module.partition(".")[0] == name:
                monkeypatch.delitem(sys.modules, module)
        if content is not None:
            folder = tmp_path / "instead" / name
            folder.mkdir(parents=True)
            (folder / "__init__.py").write_text(content)
            monkeypatch.syspath_prepend(tmp_path / "instead")

    return hide


CLASSES = ["rise", "fall", "still"]


CENTER = 1  # spine_middle of the layout ntu25


def moving_clips(count: int = 24) -> Iterator[Clip]:
    """Yield clips whose class is the direction in which a body moves; odd clips have a second body."""
    generator = np.random.default_rng(0)
    for number in range(count):
        label, bodies, frames = number % 3, 1 + number % 2, 12 + number % 5
        joints = generator.normal(size=(bodies, 1, 25, 3)).repeat(frames, axis=1)
        joints[..., 1] += (1.0, -1.0, 0.0)[label] * np.linspace(0, 3, frames)[None, :, None]
        joints -= joints[0, 0, CENTER]
        valid = np.ones((bodies, frames), np.bool_)
        subject = 1 + number // 12
        yield Clip(f"clip{number:02}", joints.astype(np.float32), valid, label, subject=subject, camera=1)


@pytest.fixture(scope="session")
def data_yaml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data YAML beside a folder `data` that holds its prepared store."""
    folder = tmp_path_factory.mktemp("tiny")
    write_store(folder / "data" / "tiny", moving_clips(), name="tiny", layout="ntu25", classes=CLASSES)
    text = f"data: {{name: tiny, classes: {CLASSES}, split: xsub, protocols: {{xsub: {{by: subject, train: [1]}}}}}}"
    (folder / "tiny.yaml").write_text(text)
    return folder / "tiny.yaml"


# A stage of either kind: with attention and without.
TWO_STAGES = ["model.channels=[8,8]", "model.blocks=[1,1]", "model.attention=[false,true]"]
TINY = ["input_frames=8", *TWO_STAGES, "tensorboard=false", "batch_size=4"]


def tiny_run(data_yaml: Path, output_root: Path, *overrides: str) -> RunConfig:
    """Resolve the configuration of a tiny run; `overrides` are `--set` texts."""
    roots = {"data_root": str(data_yaml.parent / "data"), "output_root": str(output_root), "device": "cpu"}
    return resolve(
        model="nano_e", dataset=str(data_yaml), environment="local", overrides=[*TINY, *overrides], flags=roots
    )


@pytest.fixture
def tiny_config(data_yaml: Path, tmp_path: Path) -> Callable[..., RunConfig]:
    """Return a function that resolves the configuration of a tiny run; its arguments are `--set` texts."""
    return partial(tiny_run, data_yaml, tmp_path / "runs")


@pytest.fixture(scope="session")
def train_once(data_yaml: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., RunFolder]:
    """Return a function that trains a tiny run once for all tests that need the same one, which they do not change."""

    @cache
    def trained(*overrides: str) -> RunFolder:
        return experiment.train(tiny_run(data_yaml, tmp_path_factory.mktemp("once"), *overrides)).run

    return trained


@pytest.fixture
def trained_run(train_once: Callable[..., RunFolder], tmp_path: Path) -> Callable[..., RunFolder]:
    """Return a function that puts a tiny run into the output folder, where the test may change it."""

    def put(*overrides: str) -> RunFolder:
        run = train_once(*overrides).path
        return RunFolder(Path(shutil.copytree(run, tmp_path / "runs" / run.name)))

    return put


@pytest.fixture(scope="session")
def trained_teacher(data_yaml: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Return the run of a teacher wider than the student; tests leave it as it is."""
    overrides = ("epochs=2", "model.channels=[16,16]", "seed=7")
    return experiment.train(tiny_run(data_yaml, tmp_path_factory.mktemp("teacher"), *overrides)).run


@pytest.fixture
def teacher(trained_teacher: RunFolder, tmp_path: Path) -> Path:
    """Return the checkpoint of a teacher, whose run is in the output folder and may be changed."""
    copied = shutil.copytree(trained_teacher.path, tmp_path / "runs" / trained_teacher.path.name)
    return RunFolder(Path(copied)).last


@pytest.fixture(scope="session", autouse=True)
def _empty_pictures() -> Iterator[Callable[..., None]]:
    """Save figures without their content, because that is half of a tiny run's time; return what saves them whole."""
    whole = figures._save
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "_save", lambda _figure, path: path.write_bytes(b"\x89PNG\r\n\x1a\n"))
        yield whole


@pytest.fixture
def coarse_pictures(_empty_pictures: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw whole pictures, with a third of the pixels."""
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(figures, "_save", _empty_pictures)
    monkeypatch.setattr(figures, "_DOTS_PER_INCH", 50)


def deny_listing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a folder unreadable."""
    listed = Path.iterdir

    def iterdir(path: Path) -> Iterator[Path]:
        if path == folder:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)


@pytest.fixture
def plug_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[ModuleType, Path], None]]:
    """Return a function that adds a module's file to a package until the test ends."""
    added = []

    def add(package: ModuleType, file: Path) -> None:
        folder = tmp_path / package.__name__
        if not folder.exists():
            folder.mkdir()
            monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
        shutil.copy(file, folder)
        added.append(f"{package.__name__}.{file.stem}")

    yield add
    for name in added:
        sys.modules.pop(name, None)


@pytest.fixture
def train_and_stop(monkeypatch: pytest.MonkeyPatch) -> Callable[[RunConfig, int], RunFolder]:
    """Return a function that trains a number of steps, and then stops as after SIGTERM."""

    def trained(config: RunConfig, most: int) -> RunFolder:
        steps = []
        train_batch = Trainer._train_batch

        def stopping(trainer: Trainer, *given: object) -> None:
            train_batch(trainer, *given)
            steps.append(1)
            if len(steps) == most:
                trainer.watch._signal = Stop.TERMINATE

        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "_train_batch", stopping)
            return experiment.train(config).run

    return trained
