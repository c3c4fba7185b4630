"""One process at a time writes a folder."""

from pathlib import Path

import pytest
from filelock import FileLock

from last.utils.errors import UserError
from last.utils.locks import alone_in


def refuse() -> None:
    raise UserError("taken")


def test_a_second_writer_is_told_and_the_first_keeps_its_lock(tmp_path: Path) -> None:
    with alone_in(tmp_path / "out", "lock", refuse):
        for _ in range(2):
            with pytest.raises(UserError, match="taken"), alone_in(tmp_path / "out", "lock", refuse, keep=False):
                pass
    with alone_in(tmp_path / "out", "lock", refuse):
        pass


def test_the_file_is_kept_or_removed_as_asked_also_after_an_error(tmp_path: Path) -> None:
    for keep in (False, True):
        with pytest.raises(RuntimeError), alone_in(tmp_path, "lock", refuse, keep=keep):
            raise RuntimeError
        assert (tmp_path / "lock").exists() == keep


def test_a_lock_whose_file_was_removed_meanwhile_is_taken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acquire, removed = FileLock.acquire, []

    def remove_once(lock: FileLock, **options: float) -> object:
        proxy = acquire(lock, **options)
        if not removed:
            (tmp_path / "lock").unlink()
            removed.append(True)
        return proxy

    monkeypatch.setattr(FileLock, "acquire", remove_once)
    with alone_in(tmp_path, "lock", refuse):
        assert (tmp_path / "lock").exists()


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="Cannot write"), alone_in(tmp_path / "file" / "out", "lock", refuse):
        pass


def test_a_file_system_without_locks_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def without(*_: object, **__: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(FileLock, "acquire", without)
    with alone_in(tmp_path, "lock", refuse):
        assert "do not start two at once" in caplog.text
