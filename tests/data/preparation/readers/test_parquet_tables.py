"""Tables as Parquet files: the same columns, messages and limits as those of a CSV file."""

import contextlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from last.data.preparation.formats import BadClip, Source, get_reader
from last.data.preparation.formats import parquet_rows as rows_module
from last.data.preparation.formats.csv_rows import CsvFile
from last.data.preparation.formats.parquet_pages import unpacked_bytes
from last.data.preparation.formats.parquet_rows import ParquetFile
from last.data.store.clip import Clip
from last.skeleton import LayoutFile, build_layout
from last.utils.errors import UserError

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

PAIR = build_layout("pair", LayoutFile(joints=["hip", "hand"], bones=[[2, 1]], root=1, center=1), "pair.yaml")
LONG: dict[str, list[Any]] = {
    "clip": ["a"] * 8 + ["b"] * 2,
    "frame": [0, 0, 0, 0, 1, 1, 1, 1, 5, 5],
    "person": [7, 7, 9, 9, 7, 7, 9, 9, 1, 1],
    "joint": ["hip", "hand"] * 5,
    "x": [0.5, 1.5, 2.5, 3.5, 0.25, 1.25, None, 3.25, 0.0, 1.0],
    "y": [float(number) for number in range(10)],
    "z": [1.0] * 10,
    "score": [0.5, 0.25] * 5,
    "label": ["first"] * 8 + ["second"] * 2,
}


def written(columns: Mapping[str, Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    parquet.write_table(pa.table(dict(columns)), buffer, **options)
    return buffer.getvalue()


def csv_of(columns: Mapping[str, list[Any]]) -> bytes:
    lines = [",".join(columns)]
    lines += [
        ",".join("" if each is None else str(each) for each in row) for row in zip(*columns.values(), strict=True)
    ]
    return "\n".join(lines).encode()


def clips_of(folder: Path, name: str, data: bytes) -> list[Clip]:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(data)
    reader: Any = get_reader("table", Source(PAIR, 2, ("first", "second")))
    assert reader.find_classes(folder) == ["first", "second"]
    return [reader.read(entry) for entry in reader.entries(folder)]


def assert_equal(clips: list[Clip], expected: list[Clip]) -> None:
    assert [(clip.name, clip.label) for clip in clips] == [(clip.name, clip.label) for clip in expected]
    for clip, other in zip(clips, expected, strict=True):
        np.testing.assert_array_equal(clip.joints, other.joints)
        np.testing.assert_array_equal(clip.frame_mask, other.frame_mask)
        np.testing.assert_array_equal(clip.confidence, other.confidence)


@pytest.mark.parametrize(
    "options",
    [{}, {"compression": "gzip"}, {"use_dictionary": False}, {"row_group_size": 3, "data_page_version": "2.0"}],
)
def test_a_parquet_file_gives_the_clips_of_the_same_csv_file(options: Any, tmp_path: Path) -> None:
    expected = clips_of(tmp_path / "csv", "a.csv", csv_of(LONG))
    assert_equal(clips_of(tmp_path / "parquet", "a.parquet", written(LONG, **options)), expected)


def test_numbers_and_texts_may_have_any_type_that_holds_them(tmp_path: Path) -> None:
    changed = {
        **LONG,
        "frame": pa.array(LONG["frame"], pa.uint8()),
        "person": pa.array([float(each) for each in LONG["person"]]),
        "joint": pa.DictionaryArray.from_arrays([1, 2] * 5, ["not used", "hip", "hand"]),
        "x": pa.array(["" if each is None else str(each) for each in LONG["x"]]),
        "y": pa.array(LONG["y"], pa.float32()),
        "score": pa.array(LONG["score"], pa.float16()),
        "label": pa.array(LONG["label"], pa.large_string()),
    }
    expected = clips_of(tmp_path / "csv", "a.csv", csv_of(LONG))
    assert_equal(clips_of(tmp_path / "parquet", "a.parquet", written(changed)), expected)


def test_a_row_per_frame_is_read_too(tmp_path: Path) -> None:
    wide = {f"{joint}_{axis}": [1.0, 2.0] for joint in PAIR.joints for axis in "xyz"}
    wide |= {"label": ["first", "second"], "clip": ["a", "b"], "__index_level_0__": [0, 1]}
    assert len(clips_of(tmp_path, "a.parquet", written(wide))) == 2


def test_the_rows_of_many_blocks_are_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "_ROWS_AT_ONCE", 3)
    texts, numbers = {"joint": 3, "person": 2}, [1, 4, 5]
    found = ParquetFile("a", written(LONG, row_group_size=4)).read(texts, numbers)
    expected = CsvFile("a", csv_of(LONG)).read(texts, numbers)
    np.testing.assert_array_equal(found.numbers, expected.numbers)
    for name, column in expected.texts.items():
        values = [column.values[code] for code in column.codes]
        assert [found.texts[name].values[code] for code in found.texts[name].codes] == values


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"x": pa.array(["1", "two"] * 5)}, "line 2: 'x' is 'two', not a number"),
        ({"label": ["first", "second"] * 5}, "the label is 'second', but 'first' in the clip's first row"),
        ({"frame": [0.5] * 10}, "the number of its frame is 0.5"),
    ],
)
def test_a_bad_row_is_named_by_its_number(change: Any, reason: str, tmp_path: Path) -> None:
    with pytest.raises(BadClip, match=reason):
        clips_of(tmp_path, "a.parquet", written({**LONG, **change}))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"x": [[1.0]] * 10}, r"'x' holds list<.*, not numbers or texts"),
        ({"label": pa.array([b"first"] * 10)}, "'label' holds binary, not numbers or texts"),
        ({"label": ["x" * 300] * 10}, "has a label of 300 characters"),
        ({name: pa.array([], pa.float64()) for name in LONG}, "has no rows"),
    ],
)
def test_columns_of_another_kind_are_refused_by_name(change: Any, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=reason):
        clips_of(tmp_path, "a.parquet", written({**LONG, **change}))


