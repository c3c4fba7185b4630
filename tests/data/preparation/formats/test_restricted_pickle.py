"""A foreign pickle is read without running anything of it."""

import contextlib
import gzip
import os
import pickle
import pickletools
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from last.data.preparation.formats import restricted_pickle
from last.data.preparation.formats.restricted_pickle import load_plain
from last.utils.errors import UserError


@pytest.fixture
def load(tmp_path):
    def load_bytes(data):
        path = tmp_path / "foreign.pkl"
        path.write_bytes(data)
        return load_plain(path)

    return load_bytes


class Runs:
    """An object whose pickle calls a function with arguments."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", ["<f4", "<f2", ">f8", "<i8", "|u1", "|b1"])
def test_arrays_of_numbers_come_back_in_every_protocol(load, protocol, kind):
    array = np.arange(24).reshape(2, 3, 4).astype(kind)
    for written in (array, np.asfortranarray(array), array[:, ::2]):
        read = load(pickle.dumps({"array": written}, protocol))["array"].array
        np.testing.assert_array_equal(read, written)
        assert read.dtype == written.dtype


def test_plain_containers_numbers_text_and_numpy_scalars_come_back(load):
    content = {"split": {"train": ["a", "b"]}, "annotations": [(1, 2.5, None, True, b"x", {3})]}
    assert load(pickle.dumps(content)) == content
    label = load(pickle.dumps([np.int64(7), np.float32(0.5)]))
    assert label == [7, 0.5]
    assert type(label[0]) is int


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_text_of_numpy_comes_back_as_text_in_every_protocol(load, protocol):
    names = ["clip_1", "", "\u00e9tude", "\U0001f600"]
    array = np.array([names, names])
    for written in (array, array.astype(">U9"), np.asfortranarray(array), array[:, ::2]):
        read = load(pickle.dumps(written, protocol))
        assert read.array.dtype.kind == "U"
        assert read.array.tolist() == written.tolist() and list(read) == written.ravel().tolist()
    assert load(pickle.dumps(np.array(["a", "bc"], dtype="S4"), protocol)).array.tolist() == ["a", "bc"]
    scalars = [np.str_(name) for name in names] + [np.bytes_(b"abc"), np.bytes_(b"")]
    read = load(pickle.dumps(scalars, protocol))
    assert read == [*names, "abc", ""] and {type(text) for text in read} == {str}


def test_an_empty_array_comes_back_in_every_protocol(load):
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert load(pickle.dumps(np.zeros((0, 3)), protocol)).array.shape == (0, 3)


def test_bytes_by_a_number_are_not_made(load):
    with pytest.raises(UserError, match="not a readable pickle"):
        load(b"c__builtin__\nbytes\n(I99999999999\ntR.")


def test_text_of_impossible_characters_is_refused(load):
    for wrong in (b"\xff\xff\xff\x7f", b"\x00\xd8\x00\x00"):
        data = pickle.dumps(np.array(["wxyz"]), 4)
        with pytest.raises(UserError, match="impossible characters"):
            load(data.replace("y".encode("utf-32-le"), wrong))
    with pytest.raises(UserError, match="ascii"):
        load(pickle.dumps(np.array([b"\xe9"]), 4))


def test_text_without_an_end_is_refused(load, monkeypatch):
    monkeypatch.setattr(restricted_pickle, "_LIMIT_TEXT_BYTES", 100)
    assert load(pickle.dumps(np.array(["x" * 25]))).array.tolist() == ["x" * 25]
    with pytest.raises(UserError, match="more than 100 bytes of text"):
        load(pickle.dumps(np.array(["x" * 26])))


# In the form in which Python 2.7 writes {'name': 'wave\xe9', 'array': numpy.array([[1, 2]], 'i2')} by protocol 2.
PYTHON_2 = (
    b"\x80\x02}q\x00(U\x04nameq\x01U\x05wave\xe9q\x02U\x05arrayq\x03cnumpy.core.multiarray\n_reconstruct\nq\x04"
    b"cnumpy\nndarray\nq\x05K\x00\x85q\x06U\x01bq\x07\x87q\x08Rq\x09(K\x01K\x01K\x02\x86q\x0acnumpy\ndtype\nq\x0b"
    b"U\x02i2q\x0cK\x00K\x01\x87q\x0dRq\x0e(K\x03U\x01<q\x0fNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x10b"
    b"\x89U\x04\x01\x00\xe9\x00q\x11tq\x12bu."
)


def test_a_pickle_of_python_2_is_read_with_its_byte_strings_as_latin_1(load):
    read = load(PYTHON_2)
    assert read["name"] == "wave\xe9"
    assert read["array"].array.tolist() == [[1, 0xE9]]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "an empty file"),
        (b"<html>", "an HTML page"),
        (gzip.compress(b"x", mtime=0), "a gzip file"),
        (b"PK\x03\x04x", "a zip archive"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"\x93NUMPY\x01\x00", "a NumPy .npy array"),
        (b"\x80\x04", "it is damaged"),
        (b"\x1f", "it is damaged"),
    ],
)
def test_a_file_that_is_no_pickle_is_named_for_what_it_is(load, data, reason):
    with pytest.raises(UserError, match=f"is not a readable pickle: .*{reason}"):
        load(data)


def test_a_hostile_pickle_is_refused_and_nothing_is_executed(load, tmp_path):
    mark = tmp_path / "was_here"
    calls = [
        Runs(os.system, f"touch {mark}"),
        Runs(os.mkdir, str(mark)),
        Runs(eval, f"open({str(mark)!r}, 'w')"),
        Runs(exec, f"open({str(mark)!r}, 'w')"),
        Runs(Path.touch, mark),
        Runs(getattr, os, "system"),
        Runs(np.load, str(mark)),
    ]
    for call in calls:
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            try:
                data = pickle.dumps({"annotations": [call]}, protocol)
            except (pickle.PicklingError, TypeError):
                continue  # modules and some builtins cannot be pickled in old protocols
            with pytest.raises(UserError, match="None of it was executed"):
                load(data)
            assert not mark.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"cos\nsystem\n(S'true'\ntR.",
        b"(S'true'\nios\nsystem\n.",
        b"cbuiltins\neval\n.",
        b"cnumpy\nload\n.",
        b"cnumpy.core.multiarray\nos\n.",
        b"cnumpy.core.multiarray\n_reconstruct\n}S'__defaults__'\nNsb.",
        b"cnumpy\nndarray\n)R.",
        b"cnumpy\ndtype\n(S'O8'\nI00\nI01\ntR.",
        b"cnumpy\ndtype\n(S'V8'\nI00\nI01\ntR.",
        b"c_codecs\nencode\n(S'x'\nS'rot13'\ntR.",
        b"c__builtin__\nbytearray\n(I99\ntR.",
    ],
)
def test_every_name_but_those_of_arrays_is_refused(load, data):
    with pytest.raises(UserError, match="is refused"):
        load(data)


@pytest.mark.parametrize("content", [OrderedDict(a=1), np.array([None, 1]), np.zeros(2, "f4,f4")])
def test_objects_and_arrays_of_anything_but_numbers_and_text_are_refused(load, content):
    with pytest.raises(UserError, match="is refused"):
        load(pickle.dumps(content))


def test_an_array_whose_shape_is_not_that_of_its_bytes_is_refused(load):
    data = pickle.dumps(np.zeros((3, 5), np.float32), protocol=4)
    shape = next(place for operation, argument, place in pickletools.genops(data) if argument == 3)
    wrong = data[: shape + 1] + b"\xff" + data[shape + 2 :]
    with pytest.raises(UserError, match="not a readable pickle"):
        load(wrong)


@pytest.mark.parametrize(
    "data",
    [b"", b"hello", b"\x80\x04", b"\x80\x04N", b"\x80\x63N.", b"]" + b"a" * 3, b"N" + b"r\xff\xff\xff\xff.", b"G1234"],
)
def test_damaged_pickles_are_refused_or_harmless(load, data):
    with contextlib.suppress(UserError):
        assert load(data) is None


@settings(max_examples=200)
@given(st.data())
def test_no_damage_brings_anything_but_a_value_or_a_refusal(tmp_path_factory, data):
    annotation = {"keypoint": np.zeros((1, 2)), "label": np.int64(3), "name": np.str_("x"), "all": np.array(["yz"])}
    whole = bytearray(pickle.dumps({"annotations": [annotation]}, 2))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place : place + 1] = data.draw(st.binary(max_size=2))
    path = tmp_path_factory.getbasetemp() / "damaged.pkl"
    path.write_bytes(whole)
    with contextlib.suppress(UserError):
        load_plain(path)


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        load_plain(tmp_path / "nowhere.pkl")


def test_every_form_of_a_number_a_dict_and_a_set_is_read(load):
    content = [10**15, frozenset({1, 2})]
    assert load(pickle.dumps(content, 4)) == content
    assert load(b"\x80\x02\x8b\x01\x00\x00\x00\x07.") == 7
    assert load(b"(S'a'\nI1\nd.") == {"a": 1}


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (pickle.dumps(np.ones(2, "<f4"), 2).replace(b"\x01\x00\x00\x00<", b"\x01\x00\x00\x00?"), "unknown byte order"),
        (b"cnumpy.core.numeric\n_frombuffer\n(I1\nI2\nI3\nI4\ntR.", "not made of numbers"),
        (PYTHON_2.replace(b"K\x01K\x02\x86q\x0a", b"NK\x02\x86q\x0a"), "shape is not made of numbers"),
    ],
)
def test_an_array_that_numpy_would_not_write_is_refused(load, data, complaint):
    with pytest.raises(UserError, match=complaint):
        load(data)


def test_an_array_of_very_many_texts_is_refused(load, monkeypatch):
    monkeypatch.setattr(restricted_pickle, "_MOST_TEXTS", 2)
    with pytest.raises(UserError, match="more than 2 texts"):
        load(pickle.dumps(np.array(["a", "b", "c"])))
