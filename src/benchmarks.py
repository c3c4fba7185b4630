"""The package `last.benchmarks`: the repository's folder `benchmarks`, which no wheel contains.

Its modules are imported as any other, also by processes that a benchmark starts, where this file lies in a checkout.
"""

from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

from .utils.errors import UserError

_DISTRIBUTION = "last-har"
_SOURCE = "src"  # the name of the package's folder in the repository; it is `last` where a wheel is installed


def folder_beside(source: Path) -> Path | None:
    """Return the folder of the benchmarks beside the source of LAST; None if that is not in a checkout of LAST.

    An unrelated folder with the name `benchmarks` is never taken: its code would run.
    """
    repository = source.parent
    folder = repository / "benchmarks"
    try:
        project = (repository / "pyproject.toml").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    is_checkout = source.name == _SOURCE and f'\nname = "{_DISTRIBUTION}"\n' in project
    return folder if is_checkout and (folder / "parts.py").is_file() else None


_FOLDER = folder_beside(Path(__file__).resolve().parent)
__path__ = [] if _FOLDER is None else [str(_FOLDER)]  # where Python searches for the modules of a package


def purposes() -> dict[str, str]:
    """Return each part of the benchmarks with its purpose; none outside a checkout."""
    if not __path__:
        return {}
    from .benchmarks.parts import PARTS

    return dict(PARTS)


def where_they_are() -> str:
    """Return the sentences that say where the benchmarks come from."""
    try:
        addresses = metadata(_DISTRIBUTION).get_all("Project-URL") or []
    except PackageNotFoundError:
        addresses = []
    known = [address.partition(", ")[2] for address in addresses if address.startswith("Repository, ")]
    repository = f"the repository, {known[0]}" if known else "the repository"
    return (
        f"The benchmarks come with {repository}, and not with an installed package."
        " Clone it, install LAST there as its README says, and run this command again."
    )


def check_found() -> None:
    """Check that LAST runs from a checkout, which has the benchmarks.

    Raises:
        UserError: it does not.
    """
    if not __path__:
        raise UserError(where_they_are())
