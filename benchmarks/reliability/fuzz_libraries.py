"""Valid recordings of the formats that other packages read, written by these packages where they can."""

import io
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fuzz_changes import Files
from fuzz_recordings import some_joints

FRAMES = 4


def is_installed(package: str) -> bool:
    """Tell whether an optional package is installed."""
    return find_spec(package) is not None


# --- Parquet


def long_columns() -> dict[str, list[Any]]:
    """Return a table with a row per joint, by its columns."""
    joints = some_joints(2, FRAMES, 25)
    cells = [(body, frame, joint) for body in (0, 1) for frame in range(FRAMES) for joint in range(25)]
    columns: dict[str, list[Any]] = {
        "clip": [f"c{body}" for body, _, _ in cells],
        "frame": [frame for _, frame, _ in cells],
        "person": [str(body) for body, _, _ in cells],
        "joint": [joint for _, _, joint in cells],
    }
    columns |= {axis: [float(joints[cell][place]) for cell in cells] for place, axis in enumerate("xyz")}
    return {**columns, "score": [0.5] * len(cells), "label": [("first", "second")[body] for body, _, _ in cells]}


def parquet_seeds(_: Path) -> list[Files]:
    """Return a table in several encodings and compressions."""
    import pyarrow
    from pyarrow import parquet

    made: list[Files] = []
    for options in (
        {},
        {"compression": "gzip"},
        {"compression": "zstd", "use_dictionary": False},
        {"row_group_size": 30},
    ):
        buffer = io.BytesIO()
        parquet.write_table(pyarrow.table(long_columns()), buffer, **options)
        made.append({"a.parquet": buffer.getvalue()})
    return made
