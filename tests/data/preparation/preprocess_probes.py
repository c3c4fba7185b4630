"""What the tests of preparation share: recordings of six numbers, and a reader of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from last.data.preparation import chunks
from last.data.preparation import preprocess as preprocess_module
from last.data.preparation.formats import BadClip, DroppedClip, Entry, base
from last.data.preparation.formats.recordings import merge_copies
from last.data.preparation.preprocess import preprocess
from last.data.preparation.report import PreparationReport
from last.data.store.clip import Clip
from last.settings.data import DataConfig, ProtocolConfig


class NumbersReader:
    """Read files `NAME.txt` of six numbers: label, subject, camera, setup, bodies, frames."""

    read_names: list[str] = []  # noqa: RUF012 - every instance of a test counts here
    stop_at = ""

    def __init__(self, source: object) -> None: ...

    def entries(self, raw: Path) -> Sequence[Entry]:
        found = (Entry(path.stem, path, "", path.stat().st_size) for path in sorted(raw.rglob("*.txt")))
        return merge_copies(found, raw)

    def read(self, entry: Entry) -> Clip:
        if entry.name == self.stop_at:
            raise KeyboardInterrupt
        self.read_names.append(entry.name)
        text = entry.path.read_text(encoding="utf-8")
        if text == "bad":
            raise BadClip(entry.name, 3, "is broken")
        if text == "empty":
            raise DroppedClip(entry.name, 0, "no skeleton")
        label, subject, camera, setup, bodies, frames = map(int, text.split())
        joints = np.full((bodies, frames, 25, 3), subject, np.float32)
        return Clip(entry.name, joints, np.ones((bodies, frames), np.bool_), label, subject, camera, setup)


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> type[NumbersReader]:
    """Read every data set of a test with `NumbersReader`, two recordings per chunk."""
    for module in (base, preprocess_module):
        monkeypatch.setattr(module, "get_reader", lambda name, source: NumbersReader(source))
    monkeypatch.setattr(NumbersReader, "read_names", [])
    monkeypatch.setattr(chunks, "_MAX_ENTRIES", 2)
    return NumbersReader


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Return a folder of seven recordings: c is damaged, e has no skeleton."""
    folder = tmp_path / "raw"
    folder.mkdir()
    texts = {"a": "0 1 1 1 1 4", "b": "1 2 1 1 2 3", "c": "bad", "d": "0 2 2 2 1 5", "e": "empty"}
    for name, text in {**texts, "f": "1 1 2 2 2 2", "g": "0 3 1 3 1 1"}.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return folder


CONFIG = DataConfig(
    name="tiny",
    classes=["wave", "walk"],
    split="xsub",
    protocols={"xsub": ProtocolConfig("subject", train=[1]), "xview": ProtocolConfig("camera", test=[1])},
)


def prepare(raw: Path, out: Path, config: DataConfig = CONFIG, **options: object) -> PreparationReport:
    return preprocess(config, raw, out, workers=1, **options)


def arrays(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.glob("*.npy"))}


def with_a_copy_of_c(raw: Path, text: str) -> Path:
    (raw / "z_copies").mkdir()
    (raw / "z_copies" / "c.txt").write_text(text, encoding="utf-8")
    return raw
