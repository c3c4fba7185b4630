"""What `predict` refuses about the file that it should write, before it reads or classifies anything."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ..data.preparation.formats import Entry
from ..data.store.format import HEADER_FILE
from ..utils.errors import UserError
from ..utils.extras import extra_problem
from ..utils.files import refuse_unwritable

ONE_CLIP = (".gif", ".mp4")
_NEEDED = {".gif": ("PIL", "matplotlib"), ".mp4": ("matplotlib",)}
_OF_A_MODEL = (".json", ".md", ".bin")  # what `export` writes beside a file, under its name


def refuse_out_of_inputs(out: Path, files: Iterable[str], model: Path) -> None:
    """Refuse to write over a file that is named as an input, over the model, or over what belongs to it.

    Raises:
        UserError: the file to write is one of these.
    """
    if any(_is_same(out, path) for named in files for path in (Path(named), Path(named) / HEADER_FILE)):
        raise UserError(f"--out {out} is named as an input, or belongs to one: choose another name.")
    if _is_same(out, model) or any(_is_same(out, path) for path in _beside(model)):
        raise UserError(f"--out {out} is the model, or a file that belongs to it: choose another name.")


def refuse_out_of_entries(out: Path, entries: Sequence[Entry]) -> None:
    """Refuse to write over one of the recordings that were found in a folder.

    Raises:
        UserError: the file to write is one of these.
    """
    if not out.exists():
        return
    for entry in entries:
        for each in (entry, *entry.copies):
            if _is_same(out, each.path) or (each.path.is_dir() and _is_same(out.absolute().parent, each.path)):
                raise UserError(f"--out {out} is among the recordings that should be classified: choose another name.")


def refuse_impossible(out: Path) -> None:
    """Refuse a file that cannot be written: for want of a package or a program, or of permission.

    Raises:
        UserError: it cannot be written; the message names it, or what is missing.
    """
    ending = out.suffix.lower()
    for package in _NEEDED.get(ending, ()):
        problem = extra_problem(package, f"Writing {out}")
        if problem is not None:
            raise problem
    if ending == ".mp4":
        from ..plots.skeletons import film_program

        film_program(f"Writing {out}")
    refuse_unwritable(out)


def refuse_several(out: Path, clips: int) -> None:
    """Refuse an animation or a film of several clips.

    Raises:
        UserError: there are several.
    """
    if clips > 1 and out.suffix.lower() in ONE_CLIP:
        raise UserError(
            f"A {out.suffix} file shows one clip, and there are {clips}: name one, or write a page, "
            f"--out {out.with_suffix('.html')}."
        )


def _beside(model: Path) -> Iterator[Path]:
    for suffix in _OF_A_MODEL:
        yield model.with_suffix(suffix)


def _is_same(one: Path, other: Path) -> bool:
    """Tell whether two paths are the same file, which may be missing."""
    try:
        return one.samefile(other)
    except OSError:
        return os.path.realpath(one) == os.path.realpath(other)
