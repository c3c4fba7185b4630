"""The recordings that preprocessing is measured on are read alike by both readers, and are as large as real ones."""

from pathlib import Path

import numpy as np

from last.benchmarks.content import ntu60
from last.benchmarks.memory import TreeMemory
from last.benchmarks.preprocess import read_plainly, write_recordings
from last.data.preparation.formats import Source, get_reader
from last.skeleton import load_layout
from last.utils.progress import SILENT


def test_recordings_have_the_size_and_numbers_of_real_ones(tmp_path: Path) -> None:
    recordings = write_recordings(tmp_path / "raw", 24, 0, SILENT)
    sizes = [path.stat().st_size for path in recordings.files()]
    assert sum(sizes) == recordings.size
    assert 290_000 < np.mean(sizes) < 310_000
    joint = recordings.files()[0].read_text().splitlines()[4].split()
    assert len(joint) == 12
    assert sum(map(float, joint[7:11])) != 1.0


def test_the_plain_reader_finds_the_joints_that_are_in_the_store(tmp_path: Path) -> None:
    recordings = write_recordings(tmp_path / "raw", 12, 0, SILENT)
    reader = get_reader("ntu", Source(load_layout("ntu25"), 2, ()))
    assert ntu60().format == "ntu"
    compared = 0
    for entry in reader.entries(recordings.folder):
        bodies = list(read_plainly(recordings.folder / f"{entry.name}.skeleton").values())
        if len(bodies) == 1:
            clip = reader.read(entry)
            ours = clip.joints[0] - clip.joints[0][:1, :1]
            np.testing.assert_allclose(ours, bodies[0] - bodies[0][:1, :1], atol=1e-4)
            compared += 1
    assert compared >= 3


def test_the_memory_of_a_block_is_seen() -> None:
    with TreeMemory() as memory:
        kept = np.ones(30 << 17)  # 30 MiB
    assert memory.peak_mib is None or memory.peak_mib > 30
    del kept
