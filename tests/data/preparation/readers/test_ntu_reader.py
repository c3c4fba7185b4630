"""The reader of NTU `.skeleton` text: what it accepts, and its errors for everything else."""

import contextlib
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from last.data.preparation.formats import BadClip, DroppedClip, Source, get_reader
from last.data.preparation.readers.ntu import describe_name, parse_bodies
from last.skeleton import load_layout

NAME = "S001C002P003R002A013"
JOINTS = 25
FIRST_ID = 72057594037931101
BLOCK = JOINTS + 2  # lines of one body in one frame


def a_row(x="0.1", y="0.2", z="3.5"):
    return f"{x} {y} {z} 277.4 191.8 1036.2 519.1 -0.2 0.05 0.9 -0.1 2"


def body_lines(number=FIRST_ID, rows=None):
    rows = [a_row(y=f"0.{joint}") for joint in range(JOINTS)] if rows is None else rows
    return [f"{number} 0 1 1 1 1 0 0.02 0.05 2", str(JOINTS), *rows]


def file_lines(frames):
    """Return the lines of a file whose frames are lists of body ids."""
    lines = [str(len(frames))]
    for bodies in frames:
        lines.append(str(len(bodies)))
        for number in bodies:
            lines += body_lines(number)
    return lines


def encode(lines):
    return ("\n".join(lines) + "\n").encode()


def refusal(lines):
    with pytest.raises(BadClip) as caught:
        parse_bodies(NAME, lines if isinstance(lines, bytes) else encode(lines), JOINTS)
    assert caught.value.name == NAME
    return caught.value.line, caught.value.reason


@pytest.fixture
def reader():
    return get_reader("ntu", Source(load_layout("ntu25"), 2, ()))


@pytest.fixture
def read(reader, tmp_path):
    def read_text(data):
        (tmp_path / f"{NAME}.skeleton").write_bytes(data)
        return reader.read(reader.entries(tmp_path)[0])

    return read_text


def test_the_name_gives_setup_camera_performer_replication_and_a_label_from_0(read):
    clip = read(encode(file_lines([[1], [1]])))
    assert (clip.setup, clip.camera, clip.subject, clip.replication, clip.label) == (1, 2, 3, 2, 12)


def test_a_name_with_action_0_or_anything_around_it_is_not_a_recording():
    assert describe_name("S001C002P003R002A000") is None
    assert describe_name(f"{NAME}_copy") is None
    assert describe_name(NAME.replace("1", "\N{ARABIC-INDIC DIGIT ONE}")) is None


coordinates = st.floats(-9.0, 9.0, width=32).map(lambda number: f"{number:.7g}")


@given(st.lists(st.tuples(coordinates, coordinates, coordinates), min_size=JOINTS, max_size=JOINTS), st.data())
def test_joints_equal_the_numbers_in_the_text(points, data):
    separator = data.draw(st.sampled_from([" ", "  ", "\t"]))
    ending = data.draw(st.sampled_from(["\n", "\r\n", " \r\n"]))
    rows = [a_row(*point).replace(" ", separator) for point in points]
    text = ending.join(["1", "1", *body_lines(rows=rows)]) + ending
    (body,) = parse_bodies(NAME, text.encode(), JOINTS)
    expected = [[float(number) for number in point] for point in points]
    np.testing.assert_array_equal(body.joints, [expected])


@given(st.lists(st.lists(st.sampled_from([FIRST_ID, FIRST_ID + 1, 7]), unique=True), max_size=6))
def test_every_body_is_found_in_exactly_its_frames(frames):
    bodies = parse_bodies(NAME, encode(file_lines(frames)), JOINTS)
    expected = {
        number: [place for place, present in enumerate(frames) if number in present]
        for present in frames
        for number in present
    }
    assert {body.id: body.frames.tolist() for body in bodies} == expected


