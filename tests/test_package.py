import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from patience import PATIENCE_S

import last

ROOT = Path(__file__).parents[1]


def test_importing_the_package_does_not_import_torch() -> None:
    code = "import sys, last, last.cli; print('torch' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE_S
    )
    assert result.stdout == "False\n"


@pytest.mark.parametrize("name", sorted(last.__all__))
def test_every_public_name_is_there_and_listed(name: str) -> None:
    assert getattr(last, name) is not None
    assert name in dir(last)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'last' has no attribute 'nonsense'"):
        last.nonsense  # noqa: B018 - reading it is the test


def test_the_build_packs_every_folder_of_the_source() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    folders = {path.parent.relative_to(ROOT / "src") for path in (ROOT / "src").rglob("*.py")}
    packages = {".".join(("last", *folder.parts)) for folder in folders}
    assert set(project["tool"]["setuptools"]["packages"]) == packages | {"last.configs"}


def test_every_file_of_a_package_that_is_no_python_is_in_the_package_data() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]
    for path in (ROOT / "src").rglob("*"):
        cached = path.parent.name == "__pycache__"  # compiled code, of Python and of numba
        if path.is_file() and path.suffix != ".py" and not cached and not path.name.startswith("."):
            parts = ("last", *path.parent.relative_to(ROOT / "src").parts)
            packages = [".".join(parts), ".".join(parts[:-1])]  # a folder without modules is of the package above
            assert any(path.match(pattern) for package in packages for pattern in patterns.get(package, [])), path


def test_the_tested_versions_name_every_required_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    required = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    names = {line.partition(">=")[0].lower() for line in required if not line.startswith("last-har")}
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pins = re.findall(r"^([\w.-]+)==.*\n((?: +#.*\n)+)", text, re.MULTILINE)  # each with what requires it
    names -= {"triton"}  # torch pins it where there is CUDA: CUDA in the Makefile
    assert {name for name, required_by in pins if "last-har (pyproject.toml)" in required_by} == names


def texts(source: Path) -> list[str]:
    """Return the texts in a module's code without its docstrings, which are for those who read the code."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in documents]
    return [node.value for node in constants if isinstance(node.value, str)]


WITH_MESSAGES = [
    path
    for folder, pattern in (("src", "**/*.py"), ("benchmarks", "*.py"), ("configs", "**/*.yaml"))
    for path in sorted((ROOT / folder).glob(pattern))
]


@pytest.mark.parametrize("file", WITH_MESSAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_message_mentions_what_an_installed_wheel_lacks(file: Path) -> None:
    contents = texts(file) if file.suffix == ".py" else [file.read_text(encoding="utf-8")]
    for only_in_a_checkout in ("scripts/", "-e .", "make setup"):
        assert not [text for text in contents if only_in_a_checkout in text]


def test_a_message_names_the_program_as_it_was_called() -> None:
    """It is written in one place; `torchrun` alone starts a module, whatever the program is called."""
    for file in WITH_MESSAGES:
        lines = [line for text in texts(file) for line in text.splitlines()] if file.suffix == ".py" else []
        named = [line for line in lines if "python -m last" in line and "torchrun" not in line]
        assert not named or file.name == "program.py", file


def test_every_file_that_names_the_pythons_names_the_same() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    first, end = (int(minor) for minor in re.findall(r"3\.(\d+)", project["requires-python"]))
    minors = list(range(first, end))
    prefix = "Programming Language :: Python :: 3."
    assert [int(each.removeprefix(prefix)) for each in project["classifiers"] if each.startswith(prefix)] == minors
    texts = {
        name: (ROOT / name).read_text(encoding="utf-8")
        for name in ("Makefile", "README.md", "CONTRIBUTING.md", ".github/workflows/tests.yml")
    }
    assert f"(3, {first}) <= sys.version_info[:2] < (3, {end})" in texts["Makefile"]
    searched = " ".join(f"python3.{minor}" for minor in reversed(minors))
    assert f"for python in python3 {searched};" in texts["Makefile"]
    assert str([f"3.{minor}" for minor in minors]).replace("'", '"') in texts[".github/workflows/tests.yml"]
    for name in ("Makefile", "README.md", "CONTRIBUTING.md"):
        assert f"Python 3.{first} to 3.{end - 1}" in texts[name]


@pytest.mark.parametrize("document", sorted(ROOT.glob("*.md")), ids=lambda path: path.name)
def test_every_link_of_a_document_beside_the_source_leads_to_a_file(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", document.read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_file_that_names_the_version_names_the_same() -> None:
    version = re.escape(last.__version__)
    changelog, citation = ((ROOT / name).read_text(encoding="utf-8") for name in ("CHANGELOG.md", "CITATION.cff"))
    dated = re.search(rf"^## \[{version}\] - ([\d-]+)$", changelog, re.MULTILINE)
    assert dated
    assert changelog.index("## [") == dated.start()
    assert f"\nversion: {last.__version__}\ndate-released: {dated[1]}\n" in citation


def pinned() -> dict[str, str]:
    """Return what `constraints.txt` pins: packages by their normalised names, with their versions."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [re.match(r"([\w.-]+)==([^\s;]+)", line) for line in lines]
    return {pin[1]: pin[2] for pin in pins if pin}


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def installed_requirements() -> dict[str, str]:
    """Return the installed versions of all that the extra `dev` brings, except what torch itself pins for CUDA."""
    found: dict[str, str] = {}
    waiting = [("last-har", frozenset({"dev"}))]
    seen = set(waiting)
    while waiting:
        name, extras = waiting.pop()
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue
        if name != "last-har":
            found[name] = Version(package.version).public
        for line in package.requires or ():
            needed = Requirement(line)
            marker, child = needed.marker, normalised(needed.name)
            wanted = marker is None or any(marker.evaluate({"extra": extra}) for extra in extras or {""})
            ask = (child, frozenset(needed.extras))
            of_cuda = child == "triton" or (name == "torch" and re.match("cuda|nvidia", child))
            if wanted and ask not in seen and not of_cuda:
                seen.add(ask)
                waiting.append(ask)
    return found


def test_every_package_that_an_installation_brings_is_pinned() -> None:
    pins, found = pinned(), installed_requirements()
    assert {"torch", "werkzeug", "pytest"} <= found.keys()  # required, installed by another package, of an extra
    assert sorted(found.keys() - pins.keys()) == []


def test_the_job_without_make_runs_every_check_of_make_test() -> None:
    makefile, workflow = (ROOT / name for name in ("Makefile", ".github/workflows/tests.yml"))
    recipe = makefile.read_text(encoding="utf-8").partition("\ntest: ")[2].partition("\ntest-long: ")[0]
    checks = re.findall(r"\$\(BIN\)/(.*)", recipe)
    assert len(checks) == 5
    job = workflow.read_text(encoding="utf-8").partition("without make")[2]
    assert [each for each in checks if f".venv/Scripts/{each}" not in job] == []
