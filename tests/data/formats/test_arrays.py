"""Mapping `.npy` arrays whose headers are foreign."""

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from last.data.formats.arrays import map_array


def header(text: str, version: bytes = b"\x01\x00") -> bytes:
    text = text.ljust(117) + "\n"
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text.encode("latin1")


def described(shape: str, kind: str = "'<f8'") -> bytes:
    return header(f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}}}")


def read(path: Path, data: bytes, start: int = 0) -> np.ndarray:
    path.write_bytes(data)
    return map_array(path, start, len(data))


@pytest.mark.parametrize("array", [np.arange(6.0).reshape(2, 3), np.asfortranarray(np.eye(2, 3)), np.float32(3.5)])
def test_an_array_is_mapped_from_any_place_in_a_file(tmp_path, array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    read_back = read(tmp_path / "a", b"before" + buffer.getvalue(), start=6)
    np.testing.assert_array_equal(read_back, array)
    assert read_back.dtype == array.dtype


def test_an_empty_array_is_read(tmp_path):
    assert read(tmp_path / "a", described("(0, 20, 3)")).shape == (0, 20, 3)


def test_a_header_of_python_2_is_read_in_silence(tmp_path):
    assert read(tmp_path / "a", described("(1L, 2L)") + bytes(16)).tolist() == [[0, 0]]


@pytest.mark.parametrize(
    "data",
    [b"", b"PK\x03\x04", b"\x93NUMPY", b"\x80\x04N.", header("{'descr': '<f8', 'fortran_order': False}")]
    + [described(shape) for shape in ("(9, 20, 3)", "(-1,)", "(-1, -1)", "3", "(1.5,)", "(0, -2)")]
    + [described(f"({digits}, 20, 3)") for digits in ("9" * 15, "9" * 40)]
    + [described(f"(0, {'9' * 40})")]
    + [described("(1,)", kind) + bytes(64) for kind in ("'|O'", "'<U4'", "[('a', '<f8')]", "'V8'", "'c16'")]
    + [described("(1,)", kind) + bytes(64) for kind in ("'nothing'", "3", "()", "('<f8',)", "[[]]", "None")]
    + [
        header(text)
        for text in ("{'descr': ", "(((((", "{'a'", '"""', "\\", "{1: [}", "[" * 99, "x = 1", "0" * 50 + "L")
    ]
    + [header("{}", b"\x02\x00"), header("{}", b"\x03\x00"), header("{}", b"\x09\x00")],
)
def test_what_is_no_array_of_numbers_or_promises_more_than_there_is_is_refused(tmp_path, data):
    with pytest.raises(ValueError):
        read(tmp_path / "a", data)


@given(st.data())
def test_no_header_brings_anything_but_an_array_or_a_refusal(tmp_path_factory, data):
    whole = bytearray(described("(1, 2)") + bytes(16))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, 70))
        whole[place : place + 1] = data.draw(
            st.one_of(st.binary(max_size=2), st.sampled_from(b"([{'L\\,#").map(lambda byte: bytes([byte])))
        )
    with contextlib.suppress(ValueError):
        read(tmp_path_factory.getbasetemp() / "damaged.npy", bytes(whole))