def test_ids_of_17_digits_that_differ_in_the_last_one_stay_apart(read):
    clip = read(encode(file_lines([[FIRST_ID, FIRST_ID + 1]] * 12)))
    assert clip.joints.shape == (2, 12, JOINTS, 3)


def test_the_tracking_state_becomes_the_confidence_and_moves_no_joint(read):
    lines = file_lines([[1], [1]])
    rows = [number for number, line in enumerate(lines) if len(line.split()) == 12]
    plain = read(encode(lines))
    for number, state in ((0, "0"), (3, "1"), (4, "7"), (5, "NaN")):
        lines[rows[number]] = " ".join([*lines[rows[number]].split()[:-1], state])
    clip = read(encode(lines))
    np.testing.assert_array_equal(clip.joints, plain.joints)
    assert clip.joint_mask.all()
    assert clip.confidence[0, 0, [0, 3, 4, 5, 6]].tolist() == [1, 128, 255, 255, 255]


def test_a_recording_of_which_nothing_was_tracked_has_no_confidences(read):
    lines = [
        " ".join([*line.split()[:-1], "0"]) if len(line.split()) == 12 else line for line in file_lines([[1], [1]])
    ]
    assert read(encode(lines)).confidence is None


def test_the_clip_is_centred_on_the_spine_of_the_first_frame(read):
    clip = read(encode(file_lines([[1], [1]])))
    assert not clip.joints[0, 0, 1].any()
    np.testing.assert_allclose(clip.joints[0, 0, 2], [0, 0.1, 0], atol=1e-7)


def test_one_body_is_kept_where_one_is_asked_for(reader, tmp_path):
    (tmp_path / f"{NAME}.skeleton").write_bytes(encode(file_lines([[1, 2]] * 12)))
    single = get_reader("ntu", Source(load_layout("ntu25"), 1, ()))
    assert len(single.read(single.entries(tmp_path)[0]).joints) == 1


def test_frames_without_a_body_drop_out(read):
    assert read(encode(file_lines([[], [1], [], [1], []]))).joints.shape[1] == 2


@pytest.mark.parametrize("text", [b"0\n", b"3\n0\n0\n0\n"])
def test_a_file_without_any_body_is_dropped_and_not_called_damaged(read, text):
    with pytest.raises(DroppedClip, match="no skeleton"):
        read(text)


def test_blank_lines_after_the_last_frame_are_fine(read):
    assert read(encode([*file_lines([[1]]), "", "  ", ""])).joints.shape[1] == 1


@pytest.mark.parametrize("column", ["-Infinity", "NaN", "1e-7"])
def test_a_joint_outside_the_colour_image_is_no_damage(read, column):
    assert read(encode(file_lines([[1]])).replace(b"1036.2", column.encode())).frame_mask.all()


@pytest.mark.parametrize("text", [b"", b"\n\n  \n"])
def test_an_empty_file_is_refused(text):
    assert refusal(text) == (0, "is empty")


@pytest.mark.parametrize(
    ("text", "line"), [(b"\x89PNG\r\n\x1a\n", 1), (b"1\n1\n\x00\x00\n", 3), (b"1\n1\n7 \xd9\xa1\n", 3)]
)
def test_a_binary_file_is_refused_by_the_line_of_its_first_foreign_byte(text, line):
    assert refusal(text)[0] == line


@given(st.integers(1, 2 * (2 * BLOCK + 1)))
def test_a_file_cut_after_any_line_is_refused_by_the_first_missing_one(kept):
    lines = file_lines([[1, 2], [1, 2]])
    line, reason = refusal(lines[:kept])
    assert line == kept + 1
    assert "the file ends where" in reason


@pytest.mark.parametrize("cut", [1, 10, 40])
def test_a_file_cut_within_a_row_is_refused_by_that_row(cut):
    data = encode(file_lines([[1], [1]])).rstrip()
    assert refusal(data[:-cut])[0] == 2 * (BLOCK + 1) + 1


