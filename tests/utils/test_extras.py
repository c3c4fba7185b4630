"""Optional packages that are installed, missing, or installed but not importable."""

import sys
from pathlib import Path

import pytest

from last.utils.extras import EXTRAS, extra_problem, fault_of, import_fault

PACKAGES = [package for packages in EXTRAS.values() for package in packages]
BREAKS = {
    'raise ImportError("numpy.core.multiarray failed to import")': "ImportError: numpy.core.multiarray failed",
    'raise ValueError("numpy.dtype size changed")': "ValueError: numpy.dtype size changed",
    'raise OSError("libx.so: cannot open shared object file")': "OSError: libx.so",
    "raise SystemExit(3)": "SystemExit: 3",
    "import a_dependency_that_is_not_there": "ModuleNotFoundError: No module named 'a_dependency",
}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_that_works_has_no_fault(package: str) -> None:
    pytest.importorskip(package)
    assert import_fault(package) is None
    assert extra_problem(package, "Drawing") is None


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_that_is_absent_names_the_extra(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    extra = next(extra for extra, packages in EXTRAS.items() if package in packages)
    message = str(extra_problem(package, "Drawing"))
    assert message.startswith(f"Drawing needs {package}, which is not installed.")
    assert f"pip install 'last-har[{extra}]'" in message


@pytest.mark.parametrize("content", BREAKS)
@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_that_cannot_be_imported_names_the_reason_and_what_to_do(
    replace_package, package: str, content: str
) -> None:
    replace_package(package, content)
    message = str(extra_problem(package, "Drawing"))
    assert message.startswith(f"Drawing needs {package}, which is installed, but cannot be imported ({BREAKS[content]}")
    assert message.endswith(f"pip install --force-reinstall {'pillow' if package == 'PIL' else package}")


@pytest.mark.parametrize("package", PACKAGES)
def test_a_folder_of_its_name_is_no_package(
    replace_package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    replace_package(package, None)
    (tmp_path / package).mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert import_fault(package) == ""


def test_a_long_reason_becomes_one_short_line() -> None:
    message = fault_of(ImportError("a word\n" * 200))
    assert message.startswith("ImportError: a word a word ")
    assert (len(message) < 210, message[-3:]) == (True, "...")
