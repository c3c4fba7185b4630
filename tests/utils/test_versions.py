import subprocess
from pathlib import Path

from patience import PATIENCE_S

from last.utils import versions as module
from last.utils.versions import git_commit, versions
from last.version import __version__


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE_S).stdout.strip()


def test_versions_name_last_python_and_what_it_needs() -> None:
    assert versions()["last"] == __version__
    assert all(versions().values())


def test_a_package_that_is_not_installed_has_no_version(monkeypatch) -> None:
    monkeypatch.setattr(module, "PACKAGES", ("no-such-package-anywhere",))
    assert versions()["no-such-package-anywhere"] == ""


def test_the_commit_is_reported_and_marked_where_files_were_changed_since(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert git_commit(tmp_path) == commit
    (tmp_path / "a").write_text("2")
    assert git_commit(tmp_path) == f"{commit}-dirty"


def test_a_folder_within_somebody_elses_repository_has_no_commit(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "site-packages").mkdir()
    assert git_commit(tmp_path / "site-packages") == ""


def test_no_git_means_no_commit(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.setenv("PATH", "")
    assert git_commit(tmp_path) == ""