@pytest.mark.parametrize("frames", ["1", "3", "99999999999999999999"])
def test_a_wrong_frame_count_is_refused_where_the_frames_end(frames):
    lines = file_lines([[1], [1]])
    lines[0] = frames
    line, reason = refusal(lines)
    assert line == (1 + (BLOCK + 1) + 1 if frames == "1" else len(lines) + 1)
    assert ("continues" if frames == "1" else "ends") in reason


@pytest.mark.parametrize("bodies", ["0", "2", "-1", "65", "9" * 5000, "one", "1 1", "1.5", ""])
def test_a_wrong_body_count_is_refused(bodies):
    lines = file_lines([[1], [1]])
    lines[1] = bodies
    assert refusal(lines)[0] in {2, 3, 2 + BLOCK + 1}


@pytest.mark.parametrize("joints", ["0", "24", "26", "1000000000", "-25"])
def test_a_wrong_joint_count_is_refused_on_its_line(joints):
    lines = file_lines([[1], [1]])
    lines[3] = joints
    assert refusal(lines)[0] == 4


@pytest.mark.parametrize("damage", ["lost", "doubled"])
def test_a_lost_or_doubled_row_is_refused_where_the_rows_stop_making_sense(damage):
    lines = file_lines([[1], [1]])
    lines[10:11] = [] if damage == "lost" else [lines[10]] * 2
    assert refusal(lines)[0] == (1 + 1 + BLOCK if damage == "lost" else 1 + 1 + BLOCK + 1)


@pytest.mark.parametrize("row", [a_row().removesuffix(" 2"), a_row() + " 2", "", "0.1 0.2 3.5"])
def test_a_row_without_twelve_numbers_is_refused_on_its_line(row):
    lines = file_lines([[1], [1]])
    lines[8] = row
    assert refusal(lines)[0] == 9


@pytest.mark.parametrize(("first", "second"), [(11, 13), (0, 23), (13, 11)])
def test_a_surplus_in_one_row_does_not_make_up_for_what_another_lacks(first, second):
    lines = file_lines([[1], [1]])
    lines[5] = " ".join(["1"] * first)
    lines[6] = " ".join(["1"] * second)
    assert refusal(lines)[0] == 6


def test_rows_of_blanks_are_refused_however_many_blanks_follow():
    lines = [*file_lines([[1]])[:4], *[""] * JOINTS, " " * 11 * JOINTS]
    assert refusal(lines)[0] == 5


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("number", ["nan", "NaN", "inf", "-Infinity", "1e300", "1e999", "--1", "1.2.3", "fat", "e"])
def test_a_coordinate_that_is_no_finite_number_is_refused_on_its_line(axis, number):
    lines = file_lines([[1], [1]])
    point = ["0.1", "0.2", "0.3"]
    point[axis] = number
    lines[2 * BLOCK] = a_row(*point)
    assert refusal(lines)[0] == 2 * BLOCK + 1


def test_a_word_in_any_column_is_refused_on_its_line():
    lines = file_lines([[1], [1]])
    lines[8] = a_row().replace("277.4", "cat")
    assert refusal(lines)[0] == 9


@pytest.mark.parametrize("header", ["1 0 1 1 1 1 0 0.02 0.05", "x 0 1 1 1 1 0 0.02 0.05 2", "1e3 0 1 1 1 1 0 0 0 2"])
def test_a_body_without_ten_fields_or_a_whole_id_is_refused_on_its_line(header):
    lines = file_lines([[1], [1]])
    lines[2] = header
    assert refusal(lines)[0] == 3


def test_a_body_that_stands_twice_in_a_frame_is_refused_on_its_second_line():
    assert refusal(file_lines([[1, 1]])) == (3 + BLOCK, "body 1 occurs twice in frame 1")


def test_the_earliest_of_several_faults_is_reported():
    lines = file_lines([[1], [1], [1]])
    lines[5] = a_row("nan")
    del lines[40]
    assert refusal(lines)[0] == 6


