"""What the operating system refuses is told in words that help a user."""

import errno
from pathlib import Path

import pytest

from last.utils.system_errors import is_resolvable, reason

SOURCE = Path(__file__).parents[2] / "src"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EPERM, "permission was denied"),
        (errno.EISDIR, "it is a folder, not a file"),
        (errno.ENAMETOOLONG, "a name in the path is too long"),
        (errno.EMFILE, "too many files are open (`ulimit -n` raises the limit)"),
    ],
)
def test_a_cause_that_a_user_can_resolve_is_told_in_plain_words(number: int, words: str) -> None:
    error = OSError(number, "Text of the system", "a.npy")
    assert (reason(error), is_resolvable(error)) == (words, True)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.EIO, "Input/output error", "a.npy"), "Input/output error"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "a.npy"), "No such file or directory"),
        (OSError("it is no file"), "it is no file"),
    ],
)
def test_any_other_cause_is_told_as_the_system_does(error: OSError, text: str) -> None:
    assert (reason(error), is_resolvable(error)) == (text, False)


def test_the_cause_of_an_error_that_is_not_of_the_system_is_its_text() -> None:
    assert reason(ValueError("no header")) == "no header"


def test_no_other_module_shows_the_text_of_the_system() -> None:
    users = [path.relative_to(SOURCE) for path in SOURCE.rglob("*.py") if "strerror" in path.read_text("utf-8")]
    assert users == [Path("utils/system_errors.py")]
