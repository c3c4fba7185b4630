"""The reader of SBU Kinect Interaction's text files."""

from zipfile import ZipFile

import numpy as np
import pytest

from last.data.preparation.formats import BadClip, DroppedClip, Source, get_reader
from last.data.preparation.readers.sbu import to_metres
from last.skeleton import load_layout
from last.utils.errors import UserError

NUMBERS = 90


@pytest.fixture
def layout():
    return load_layout("sbu15")


@pytest.fixture
def reader(layout):
    return get_reader("sbu", Source(layout, 2, ()))


@pytest.fixture
def read(reader, tmp_path):
    def read_text(text):
        take = tmp_path / "s01s02" / "03" / "001"
        take.mkdir(parents=True)
        (take / "skeleton_pos.txt").write_text(text)
        return reader.read(reader.entries(tmp_path)[0])

    return read_text


def some_lines(frames=3):
    numbers = np.random.default_rng(0).uniform(0.2, 1.8, size=(frames, NUMBERS)).round(5)
    return [",".join(map(str, [300 + frame, *row])) for frame, row in enumerate(numbers.tolist())]


def test_the_folders_give_the_name_the_ordered_pair_and_the_label(read):
    clip = read("\n".join(some_lines()))
    assert (clip.name, clip.label, clip.subject, clip.replication) == ("s01s02_c03_t001", 2, 102, 1)


def test_positions_follow_the_formulas_of_the_readme_in_metres():
    normalised = np.array([[0.25, 0.5, 1.8], [0.5, 0.5, 0.0]])
    np.testing.assert_allclose(to_metres(normalised), [[0.64, 0.0, 2.304], [0.0, 0.0, 0.0]], atol=1e-12)


def test_both_bodies_are_always_there_and_centred_together(read, layout):
    lines = some_lines()
    clip = read("\n".join(lines))
    points = to_metres(np.array([line.split(",")[1:] for line in lines], dtype=float).reshape(3, 2, 15, 3))
    expected = points.transpose(1, 0, 2, 3) - points[0, 0, layout.center]
    np.testing.assert_allclose(clip.joints, expected, atol=1e-6)
    assert clip.frame_mask.all()


def test_one_body_is_kept_where_one_is_asked_for(read, layout, tmp_path):
    read("\n".join(some_lines()))
    single = get_reader("sbu", Source(layout, 1, ()))
    assert single.read(single.entries(tmp_path)[0]).joints.shape == (1, 3, 15, 3)


def test_a_trailing_comma_and_trailing_blank_lines_are_fine(read):
    assert read(",\n".join(some_lines()) + ",\n\n  \n").joints.shape[1] == 3


@pytest.mark.parametrize(
    "damage",
    [
        lambda line: "",
        lambda line: line[:200],
        lambda line: line + ",1.5",
        lambda line: line[:-3] + "x",
        lambda line: line + ",nan",
        lambda line: line.rpartition(",")[0] + ",nan",
        lambda line: line.rpartition(",")[0] + ",-inf",
        lambda line: "",
        lambda line: "zwei",
    ],
)
def test_a_damaged_line_is_refused_by_its_number(read, damage):
    lines = some_lines()
    lines[1] = damage(lines[1])
    with pytest.raises(BadClip) as caught:
        read("\n".join(lines))
    assert caught.value.line == 2


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_an_empty_file_is_refused(read, text):
    with pytest.raises(BadClip, match="empty") as caught:
        read(text)
    assert not isinstance(caught.value, DroppedClip)


@pytest.mark.parametrize("number", ["1e300", "1e308", "-1e7"])
def test_a_position_of_impossible_size_is_refused_by_line(read, number):
    lines = some_lines()
    lines[1] = lines[1].rpartition(",")[0] + "," + number
    with pytest.raises(BadClip, match=r"line 2: .*impossibly large"):
        read("\n".join(lines))


def test_files_outside_the_folders_of_the_data_set_are_no_recordings(reader, tmp_path):
    (tmp_path / "skeleton_pos.txt").write_text("\n".join(some_lines()))
    with pytest.raises(UserError, match="<pair>/<class>/<take>"):
        reader.entries(tmp_path)


def test_a_class_folder_beyond_the_eight_is_refused(reader, tmp_path):
    take = tmp_path / "s01s02" / "09" / "001"
    take.mkdir(parents=True)
    (take / "skeleton_pos.txt").write_text("\n".join(some_lines()))
    with pytest.raises(BadClip, match="class folder 09"):
        reader.read(reader.entries(tmp_path)[0])


def test_a_zip_of_the_folders_is_read(reader, tmp_path):
    with ZipFile(tmp_path / "s01s02.zip", "w") as archive:
        archive.writestr("s01s02/08/002/skeleton_pos.txt", "\n".join(some_lines()))
    (entry,) = reader.entries(tmp_path)
    assert reader.read(entry).name == "s01s02_c08_t002"


def test_all_real_clips_are_read_in_metres(reader, layout, real_recordings):
    clips = [reader.read(entry) for entry in reader.entries(real_recordings / "sbu")]
    assert len(clips) == 282
    assert len({clip.subject for clip in clips}) == 21
    assert {clip.label for clip in clips} == set(range(8))
    head, left_foot = layout.joints.index("head"), 11
    heights = np.concatenate([np.ptp(clip.joints[:, :, [head, left_foot], 1], axis=2).ravel() for clip in clips])
    assert 1.2 < np.median(heights) < 1.7  # from the middle of the head to the foot


def test_the_bones_of_real_people_are_most_constant_at_the_chosen_scale(reader, layout, real_recordings):
    clips = [reader.read(entry) for entry in reader.entries(real_recordings / "sbu")[::4]]
    child, parent = np.array(layout.bones).T

    def bone_length_variation(stretch):
        lengths = [
            np.linalg.norm((clip.joints[:, :, child] - clip.joints[:, :, parent]) * stretch, axis=-1) for clip in clips
        ]
        return np.mean([(bones.std(axis=1) / bones.mean(axis=1)).mean() for bones in lengths])

    as_it_is = bone_length_variation([1, 1, 1])
    assert as_it_is < 0.03
    for axis in range(3):
        for factor in (0.9, 1.1):
            stretch = np.ones(3)
            stretch[axis] = factor
            assert bone_length_variation(stretch) > as_it_is
