"""Work in several processes: its order, its failures, its end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from patience import PATIENCE_S

from last.utils.errors import UserError
from last.utils.worker_pool import work_in_order

LOST = "a process is lost"


def leave_a_file(path: Path) -> None:
    """Work according to the name of the path."""
    if "after" in path.name:
        _wait_for(path.with_name(path.name.partition(" after ")[2]))
    if "endless" in path.name:
        time.sleep(2 * PATIENCE_S)
    if "refuse" in path.name:
        raise UserError(f"{path.name} is refused")
    if "break" in path.name:
        raise KeyError(path.name)
    if "die" in path.name:
        os._exit(1)
    path.write_text(str(os.getpid()), encoding="utf-8")


def _wait_for(path: Path) -> None:
    end = time.monotonic() + PATIENCE_S
    while not path.exists():
        assert time.monotonic() < end, f"waited in vain for {path}"
        time.sleep(0.01)


def test_items_come_in_their_order_and_done_whatever_order_they_are_done_in(tmp_path: Path) -> None:
    items = [tmp_path / name for name in ("0 after 1", "1", "2", "3 after 4", "4", "5")]
    seen = []
    for item in work_in_order(leave_a_file, items, 2, LOST):
        assert item.is_file()
        seen.append(item)
    assert seen == items
    assert len({item.read_text(encoding="utf-8") for item in items}) == 2


def test_each_item_comes_with_the_time_that_it_took(tmp_path: Path) -> None:
    items = [tmp_path / name for name in ("0 after 1", "1", "2")]
    took: dict[Path, float] = {}
    began = time.monotonic()
    for item in work_in_order(leave_a_file, items, 2, LOST, on_done=took.__setitem__):
        assert item in took
    wall_s = time.monotonic() - began
    assert set(took) == set(items)
    assert 0 < took[items[1]] <= took[items[0]] + 0.5 * wall_s
    assert all(each <= wall_s for each in took.values())


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("1 refuse", UserError, "1 refuse is refused"),
        ("1 break", RuntimeError, "KeyError: '1 break'"),
        ("1 die", UserError, LOST),
    ],
)
def test_a_failure_is_raised_here_after_the_items_before_it(
    tmp_path: Path, name: str, error: type[Exception], words: str
) -> None:
    seen = []
    with pytest.raises(error, match=words):
        for item in work_in_order(leave_a_file, [tmp_path / "0", tmp_path / name], 1, LOST):
            seen.append(item.name)  # noqa: PERF401 - what came before the failure is looked at
    assert seen == ["0"]


def test_closing_the_generator_ends_its_processes_at_once(tmp_path: Path) -> None:
    work = work_in_order(leave_a_file, [tmp_path / "0", tmp_path / "1 endless"], 2, LOST)
    process = int(next(work).read_text(encoding="utf-8"))
    began = time.monotonic()
    work.close()
    assert time.monotonic() - began < PATIENCE_S
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def kill_the_parent(path: Path) -> None:
    """Note this process, end its parent without any warning, and work on."""
    path.write_text(str(os.getpid()), encoding="utf-8")
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(2 * PATIENCE_S)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
def test_a_process_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; import test_worker_pool as t\n"
        "list(t.work_in_order(t.kill_the_parent, [Path(sys.argv[2])], 1, t.LOST))"
    )
    paths = os.pathsep.join(sys.path)
    folder, noted = Path(__file__).parent, tmp_path / "process"
    subprocess.run([sys.executable, "-c", code, folder, noted], env={**os.environ, "PYTHONPATH": paths}, check=False)
    process, end = int(noted.read_text(encoding="utf-8")), time.monotonic() + PATIENCE_S
    with pytest.raises(ProcessLookupError):
        while time.monotonic() < end:
            os.kill(process, 0)
            time.sleep(0.01)
