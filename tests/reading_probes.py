"""What a test calls in another process to see how a reader copes with an input."""

from pathlib import Path

from fuzz_recordings import LAYOUTS

from last.data.preparation.formats import BadClip, Source, get_reader
from last.data.preparation.formats.restricted_pickle import load_plain
from last.data.store.reader import open_store
from last.skeleton import load_layout
from last.utils.errors import UserError


def read_recordings(name: str, folder: str) -> dict[str, str]:
    """Return the result of each recording: `read`, or why it was skipped."""
    reader = get_reader(name, Source(load_layout(LAYOUTS.get(name, "ntu25")), 2, ("first", "second")))
    found = {}
    for entry in reader.entries(Path(folder)):
        try:
            reader.read(entry)
            found[entry.name] = "read"
        except BadClip as problem:
            found[entry.name] = problem.reason
    return found


def read_pickles(folder: str) -> dict[str, str]:
    """Return the result of each pickle, read plainly and as annotations: `read`, or the refusals."""
    found = {}
    for path in sorted(Path(folder).iterdir()):
        refusals = []
        for read in (load_plain, lambda path: read_recordings("pyskl", str(path))):
            try:
                read(path)
            except UserError as error:
                refusals.append(str(error))
        found[path.stem] = "\n".join(refusals) or "read"
    return found


def read_store(path: str) -> int:
    """Open a store and return the number of its clips."""
    return len(open_store(Path(path)))
