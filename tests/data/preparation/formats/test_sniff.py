"""What a file is, by its first bytes."""

import gzip
import io
import pickle
from pathlib import Path

import numpy as np
import pytest

from last.data.preparation.formats.sniff import ARRAY, ZIP, file_kind, why_unreadable


def saved(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "an empty file"),
        (bytes(100), "a file of zero bytes only"),
        (b"  <!DOCTYPE html><p>", "an HTML page"),
        (gzip.compress(b"x", mtime=0), "a gzip file"),
        (saved(np.zeros(3)), ARRAY),
        (pickle.dumps([1]), "a pickle"),
        ("text".encode("utf-16"), "text in UTF-16"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"x" * 257 + b"ustar", "a tar archive"),
    ],
)
def test_a_file_of_another_kind_is_recognised(content: bytes, kind: str) -> None:
    assert file_kind(content).startswith(kind)


def test_a_file_of_the_expected_kind_is_explained_by_the_error(tmp_path: Path) -> None:
    path = tmp_path / "clip.npy"
    path.write_bytes(saved(np.zeros(3)))
    assert why_unreadable(path, ARRAY, ValueError("too short")) == "too short"
    assert why_unreadable(path, ZIP, ValueError()) == "it is a NumPy .npy array"
    assert "No such file" in why_unreadable(tmp_path / "none", ZIP, ValueError())
