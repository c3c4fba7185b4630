"""Reading `.npy` arrays whose headers are foreign."""

import contextlib
import io
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from last.utils.array_files import DamagedArray, array_of, map_array


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


def test_a_shape_without_an_element_is_read_only_if_it_is_an_empty_list(tmp_path):
    for shape in ("(10000000, 0, 150)", "(3, 0)", "(0, 0)", "(0, 4294967296, 150)"):
        with pytest.raises(DamagedArray, match="impossible"):
            read(tmp_path / "a", described(shape))


def test_structured_elements_of_numbers_and_text_are_read_where_they_are_expected(tmp_path):
    array = np.array([("étude", 3, True), ("b", -1, False)], [("name", "<U5"), ("label", "<i4"), ("kept", "?")])
    np.save(tmp_path / "a.npy", array)
    assert map_array(tmp_path / "a.npy", records=True).tolist() == array.tolist()
    assert array_of((tmp_path / "a.npy").read_bytes(), records=True).tolist() == array.tolist()
    with pytest.raises(DamagedArray, match="numbers"):
        map_array(tmp_path / "a.npy")
    for kind in (
        "[('a', '|O')]",
        "[('a', '<f4', (2,))]",
        "[('a', '<f4'), ('a', '<f4')]",
        "[]",
        "[('', '<f4')]",
        "'<f4'",
    ):
        (tmp_path / "b.npy").write_bytes(described("(1,)", kind) + bytes(64))
        with pytest.raises(DamagedArray):
            map_array(tmp_path / "b.npy", records=True)


@pytest.mark.parametrize("array", [np.arange(6.0).reshape(2, 3), np.asfortranarray(np.eye(2, 3)), np.zeros((0, 4))])
def test_an_array_is_read_from_bytes_as_from_a_file(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    data = (tmp_path / "a.npy").read_bytes()
    np.testing.assert_array_equal(array_of(data), array)
    if array.size:
        with pytest.raises(DamagedArray, match="cut short"):
            array_of(data[:-1])


def test_every_header_that_numpy_writes_is_read(tmp_path):
    for kind in [*"?bBhHiIlLqQefd", ">f4", ">i8", np.longdouble]:
        for shape in [(), (3,), (2, 3), (1, 2, 3, 4)]:
            array = np.ones(shape, kind)
            np.save(tmp_path / "a.npy", array)
            read_back = map_array(tmp_path / "a.npy")
            assert (read_back.dtype, read_back.shape) == (array.dtype, array.shape)


def test_a_header_in_another_order_or_of_the_second_version_is_read(tmp_path):
    text = '{"shape": (2,), "fortran_order": False, "descr": "<i2"}\n'
    assert read(tmp_path / "a", header(text) + b"\1\0\2\0").tolist() == [1, 2]
    second = b"\x93NUMPY\x02\x00" + len(text).to_bytes(4, "little") + text.encode()
    assert read(tmp_path / "a", second + b"\1\0\2\0").tolist() == [1, 2]


def test_only_a_regular_file_is_mapped(tmp_path):
    with pytest.raises(OSError):
        map_array(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.npy")
        with pytest.raises(OSError, match="not a regular file"):
            map_array(tmp_path / "pipe.npy")


def test_changes_go_where_the_mode_says_and_never_make_a_file_longer(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(4, np.int8))
    before = (tmp_path / "a.npy").read_bytes()
    map_array(tmp_path / "a.npy", mode="c")[:] = 1
    assert (tmp_path / "a.npy").read_bytes() == before
    mapped = map_array(tmp_path / "a.npy", mode="r+")
    mapped[:] = 1
    mapped.flush()
    assert (tmp_path / "a.npy").read_bytes() == before[:-4] + b"\1\1\1\1"
    (tmp_path / "a.npy").write_bytes(before[:-1])
    with pytest.raises(DamagedArray, match="cut short"):
        map_array(tmp_path / "a.npy", mode="r+")


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (described(f"({'1, ' * 65})"), "65 dimensions"),
        (b"\x93NUMPY\x01\x00\x10", "header is cut short"),
        (header("{'descr': '<f8', 'fortran_order': 'no', 'shape': (1,)}"), "the order of its numbers"),
        (header("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), 'a': 1, 'b': 1}"), "header is damaged"),
        (described("(1,)", "'<f12'") + bytes(64), "this machine has no numbers of the type <f12"),
    ],
)
def test_what_is_wrong_with_a_header_is_named(tmp_path, data, complaint):
    with pytest.raises(DamagedArray, match=complaint):
        read(tmp_path / "a", data)
