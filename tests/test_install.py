"""An editable install is found by editors and type checkers, follows the checkout, and runs from the files in it."""

import base64
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from patience import PATIENCE_S

import last

pytest.importorskip("setuptools", reason="building needs setuptools, which an environment without pip may lack")

ROOT = Path(__file__).parents[1]
BUILT_FROM = ("src", "configs", "build_backend", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in")
ENTRIES = "import sys; sys.path.insert(0, 'build_backend'); import last_build; "


def run(*command: object, cwd: Path) -> str:
    """Return what a command prints; its exit code has to be 0."""
    result = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, cwd=cwd, timeout=PATIENCE_S, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@dataclass(frozen=True)
class Install:
    """A checkout, the editable wheel that was built from it, and an environment into which that was unpacked."""

    checkout: Path
    wheel: Path
    python: Path

    def run_code(self, code: str) -> str:
        return run(self.python, "-c", code, cwd=self.python.parent).strip()


def copied_checkout(folder: Path) -> Path:
    for name in (*BUILT_FROM, "benchmarks"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            folder.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def install(tmp_path_factory: pytest.TempPathFactory) -> Install:
    place = tmp_path_factory.mktemp("install")
    checkout = copied_checkout(place / "checkout")
    name = run(sys.executable, "-c", ENTRIES + f"print(last_build.build_editable({str(place)!r}))", cwd=checkout)
    wheel = place / name.splitlines()[-1]
    venv.create(place / "environment", with_pip=False)
    windows = os.name == "nt"
    python = place / "environment" / ("Scripts/python.exe" if windows else "bin/python")
    packages = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=place).strip()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    return Install(checkout, wheel, python)


@pytest.fixture(scope="module")
def revealed(install: Install, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return mypy's types outside the checkout: of a function, and of a module that was added later."""
    pytest.importorskip("mypy")
    (install.checkout / "src" / "added_later.py").write_text("NUMBER: int = 7\n")
    folder = tmp_path_factory.mktemp("types")
    lines = ("import last", "from last.added_later import NUMBER", "", "reveal_type(last.list_models())")
    (folder / "uses_last.py").write_text("\n".join((*lines, "reveal_type(NUMBER)", "")))
    options = ("--config-file=", "--no-incremental", "--python-executable", install.python)
    return run(sys.executable, "-m", "mypy", *options, folder / "uses_last.py", cwd=folder)


def test_a_type_checker_sees_the_package_and_its_types(revealed: str) -> None:
    assert 'Revealed type is "list[str]"' in revealed


def test_a_running_program_names_the_files_that_one_edits(install: Install) -> None:
    modules = ("last", "last.cli", "last.configs", "last.benchmarks.parts")
    files = install.run_code(f"import {', '.join(modules)}; print({', '.join(f'{name}.__file__' for name in modules)})")
    assert [Path(file).relative_to(install.checkout).parts[0] for file in files.split()] == [
        "src",
        "src",
        "configs",
        "benchmarks",
    ]


def test_another_copy_on_the_path_comes_first(install: Install, tmp_path: Path) -> None:
    (tmp_path / "last").mkdir()
    (tmp_path / "last" / "__init__.py").write_text("")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import last; print(last.__file__)"
    assert Path(install.run_code(code)).is_relative_to(tmp_path)


def test_it_is_found_after_the_import_caches_are_emptied(install: Install) -> None:
    code = "import importlib; importlib.invalidate_caches(); import last.configs; from last.cli import main; print(1)"
    assert install.run_code(code) == "1"


def test_a_module_that_is_added_later_is_found(install: Install, revealed: str) -> None:
    assert install.run_code("from last.added_later import NUMBER; print(NUMBER)") == "7"
    assert 'Revealed type is "int"' in revealed


def test_what_make_clean_removes_is_not_needed(install: Install, tmp_path: Path) -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\nclean:")[2]
    assert "rm -rf build" in recipe
    assert ".editable" not in recipe
    for leftover in ("build", "last_har.egg-info"):
        shutil.rmtree(install.checkout / leftover, ignore_errors=True)
    assert install.run_code("import last.configs; print(last.__name__)") == "last"


def test_the_record_of_the_editable_wheel_names_every_file_so_that_uninstalling_removes_all(install: Install) -> None:
    with zipfile.ZipFile(install.wheel) as archive:
        assert archive.testzip() is None
        (record,) = [name for name in archive.namelist() if name.endswith(".dist-info/RECORD")]
        lines = dict(line.split(",", 1) for line in archive.read(record).decode().splitlines())
        assert lines.keys() == set(archive.namelist())
        assert "__editable__.last_har_for_editors.pth" in lines
        for name in lines.keys() - {record}:
            content = archive.read(name)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            assert lines[name] == f"sha256={digest},{len(content)}"


def test_the_links_of_the_readme_work_where_nothing_lies_beside_it(install: Install) -> None:
    with zipfile.ZipFile(install.wheel) as archive:
        (metadata,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        text = archive.read(metadata).decode()
    (repository,) = re.findall(r"^Project-URL: Repository, (.*)$", text, re.MULTILINE)
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert f"{repository}/blob/HEAD/docs/models.md#a-size-of-your-own" in links
    assert [link for link in links if not link.startswith("https://")] == []


def test_a_container_image_gets_what_an_installation_is_built_from() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {line[1:] for line in lines if line.startswith("!")} == {*BUILT_FROM, "constraints.txt"}


def test_where_no_link_can_be_made_the_install_works_as_setuptools_makes_it(tmp_path: Path) -> None:
    checkout = copied_checkout(tmp_path / "checkout")
    refuse = "import pathlib\ndef refuse(*_, **__): raise OSError('not permitted')\npathlib.Path.symlink_to = refuse\n"
    code = refuse + ENTRIES + f"print(last_build.build_editable({str(tmp_path)!r}))"
    name = run(sys.executable, "-c", code, cwd=checkout).splitlines()[-1]
    with zipfile.ZipFile(tmp_path / name) as archive:
        path_files = [each for each in archive.namelist() if each.endswith(".pth")]
    assert path_files == [f"__editable__.last_har-{last.__version__}.pth"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a wheel that was built from a source archive."""
    place = tmp_path_factory.mktemp("wheel")
    checkout = copied_checkout(place / "checkout")
    name = run(sys.executable, "-c", ENTRIES + f"print(last_build.build_sdist({str(place)!r}))", cwd=checkout)
    shutil.unpack_archive(place / name.splitlines()[-1], place / "unpacked", filter="data")
    (unpacked,) = (place / "unpacked").iterdir()
    name = run(sys.executable, "-c", ENTRIES + f"print(last_build.build_wheel({str(place)!r}))", cwd=unpacked)
    return place / name.splitlines()[-1]


def test_a_source_archive_holds_what_builds_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {"last/__init__.py", "last/configs/data/ntu60.yaml", "last/py.typed"} <= {*names}
    assert not [each for each in names if "last_build" in each or ("/" not in each and each.endswith(".pth"))]
    assert "last/runs/weights/synthetic.pth" in names
    assert not [each for each in names if each.startswith("last/benchmarks/")]


# A folder that is called as that of the repository is, where a user works.
FOREIGN = "raise SystemExit('a foreign folder was run')"


@pytest.fixture(scope="module")
def elsewhere(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a working folder with an unrelated folder `benchmarks`, next to an unpacked wheel."""
    place = tmp_path_factory.mktemp("elsewhere")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place / "packages")
    foreign = place / "work" / "benchmarks"
    foreign.mkdir(parents=True)
    for name in ("__init__.py", "parts.py", "options.py"):
        (foreign / name).write_text(FOREIGN)
    return foreign.parent


def benchmark(folder: Path, *arguments: str, packages: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Return the output of `benchmark` in a folder, in this environment or with packages before it."""
    return subprocess.run(
        [sys.executable, "-m", "last", "benchmark", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, **({"PYTHONPATH": str(packages)} if packages else {})},
        timeout=PATIENCE_S,
    )


@pytest.mark.parametrize("arguments", [[], ["training"], ["all", "--quick"], ["training", "--help"], ["trainig"]])
def test_outside_a_checkout_one_message_says_where_the_benchmarks_are(elsewhere: Path, arguments: list[str]) -> None:
    result = benchmark(elsewhere, *arguments, packages=elsewhere.parent / "packages")
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"the repository, {project['urls']['Repository']}, " in result.stderr


def test_outside_a_checkout_help_says_where_the_benchmarks_are(elsewhere: Path) -> None:
    result = benchmark(elsewhere, "--help", packages=elsewhere.parent / "packages")
    assert (result.returncode, result.stderr) == (0, "")
    assert "The benchmarks come with the repository" in result.stdout


def test_in_a_checkout_the_benchmarks_of_the_checkout_are_run_wherever_one_works(elsewhere: Path) -> None:
    result = benchmark(elsewhere, "guards", "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert "--saves N" in result.stdout