def test_missing_columns_are_named_as_those_of_a_csv_file(tmp_path: Path) -> None:
    columns = {name: values for name, values in LONG.items() if name != "z"}
    with pytest.raises(UserError, match=r"a\.parquet.*there is no column for z: say which it is under data\.columns"):
        clips_of(tmp_path, "a.parquet", written(columns))


@pytest.mark.parametrize(("limit", "most"), [("MOST_ROWS", 9), ("MOST_NUMBERS", 39), ("LIMIT_BYTES", 200)])
def test_too_many_rows_numbers_or_bytes_are_refused(limit: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, limit, most)
    with pytest.raises(BadClip, match="divide it into files"):
        ParquetFile("a", written(LONG)).read({"joint": 3}, [1, 4, 5, 6])


def test_a_page_that_claims_more_than_its_bytes_are_worth_is_refused_before_it_is_read() -> None:
    columns = {"a": np.zeros(1 << 16), "b": np.zeros(1 << 16)}
    zeros = written(columns, use_dictionary=False, compression="zstd")
    assert len(zeros) < 4000 and unpacked_bytes(zeros, ["a"]) >= 8 << 16
    assert unpacked_bytes(zeros, ["a", "b"]) == 2 * unpacked_bytes(zeros, ["a"])
    start = parquet.ParquetFile(io.BytesIO(zeros)).metadata.row_group(0).column(0).data_page_offset
    claim = b"\x15\x00\x15\xfe\xff\xff\xff\x0f\x15\x02\x00"  # a page that has 2 GiB unpacked
    assert unpacked_bytes(zeros[:start] + claim + zeros[start + len(claim) :], ["b"]) < 1 << 20
    for damage in (claim, b"\x19" * 40, b"\x1c" * 40, b"\x18\xff\xff\xff\x7f"):
        with pytest.raises(ValueError, match="damaged"):
            unpacked_bytes(zeros[:start] + damage + zeros[start + len(damage) :], ["a"])


def test_no_changed_byte_ends_the_process_or_raises_another_error() -> None:
    whole = bytearray(written({name: values[:4] for name, values in LONG.items()}, compression="none"))
    for place in range(0, len(whole), 5):
        changed = bytes(whole[:place]) + bytes([whole[place] ^ 0x41]) + bytes(whole[place + 1 :])
        with contextlib.suppress(BadClip):
            ParquetFile("a", changed).read({"joint": 3, "label": 8}, [1, 4, 5])


@pytest.mark.parametrize(
    "data", [b"PAR1", b"PAR1" + bytes(100) + b"PAR1", written(LONG)[:-9], b"PAR1\xff\xff\xff\x7fPAR1"]
)
def test_a_damaged_file_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.parquet: is no readable Parquet file"):
        clips_of(tmp_path, "a.parquet", data)


def test_the_extra_is_named_if_its_package_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"Reading a Parquet file needs pyarrow.*last-har\[parquet\]"):
        clips_of(tmp_path, "a.parquet", b"PAR1")
