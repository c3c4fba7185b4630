"""Small inputs that claim large sizes are refused at once, in little memory and time."""

import gzip
import io
import json
import pickle
import struct
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import numpy as np
import pytest
from under_limits import LimitedResult, call

from last.data.preparation.formats.restricted_pickle import load_plain
from last.skeleton import load_layout
from last.utils.errors import UserError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the limits are those of Linux")
MIB, SECONDS = 256, 20  # of an input of kilobytes; what it takes beside the interpreter is a few


def read(name: str, folder: Path, files: Mapping[str, bytes], mib: int = MIB, seconds: int = SECONDS) -> LimitedResult:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return call("reading_probes:read_recordings", name, folder, mib=mib, seconds=seconds)


def array(shape: str, kind: str = "'<f4'", content: bytes = b"") -> bytes:
    text = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + content


def archive(members: Mapping[str, bytes], method: int = ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with ZipFile(buffer, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return buffer.getvalue()


SOUND = io.BytesIO()
np.save(SOUND, np.random.default_rng(0).normal(size=(4, 25, 3)))
HEADERS = {
    "empty": b"",
    "a zero between": array("(10000000, 0, 25, 3)"),
    "a gigabyte": array("(3579139, 25, 3)"),
    "more than all memory": array("(99999999999999, 25, 3)"),
    "objects": array("(1, 25, 3)", "'|O'", bytes(600)),
    "an open bracket": array("(1, 25, 3"),
    "a null byte": SOUND.getvalue().replace(b"shape", b"sha\0e"),
    "a text without an end": SOUND.getvalue().replace(b"'<f8'", b"'<f8 "),
    "an escape": SOUND.getvalue().replace(b"'<f8'", b"'\\N8'"),
    "a type of many parts": array("(1,)", "('<f4', (9999999, 99))", bytes(600)),
    "wide text": array("(1, 25, 3)", "'<U99999'", bytes(600)),
    "deep": array("(" * 100 + ")" * 100)[:128],
}


def test_no_header_of_an_array_stops_the_reading_of_the_others(tmp_path: Path) -> None:
    files = {f"first/{name}.npy": content for name, content in HEADERS.items()}
    (tmp_path / "second").mkdir()
    limited_result = read("folder", tmp_path, {**files, "first/sound.npy": SOUND.getvalue()})
    assert isinstance(limited_result.value, dict) and limited_result.value.keys() == {
        f"first/{name}" for name in (*HEADERS, "sound")
    }
    assert [name for name, result in limited_result.value.items() if result == "read"] == ["first/sound"]


def test_no_flipped_bit_in_the_header_of_an_array_stops_the_reading_of_the_others(tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    files = {}
    for bit in range(8 * 128):
        flipped = bytearray(SOUND.getvalue())
        flipped[bit // 8] ^= 1 << bit % 8
        files[f"first/{bit:04}.npy"] = bytes(flipped)
    limited_result = read("folder", tmp_path, files)
    assert isinstance(limited_result.value, dict) and len(limited_result.value) == len(files)


TABLES = {
    "a gigabyte of zeros in a gz": (
        gzip.compress(b"clip,frame") + 300 * gzip.compress(bytes(1 << 20)),
        "too large for one recording",
    ),
    "a quote that never ends": (b'clip,frame,joint,x,y,z,label\n"' + b"1," * 400_000, "is not a row of CSV"),
    "many columns": (b"a" + b",".join(b"%d" % number for number in range(9000)) + b"\n1", "9000 columns"),
    "a wide row of nothing": (b"clip," + b"," * 900_000 + b"\n", "columns"),
    "names of megabytes": (b"clip,frame,joint,x,y,z,label\n" + b"a" * 100_000 + b",0,1,1,1,1,first", "characters"),
    "a path for a name": (b"clip,frame,joint,x,y,z,label\n../../etc,0,pelvis,1,1,1,first", "has no joint"),
    "another encoding": (b"clip,frame,joint,x,y,z,label\n\xe9,0,1,1,1,1,first", "not text in UTF-8"),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_claims_or_hides_much_is_refused_by_name(name: str, tmp_path: Path) -> None:
    content, reason = TABLES[name]
    path = "a.csv.gz" if content.startswith(b"\x1f\x8b") else "a.csv"
    answer = read("table", tmp_path, {path: content}, mib=800 if "gz" in path else MIB)
    assert answer.error == "UserError" and reason in answer.text and path in answer.text


@pytest.mark.parametrize("row", ["one,%d000000,0,1,1,1,1,first", "one,0,body%d,1,1,1,1,first"])
def test_a_row_does_not_make_an_array_of_the_frames_or_bodies_that_it_names(row: str, tmp_path: Path) -> None:
    rows = [row % number for number in range(300)]
    text = "\n".join(["clip,frame,body,joint,x,y,z,label", "one,0,0,25,1,1,1,first", *rows])
    answer = read("table", tmp_path, {"a.csv": text.encode()})
    assert isinstance(answer.value, dict) and set(answer.value) == {"one"}


FLAT = np.ones((1, 4, 150), np.float32)


def npz(**changes: bytes) -> bytes:
    arrays = {"x_train": FLAT, "y_train": np.eye(2)[:1], "x_test": FLAT, "y_test": np.eye(2)[1:]}
    members = {}
    for name, values in arrays.items():
        buffer = io.BytesIO()
        np.save(buffer, values)
        members[f"{name}.npy"] = changes.get(name, buffer.getvalue())
    return archive(members)


@pytest.mark.parametrize(
    "content",
    [
        npz(x_train=array("(10000000, 0, 150)"), y_train=array("(10000000, 0)")),
        npz(x_train=array("(0, 4294967296, 150)"), y_train=array("(0, 5)")),
        npz(x_train=array("(10000000, 4, 150)"), y_train=array("(10000000, 2)")),
        npz(y_test=array("(1, 2)", "'|O'", bytes(99))),
        archive({"x_train.npy": array("(1073741824,)", "'|i1'", bytes(1 << 24))}, ZIP_DEFLATED),
    ],
    ids=["a zero between", "a large row of nothing", "cut short", "objects", "packed"],
)
def test_an_npz_that_claims_much_is_refused(tmp_path: Path, content: bytes) -> None:
    limited_result = read("ctrgcn", tmp_path, {"a.npz": content})
    assert limited_result.error == "UserError" and "a.npz" in limited_result.text


def doubled(container: bytes, use: bytes) -> bytes:
    """Return a pickle of a container that holds itself twice, fifty levels deep, and what is done with it."""
    return b"\x80\x04" + container + b"2\x86" * 50 + use


TEXT = b"\x8c\x0aannotation"
PICKLES = {
    "a bytearray of 4 GiB": b"\x80\x05\x96" + struct.pack("<Q", 4 << 30) + b".",
    "bytes of 4 GiB": b"\x80\x04\x8e" + struct.pack("<Q", 4 << 30) + b".",
    "text of 4 GiB": b"\x80\x04\x8d" + struct.pack("<Q", 4 << 30) + b".",
    "old bytes of 2 GiB": b"\x80\x02T" + struct.pack("<i", 2**31 - 1) + b".",
    "a frame of 2^62 bytes": b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b".",
    "a frame of 4 GiB": b"\x80\x04\x95" + struct.pack("<Q", 4 << 30) + b".",
    "a number of 2 GiB": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b".",
    "a bytearray in a frame": b"\x80\x05\x95" + struct.pack("<Q", 10) + b"\x96" + struct.pack("<Q", 1 << 40) + b".",
    "a member of a set": doubled(b")", b"\x8f(" + b")" + b"2\x86" * 50 + b"\x90."),
    "a frozen set": b"\x80\x04(" + b")" + b"2\x86" * 50 + b"\x91.",
    "a key": b"\x80\x04}" + b")" + b"2\x86" * 50 + b"K\x01s.",
    "keys at once": b"\x80\x04}(" + b")" + b"2\x86" * 50 + b"K\x01u.",
    "an old dict": b"\x80\x02(" + b")" + b"2\x86" * 50 + b"K\x01d.",
    "a name": b"\x80\x04}" + TEXT + b"s](}\x8c\x09frame_dir" + b"]" + b"2\x86" * 50 + b"sae\x8c\x01xs.",
    "annotations named by it": b"\x80\x04}\x8c\x0bannotations](}\x8c\x09frame_dir]" + b"2\x86" * 50 + b"ses.",
    "a list of names of it": b"\x80\x04}(\x8c\x0bannotations](}e\x8c\x05split}(\x8c\x05train](]"
    + b"2\x86" * 50
    + b"e\x8c\x04test](\x8c\x01beuu.",
    "deep marks": b"\x80\x02" + b"(" * 100_000 + b".",
    "memory by its number": b"\x80\x02Kxr" + struct.pack("<I", 2**32 - 1) + b".",
    "an array of nothing": pickle.dumps(np.zeros((7, 0, 25, 3)), 4).replace(b"K\x07", b"J\xff\xff\xff\x7f", 1),
}


# What holds itself twice has few bytes in memory, too; only a reader that showed or compared it would never end.
HARMLESS = {"annotations named by it"}


def test_no_pickle_takes_more_memory_or_time_than_its_bytes_are_worth(tmp_path: Path) -> None:
    for name, content in PICKLES.items():
        (tmp_path / f"{name}.pkl").write_bytes(content)
    limited_result = call("reading_probes:read_pickles", tmp_path, mib=64, seconds=SECONDS)
    assert isinstance(limited_result.value, dict) and limited_result.value.keys() == PICKLES.keys()
    assert {name for name, result in limited_result.value.items() if result == "read"} == HARMLESS


def test_a_pickle_of_tiny_operations_is_refused_where_its_budget_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a budget a hundred megabytes of empty sets take twenty gigabytes."""
    monkeypatch.setattr("last.data.preparation.formats.bounded_unpickler._BUDGET_BYTES", 1 << 20)
    (tmp_path / "a.pkl").write_bytes(b"\x80\x04(" + b"\x8f" * 1000 + b"l.")
    load_plain(tmp_path / "a.pkl")
    (tmp_path / "a.pkl").write_bytes(b"\x80\x04(" + b"\x8f" * 9000 + b"l.")
    with pytest.raises(UserError, match="far more than its bytes"):
        load_plain(tmp_path / "a.pkl")


def test_numbers_that_collide_as_keys_are_refused_in_the_end(tmp_path: Path) -> None:
    numbers = {number * (2**61 - 1): 0 for number in range(5000)}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(numbers))
    load_plain(tmp_path / "a.pkl")
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(dict.fromkeys(range(10001), 0)))
    with pytest.raises(UserError, match="keys"):
        load_plain(tmp_path / "a.pkl")


def test_annotations_that_share_one_array_are_refused_where_they_make_much_of_it(tmp_path: Path) -> None:
    one = {"frame_dir": "a", "label": 0, "keypoint": np.ones((1, 200, 25, 3), np.float32)}
    many = [{**one, "frame_dir": f"c{number}"} for number in range(30_000)]
    limited_result = read("pyskl", tmp_path, {"a.pkl": pickle.dumps({"annotations": many})})
    assert limited_result.error == "UserError" and "share arrays" in limited_result.text


def test_lists_of_names_that_are_shared_are_refused_where_they_make_much_of_it(tmp_path: Path) -> None:
    names = [f"c{number}" for number in range(20_000)]
    shared = {f"{kind}{number}": names for number in range(900) for kind in ("train", "test")}
    content = {"annotations": [{"frame_dir": "c0", "label": 0, "keypoint": np.ones((1, 1, 25, 3))}], "split": shared}
    limited_result = read("pyskl", tmp_path, {"a.pkl": pickle.dumps(content)})
    assert limited_result.error == "UserError" and "names" in limited_result.text


def test_one_long_text_among_numbers_takes_no_memory_for_each_of_them(tmp_path: Path) -> None:
    skeletons = [[[0.0] * 3] * 20] * 2000 + [["x" * 500_000] * 20]
    limited_result = read(
        "nw_ucla", tmp_path, {"a01_s01_e00_v01.json": json.dumps({"label": 1, "skeletons": skeletons}).encode()}
    )
    assert isinstance(limited_result.value, dict) and "numbers" in str(limited_result.value["a01_s01_e00_v01"])


NTU = "S001C001P001R001A001.skeleton"
ROW = b"0 1 3 0 0 0 0 0 0 0 0 2\n"
LARGE = {
    "frames without a body": b"20000000\n" + b"0\n" * 20_000_000,
    "empty lines": b"1\n" + b"\n" * 40_000_000 + b"1",
    "one line": b"1\n1\n" + b"12 " * 10_000_000,
    "one line of a joint": b"1\n1\n1 0 0 0 0 0 0 0 0 0\n25\n" + b"12 " * 10_000_000,
    "short lines": b"10\n" * 12_000_000,
    "bodies in every frame": b"999999999\n" + (b"64\n" + b"1 0 0 0 0 0 0 0 0 0\n25\n" + ROW * 25) * 300,
}


def test_a_large_text_of_nothing_takes_memory_in_proportion(tmp_path: Path) -> None:
    files = {
        f"S001C001P001R001A{number:03}.skeleton.gz": gzip.compress(text, 1)
        for number, text in enumerate(LARGE.values(), start=1)
    }
    limited_result = read("ntu", tmp_path, files, mib=768)
    assert isinstance(limited_result.value, dict) and len(limited_result.value) == len(LARGE)
    assert "read" not in limited_result.value.values() and len(str(limited_result.value)) < 300 * len(LARGE)


def test_what_unpacks_to_more_than_a_recording_is_one_bad_clip(tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(80 << 20), 9)
    other = NTU.replace("A001", "A002")
    third = NTU.replace("A001", "A003")
    files = {
        f"{NTU}.gz": bomb,
        "a.zip": archive({f"{other}.gz": bomb}),
        "b.zip": deflated_zeros(third, 80 << 20, claimed=1000),
    }
    limited_result = read("ntu", tmp_path, files)
    assert isinstance(limited_result.value, dict) and len(limited_result.value) == 3
    assert "read" not in limited_result.value.values()


def deflated_zeros(name: str, size: int, claimed: int) -> bytes:
    """Return a zip whose one member unpacks to many zeros and claims to be small."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(size >> 20)) + packer.flush()
    head = struct.pack("<HHHHHLLLHH", 20, 0, 8, 0, 0, 0, len(packed), claimed, len(name), 0)
    local = b"PK\3\4" + head + name.encode()
    entry = b"PK\1\2" + struct.pack("<H", 20) + head + struct.pack("<HHHLL", 0, 0, 0, 0, 0) + name.encode()
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(entry), len(local) + len(packed), 0)
    return local + packed + entry + end


def test_a_long_value_is_not_quoted_whole(tmp_path: Path) -> None:
    text = b"1," + b"x" * 1_000_000 + b",1" * 89
    limited_result = read("sbu", tmp_path, {"s01s02/03/001/skeleton_pos.txt": text})
    assert isinstance(limited_result.value, dict) and len(str(limited_result.value)) < 600


JSON_FILES = {
    "coco": "first/one.json",
    "mediapipe": "first/one.json",
    "zed": "first/one.json",
    "kinect_azure": "first/one.json",
    "tao": "first/one.json",
    "openpose": "first/take/v_1_keypoints.json",
}
every_json = pytest.mark.parametrize("name", sorted(JSON_FILES))
JSON_TEXTS = {
    "deep lists": b"[" * 1_000_000,
    "deep objects": b'{"people":' * 1_000_000,
    "empty lists": b"[" + b"[]," * 1_000_000 + b"[]]",
    "empty objects": b"[" + b"{}," * 1_000_000 + b"{}]",
    "empty people": b'{"people": [' + b"{}," * 1_000_000 + b"{}]}",
    "one body many times": b"[" + b'{"image_id":1,"keypoints":[]},' * 200_000 + b'{"image_id":1,"keypoints":[]}]',
    "empty frames": b'{"frames": [' + b"{}," * 250_000 + b'{"landmarks": []}]}',
    "a long number": b"[" + b"9" * 4_000_000 + b"]",
    "a long text among numbers": b'{"people": [{"pose_keypoints_2d": ['
    + b"1," * 74
    + b'"'
    + b"x" * 4_000_000
    + b'"]}]}',
    "empty batches": b"[" + b'{"batches":[]},' * 200_000 + b'{"batches":[]}]',
    "a name of many digits": json.dumps([{"image_id": "9" * 1_000_000, "keypoints": [1.0] * 51}]).encode(),
}


@every_json
@pytest.mark.parametrize("text", JSON_TEXTS)
def test_json_of_nothing_takes_memory_and_time_in_proportion(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    limited_result = read(name, tmp_path, {JSON_FILES[name]: JSON_TEXTS[text]}, mib=512)
    assert (
        isinstance(limited_result.value, dict)
        and len(limited_result.value) == 1
        and len(str(limited_result.value)) < 600
    )
    assert "read" not in limited_result.value.values() or text == "a name of many digits"


def test_packed_json_of_more_than_a_recording_is_one_bad_clip(tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    limited_result = read("coco", tmp_path, {"first/one.json.gz": gzip.compress(b" " * (140 << 20), 9)}, mib=512)
    assert isinstance(limited_result.value, dict) and "too large for one recording" in limited_result.value["first/one"]


def parquet_of_zeros() -> bytes:
    import pyarrow
    from pyarrow import parquet

    columns = {name: pyarrow.array(np.zeros(1 << 22, np.int8)) for name in ("frame", "joint", "x", "y", "z", "score")}
    label = pyarrow.DictionaryArray.from_arrays(np.zeros(1 << 22, np.int32), ["first"])
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.table({**columns, "label": label}), buffer, compression="zstd")
    return buffer.getvalue()


def hdf5_of_zeros(size: int) -> bytes:
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset("tracks", (1, 2, 17, size), "f4", chunks=(1, 2, 17, 1024), compression="gzip")
        file["node_names"] = np.array([name.encode() for name in load_layout("coco17_2d").joints])
    return buffer.getvalue()


BVH = "HIERARCHY\n" + "ROOT a\n{\nOFFSET 0 0 0\n" + "JOINT b\n{\nOFFSET 0 0 0\n" * 50_000 + "MOTION\n"
C3D = bytes([2, 0x50]) + struct.pack("<5H", 65535, 65535, 1, 65535, 0) + struct.pack("<fHHf", -1, 3, 1, 50)
C3D = C3D.ljust(512, b"\0") + b"\1P\1T".ljust(512, b"\0")
LIBRARIES = {
    "parquet": ("pyarrow", "table", "a.parquet", parquet_of_zeros, "16777216 numbers"),
    "claimed hdf5": ("h5py", "sleap", "first/one.h5", lambda: hdf5_of_zeros(1 << 40), "has the shape"),
    "bvh of joints": ("pybvh", "bvh", "first/one.bvh", lambda: BVH.encode(), "more than 1000 joints"),
    "c3d of frames": ("numpy", "c3d", "first/one.c3d", lambda: C3D, "is cut off: it has 0 of 65535 frames"),
}


@pytest.mark.parametrize("content", LIBRARIES)
def test_a_recording_of_another_package_that_claims_much_is_refused(content: str, tmp_path: Path) -> None:
    package, name, path, make, reason = LIBRARIES[content]
    pytest.importorskip(package)
    if "/" in path:
        (tmp_path / "second").mkdir()
    answer = read(name, tmp_path, {path: make()}, mib=768)
    assert reason in (answer.text if path == "a.parquet" else str(answer.value)) and len(str(answer.value)) < 600