@given(st.binary(max_size=400))
def test_no_bytes_bring_anything_but_bodies_or_a_refusal(data):
    with contextlib.suppress(BadClip):
        parse_bodies(NAME, data, JOINTS)


@given(st.data())
def test_a_file_with_damaged_bytes_brings_nothing_but_bodies_or_a_refusal(data):
    text = bytearray(encode(file_lines([[1, 2], [2]])))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(text) - 1))
        text[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        bodies = parse_bodies(NAME, bytes(text), JOINTS)
    except BadClip:
        return
    assert all(np.isfinite(body.joints).all() for body in bodies)


def test_a_file_that_is_too_large_is_refused_unread(reader, tmp_path):
    path = tmp_path / f"{NAME}.skeleton"
    with path.open("wb") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(BadClip, match="too large"):
        reader.read(reader.entries(tmp_path)[0])


def test_a_zip_as_distributed_reads_like_its_unpacked_files(reader, tmp_path):
    data = encode(file_lines([[1, 2]] * 12))
    unpacked, packed = tmp_path / "unpacked" / "nturgb+d_skeletons", tmp_path / "packed"
    unpacked.mkdir(parents=True)
    packed.mkdir()
    (unpacked / f"{NAME}.skeleton").write_bytes(data)
    with ZipFile(packed / "nturgbd_skeletons_s001_to_s017.zip", "w", ZIP_DEFLATED) as archive:
        archive.writestr(f"nturgb+d_skeletons/{NAME}.skeleton", data)
    clips = [reader.read(reader.entries(place)[0]) for place in (unpacked.parent, packed, next(packed.iterdir()))]
    for clip in clips[1:]:
        np.testing.assert_array_equal(clip.joints, clips[0].joints)
        assert clip.name == NAME


def naive_bodies(path: Path) -> dict[str, list[tuple[int, np.ndarray]]]:
    """Read a file line by line, as its format is described, without any check."""
    bodies: dict[str, list[tuple[int, np.ndarray]]] = {}
    with path.open() as file:
        for frame in range(int(file.readline())):
            for _ in range(int(file.readline())):
                number = file.readline().split()[0]
                rows = [file.readline().split()[:3] for _ in range(int(file.readline()))]
                points = np.array([[np.float32(float(text)) for text in row] for row in rows])
                bodies.setdefault(number, []).append((frame, points))
    return bodies


def test_real_files_equal_their_text_up_to_one_translation_a_clip(reader, real_recordings):
    folder = real_recordings / "ntu_samples"
    entries = reader.entries(folder)
    assert len(entries) == 6
    for entry in entries:
        clip = reader.read(entry)
        written = naive_bodies(entry.path)
        assert len(clip.joints) == len(written)
        rows = {len(points): 0 for points in written.values()}
        assert list(rows) == [clip.joints.shape[1]]
        stacked = [np.stack([points for _, points in body]).astype(np.float64) for body in written.values()]
        shifts = [[body - row for row in clip.joints.astype(np.float64)] for body in stacked]
        spreads = [[np.ptp(shift.reshape(-1, 3), axis=0).max() for shift in row] for row in shifts]
        assert max(min(row) for row in spreads) < 1e-6
        chosen = [row[int(np.argmin(spread))] for row, spread in zip(shifts, spreads, strict=True)]
        assert np.ptp(np.concatenate([shift.reshape(-1, 3) for shift in chosen]), axis=0).max() < 1e-6


def test_real_two_body_files_keep_two_bodies_with_distinct_ids(reader, real_recordings):
    counts = {}
    for entry in reader.entries(real_recordings / "ntu_samples"):
        ids = [body.id for body in parse_bodies(entry.name, entry.path.read_bytes(), JOINTS)]
        assert len(set(ids)) == len(ids)
        assert {str(number) for number in ids} == set(naive_bodies(entry.path))
        counts[entry.name[-4:]] = len(reader.read(entry).joints)
    assert counts == {"A001": 1, "A003": 1, "A034": 1, "A050": 2, "A055": 2, "A057": 2}
