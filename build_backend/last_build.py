"""The build backend of LAST: setuptools, with editable installs that editors see and README links that work anywhere.

An editable install of setuptools maps `last` to `src/` by a finder, which is code: what reads an environment without
running it finds no `last` there. So the checkout gets a folder `.editable` with a link `last -> ../src`, and the
editable wheel a .pth file that names this folder. The second line of that file tells a running program that nothing
can be imported from there, so that it imports from `src/` by the finder as before: tracebacks, breakpoints and
`__file__` name the files that one edits, and a `last` on PYTHONPATH still comes first. Where no link can be made
(Windows without the right to), the install is setuptools' own.

The README links to files beside it. A package index shows it without these, so the metadata of every build have it with
links into the repository, whose address `[project.urls]` names.
"""

import base64
import hashlib
import locale
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403 - a backend is what it offers
from setuptools.command.egg_info import egg_info

_CHECKOUT = Path(__file__).resolve().parents[1]
_FOLDER, _PACKAGE, _SOURCE = ".editable", "last", "src"
_PATH_FILE = "__editable__.last_har_for_editors.pth"  # read after setuptools' own, which has the finder


def build_editable(
    wheel_directory: str, config_settings: dict[str, Any] | None = None, metadata_directory: str | None = None
) -> str:
    """Build setuptools' editable wheel, add to it where `last` is found without running anything, return its name."""
    name: str = build_meta.build_editable(wheel_directory, config_settings, metadata_directory)
    folder = link_source(_CHECKOUT)
    if folder is not None:
        add_file(Path(wheel_directory, name), _PATH_FILE, path_file(folder))
    return name


class MetadataWithAbsoluteLinks(egg_info):  # type: ignore[misc]
    """The command that collects the metadata of every build, with the links of the README made absolute."""

    def finalize_options(self) -> None:
        metadata = self.distribution.metadata
        metadata.long_description = absolute_links(metadata.long_description, metadata.project_urls["Repository"])
        super().finalize_options()


def absolute_links(markdown: str, repository: str) -> str:
    """Return a Markdown text whose links to files lead into the default branch of a repository; other links stay."""
    return re.sub(r"\]\((?![a-z]+:|#)([^)\s]+)\)", rf"]({repository}/blob/HEAD/\1)", markdown)


def link_source(checkout: Path) -> Path | None:
    """Make the folder with the link to the source and return it; None where no link can be made."""
    folder = checkout / _FOLDER
    link = folder / _PACKAGE
    try:
        folder.mkdir(exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(Path("..", _SOURCE), target_is_directory=True)
    except OSError:
        return None
    return folder if link.is_dir() else None


def path_file(folder: Path) -> bytes:
    """Return the content of the .pth file, in the encoding that Python reads such files in."""
    encoding = "utf-8" if sys.version_info >= (3, 13) else locale.getencoding()
    # A character that the encoding lacks names a folder that is not there, which Python passes over.
    nothing_there = f"import sys; sys.path_importer_cache[{str(folder)!r}] = None"
    return f"{folder}\n{nothing_there}\n".encode(encoding, errors="replace")


def add_file(wheel: Path, name: str, content: bytes) -> None:
    """Add a file to a wheel and to its RECORD, which says what uninstalling removes."""
    with zipfile.ZipFile(wheel) as archive:
        members = [(info, archive.read(info)) for info in archive.infolist()]
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    line = f"{name},sha256={digest},{len(content)}\n".encode()
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
        for info, data in members:
            archive.writestr(info, line + data if info.filename.endswith(".dist-info/RECORD") else data)
