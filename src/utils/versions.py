"""Versions of LAST and its packages, saved with every run and shown by `last doctor`."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ..version import __version__

PACKAGES = ("torch", "numpy", "pydantic", "rich")
_CHECKOUT = Path(__file__).resolve().parents[2]
_GIT_PATIENCE_S = 10.0


def versions() -> dict[str, str]:
    """Return the versions of LAST, Python and each required package; empty for a missing one."""
    return {
        "last": __version__,
        "python": platform.python_version(),
        **{package: _package_version(package) for package in PACKAGES},
    }


def git_commit(checkout: Path = _CHECKOUT) -> str:
    """Return the commit of the checkout that LAST runs from, with `-dirty` if files were changed since.

    It is empty if LAST does not run from a checkout, or git is not installed.
    """
    if not (checkout / ".git").exists():
        return ""
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}  # do not block a git command that is running there
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=_GIT_PATIENCE_S, env=environment, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip()


def _package_version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
