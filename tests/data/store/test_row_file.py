"""Reading rows of a file that may change under the reader."""

import errno
import os
import pickle
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import torch
from conftest import moving_clips
from hypothesis import given
from hypothesis import strategies as st

from last.data.loading.loader import ClipDataset, build_loader
from last.data.loading.placement import FileClipReader, place_clips
from last.data.loading.samplers import EvalSampler
from last.data.store.reader import write_store
from last.data.store.row_file import RowFile
from last.settings.data import HardwareConfig, SamplingConfig
from last.utils.errors import UserError

ARRAY = np.arange(500 * 6, dtype=np.float32).reshape(500, 2, 3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    np.save(tmp_path / "a.npy", ARRAY)
    return tmp_path / "a.npy"


@given(st.lists(st.lists(st.integers(0, 499), min_size=4, max_size=4), max_size=9), st.integers(1, 400))
def test_rows_are_those_of_the_array(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[list[int]], gap_bytes: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "rows.npy"
    np.save(path, ARRAY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("last.data.store.row_file._GAP_BYTES", gap_bytes)
        file = RowFile(path)
        wanted = np.array(numbers, np.int64).reshape(len(numbers), 4)
        for shift in (0, 1, 3):  # the next rows are adjacent to the previous ones
            moved = np.minimum(wanted + shift, 499)
            np.testing.assert_array_equal(file.rows(moved), ARRAY[moved])
    np.testing.assert_array_equal(file.span(3, 9), ARRAY[3:9])


def test_rows_are_read_where_a_system_reads_at_a_place_only_by_going_there(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "preadv", raising=False)
    np.testing.assert_array_equal(RowFile(path).rows(np.array([[7, 499], [7, 0]])), ARRAY[[[7, 499], [7, 0]]])


def test_another_process_opens_the_file_itself(path: Path) -> None:
    copy = pickle.loads(pickle.dumps(RowFile(path)))  # noqa: S301 - our own bytes
    np.testing.assert_array_equal(copy.rows(np.array([1, 2])), ARRAY[1:3])


def test_a_file_that_is_cut_short_under_the_reader_is_an_error_and_not_a_signal(path: Path) -> None:
    file = RowFile(path)
    os.truncate(path, 1000)
    with pytest.raises(UserError, match="shorter than it was"):
        file.rows(np.array([499]))
    with pytest.raises(UserError, match="shorter than it was"):
        file.span(0, 500)


def test_what_is_no_array_of_rows_is_refused(path: Path) -> None:
    np.save(path, np.asfortranarray(ARRAY))
    with pytest.raises(UserError, match="are not contiguous"):
        RowFile(path)
    path.write_bytes(b"nothing")
    with pytest.raises(UserError, match="Cannot read"):
        RowFile(path)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_store_that_is_cut_short_under_a_run_ends_it_with_one_message(tmp_path: Path, workers: int) -> None:
    store = write_store(tmp_path / "store", moving_clips(), name="tiny", layout="ntu25", classes=["a", "b", "c"])
    sampled = ClipDataset(store, 8, SamplingConfig(), training=False, clips=FileClipReader(store))
    os.truncate(store.path / "joints.npy", 2000)
    with pytest.raises(UserError, match=r"^Cannot read .*joints\.npy: it is shorter") as caught:
        list(build_loader(sampled, EvalSampler(np.arange(24), 4), HardwareConfig(num_workers=workers)))
    assert "Traceback" not in str(caught.value)


def test_a_store_that_is_cut_short_while_it_is_loaded_is_an_error(tmp_path: Path) -> None:
    store = write_store(tmp_path / "store", moving_clips(), name="tiny", layout="ntu25", classes=["a", "b", "c"])
    os.truncate(store.path / "valid.npy", 200)
    with pytest.raises(UserError, match="cut short"):
        place_clips(store, "ram", torch.device("cpu"))


def test_a_span_of_no_row_is_empty(path: Path) -> None:
    assert RowFile(path).span(3, 3).shape == (0, 2, 3)


def test_a_file_that_cannot_be_read_is_refused_with_what_to_do(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    file = RowFile(path)
    monkeypatch.setattr(os, "preadv", fail, raising=False)
    with pytest.raises(UserError, match=r"a\.npy: Input/output error\. Copy the store again"):
        file.span(0, 1)


def test_a_file_that_cannot_be_opened_is_refused_in_plain_words(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(_: Path) -> BinaryIO:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("last.data.store.row_file.open_regular", deny)
    with pytest.raises(UserError, match=r"a\.npy: permission was denied\. Copy the store again"):
        RowFile(path)
