"""Drawing: pictures that show a clip, for every layout, and clear refusals."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from last.plots.drawing import LIGHT, head_joints
from last.plots.running_labels import LabelledFrames, RunningLabels
from last.plots.skeletons import animate, draw_frames, film
from last.skeleton import list_layouts, load_layout
from last.utils.errors import UserError

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("matplotlib")

LAYOUT = load_layout("sbu15")
LEFT, RIGHT, TRUNK = (0x2A, 0x78, 0xD6), (0xE2, 0x57, 0x4C), (0x3C, 0x42, 0x50)
FLOOR = (0xE4, 0xE3, 0xDC)


def clip(layout: str = "sbu15", bodies: int = 1, frames: int = 6) -> NDArray[np.float32]:
    """Return bodies side by side that move to the right, (M, T, V, C)."""
    random = np.random.default_rng(0)
    body = random.uniform(-0.8, 0.8, size=(load_layout(layout).num_joints, load_layout(layout).coordinates))
    moved = np.repeat(body[None], frames, axis=0)
    moved[..., 0] += np.linspace(0, 0.3, frames)[:, None]
    return np.stack([moved + 2.0 * number for number in range(bodies)]).astype(np.float32)


def frames_of(path: Path) -> list[NDArray[np.uint8]]:
    with Image.open(path) as image:
        frames = []
        for number in range(image.n_frames):
            image.seek(number)
            frames.append(np.asarray(image.convert("RGB")))
        return frames


def milliseconds_of(path: Path) -> int:
    total = 0
    with Image.open(path) as image:
        for number in range(image.n_frames):
            image.seek(number)
            total += image.info["duration"]
    return total


def colours_of(picture: NDArray[np.uint8]) -> set[tuple[int, ...]]:
    packed = np.unique(picture.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32))
    return {(colour >> 16, colour >> 8 & 255, colour & 255) for colour in packed.tolist()}


def test_a_person_is_drawn_as_a_camera_sees_it_and_not_mirrored(tmp_path: Path) -> None:
    # In a camera's right-handed axes (x to its left, y up, z away) the left side of a person who faces it is at -x.
    body = np.zeros((1, 2, 15, 3), np.float32)
    for joint, name in enumerate(LAYOUT.joints):
        body[..., joint, 0] = -0.5 if name.startswith("left") else 0.5 if name.startswith("right") else 0.0
        body[..., joint, 1] = 0.1 * joint
    animate(body, LAYOUT, tmp_path / "clip.gif")
    picture = frames_of(tmp_path / "clip.gif")[0].astype(int)
    left, right = ((np.abs(picture - colour).sum(axis=2) < 40).nonzero()[1].mean() for colour in (LEFT, RIGHT))
    assert left > right


def test_an_animation_moves_and_repeats(tmp_path: Path) -> None:
    animate(clip(), LAYOUT, tmp_path / "clip.gif", title="walk")
    frames = frames_of(tmp_path / "clip.gif")
    assert len(frames) == 6
    assert (frames[0] != frames[3]).any()
    with Image.open(tmp_path / "clip.gif") as image:
        assert image.info["loop"] == 0


@pytest.mark.parametrize(("frames", "fps"), [(6, 30), (7, 12.5), (90, 30), (8, 120)])
def test_an_animation_lasts_as_long_as_the_clip(frames: int, fps: float, tmp_path: Path) -> None:
    animate(clip(frames=frames), LAYOUT, tmp_path / "clip.gif", fps=fps)
    assert milliseconds_of(tmp_path / "clip.gif") == pytest.approx(1000 * frames / fps, abs=10)


def test_a_clip_of_an_unknown_frame_rate_is_played_at_thirty_frames_a_second(tmp_path: Path) -> None:
    animate(clip(frames=60), LAYOUT, tmp_path / "clip.gif", fps=0)
    assert milliseconds_of(tmp_path / "clip.gif") == 2000


@pytest.mark.parametrize("draw", [animate, draw_frames])
def test_a_faint_limb_keeps_its_colour_in_pictures_of_few_colours(draw: Any, tmp_path: Path) -> None:
    confidence = np.ones((2, 6, 15))
    confidence[1, :, [joint for joint, name in enumerate(LAYOUT.joints) if name.startswith("left")]] = 0.5
    draw(clip(bodies=2), LAYOUT, tmp_path / "clip", confidence=confidence)
    colours = np.array(sorted(colours_of(frames_of(tmp_path / "clip")[0])))
    opacity = 0.12 + 0.88 * 0.5
    faint = opacity * np.array((0x0F, 0x9D, 0x8A)) + (1 - opacity) * np.array((0xF8, 0xF8, 0xF5))
    assert np.abs(colours - faint).max(axis=1).min() < 8
    assert tuple(bytes.fromhex(LIGHT.background[1:])) in colours_of(frames_of(tmp_path / "clip")[0])


def test_a_long_clip_of_two_bodies_stays_a_small_file(tmp_path: Path) -> None:
    animate(clip("ntu25", bodies=2, frames=110), load_layout("ntu25"), tmp_path / "clip.gif", title="long")
    assert (tmp_path / "clip.gif").stat().st_size < 600_000


@pytest.mark.parametrize("layout", list_layouts())
def test_every_layout_is_drawn_with_the_colours_of_its_sides(layout: str, tmp_path: Path) -> None:
    draw_frames(clip(layout), load_layout(layout), tmp_path / "strip.png")
    colours = colours_of(frames_of(tmp_path / "strip.png")[0])
    assert ({LEFT, RIGHT} <= colours) == bool(load_layout(layout).mirror)
    limbs = {child for child, _ in load_layout(layout).bones}
    paired = {joint for pair in load_layout(layout).mirror for joint in pair}
    assert (TRUNK in colours) == bool(limbs - paired or load_layout(layout).extra_edges)


@pytest.mark.parametrize("layout", [name for name in list_layouts() if load_layout(name).mirror])
def test_every_layout_with_arms_and_legs_shows_a_head_shoulders_and_hips(layout: str) -> None:
    skeleton = load_layout(layout)
    drawn = {frozenset(pair) for pair in (*skeleton.bones, *skeleton.extra_edges)}
    assert head_joints(skeleton)
    for name in ("shoulder", "hip"):
        left, right = (skeleton.joints.index(f"{side}_{name}") for side in ("left", "right"))
        middles = [joint for joint, name in enumerate(skeleton.joints) if name != "nose"]
        assert {left, right} in drawn or any({left, each} in drawn and {right, each} in drawn for each in middles)


@pytest.mark.parametrize("layout", ["coco17_2d", "openpose18", "mediapipe33"])
def test_extra_edges_and_a_head_without_a_joint_of_its_own_are_in_the_picture(layout: str, tmp_path: Path) -> None:
    skeleton = load_layout(layout)
    plain = replace(skeleton, extra_edges=())
    for name, drawn in (("whole", skeleton), ("plain", plain)):
        draw_frames(clip(layout), drawn, tmp_path / f"{name}.png")
    whole, without = (frames_of(tmp_path / f"{name}.png")[0] for name in ("whole", "plain"))
    trunk = [(picture == TRUNK).all(axis=-1).sum() for picture in (whole, without)]
    assert trunk[0] > trunk[1] > 0  # the head is there either way


def test_a_picture_is_drawn_with_y_down_and_without_a_floor(tmp_path: Path) -> None:
    layout = load_layout("coco17_2d")
    left = np.array([name.startswith("left_") for name in layout.joints])
    body = np.stack([100.0 + 10 * np.arange(17), np.where(left, 300.0, 100.0)], axis=-1)  # the left side lies lower
    draw_frames(body[None, None], layout, tmp_path / "strip.png")
    picture = frames_of(tmp_path / "strip.png")[0][60:]  # below the legend
    rows = {side: np.argwhere((picture == side).all(axis=-1))[:, 0].mean() for side in (LEFT, RIGHT)}
    assert rows[LEFT] > rows[RIGHT] + 20
    assert FLOOR not in colours_of(picture)


def test_a_strip_shows_eight_moments_side_by_side(tmp_path: Path) -> None:
    draw_frames(clip(), LAYOUT, tmp_path / "strip.png", title="walk")
    (picture,) = frames_of(tmp_path / "strip.png")
    height, width, _ = picture.shape
    assert width > 5 * height
    moments = np.split(picture[80:], 8, axis=1)
    assert all((moment != moment[0, 0]).any() for moment in moments)


def test_the_second_body_has_colours_of_its_own(tmp_path: Path) -> None:
    draw_frames(clip(bodies=2), LAYOUT, tmp_path / "two.png")
    draw_frames(clip(bodies=1), LAYOUT, tmp_path / "one.png")
    second_left = (0x0F, 0x9D, 0x8A)
    assert second_left in colours_of(frames_of(tmp_path / "two.png")[0])
    assert second_left not in colours_of(frames_of(tmp_path / "one.png")[0])


@pytest.mark.parametrize("absent", [np.nan, 0.0])
def test_a_body_that_is_absent_changes_nothing(absent: float, tmp_path: Path) -> None:
    two = clip(bodies=2)
    two[1] = absent
    draw_frames(two, LAYOUT, tmp_path / "two.png")
    draw_frames(two[:1], LAYOUT, tmp_path / "one.png")
    assert (frames_of(tmp_path / "two.png")[0] == frames_of(tmp_path / "one.png")[0]).all()


def test_a_body_that_is_not_valid_is_not_drawn(tmp_path: Path) -> None:
    two = clip(bodies=2)
    draw_frames(two, LAYOUT, tmp_path / "two.png", frame_mask=np.array([[True] * 6, [False] * 6]))
    draw_frames(two[:1], LAYOUT, tmp_path / "one.png")
    assert (frames_of(tmp_path / "two.png")[0] == frames_of(tmp_path / "one.png")[0]).all()


@pytest.mark.parametrize("how", ["NaN", "mask"])
def test_a_missing_joint_and_its_bones_are_not_drawn(how: str, tmp_path: Path) -> None:
    whole = clip()
    wrist = LAYOUT.joints.index("left_hand")
    missing, mask = whole.copy(), np.ones(whole.shape[:3], bool)
    if how == "NaN":
        missing[:, :, wrist] = np.nan
    else:
        missing[:, :, wrist] = 0.0
        mask[:, :, wrist] = False
    draw_frames(missing, LAYOUT, tmp_path / "missing.png", joint_mask=mask)
    draw_frames(whole, LAYOUT, tmp_path / "whole.png")
    ink = [
        (frames_of(tmp_path / f"{name}.png")[0] == (0x2A, 0x78, 0xD6)).all(axis=-1).sum()
        for name in ("missing", "whole")
    ]
    assert 0.3 * ink[1] < ink[0] < 0.98 * ink[1]  # the left side is blue


def test_the_picture_does_not_depend_on_where_and_in_which_unit_the_body_is(tmp_path: Path) -> None:
    draw_frames(clip(), LAYOUT, tmp_path / "here.png")
    draw_frames(clip() * 1000.0 + 5000.0, LAYOUT, tmp_path / "there.png")
    here, there = (frames_of(tmp_path / name)[0].astype(int) for name in ("here.png", "there.png"))
    assert np.abs(here - there).mean() < 0.1


@pytest.mark.parametrize("layout", ["coco17", "coco17_2d"])
def test_a_clip_of_one_frame_in_space_or_in_a_picture_is_drawn(layout: str, tmp_path: Path) -> None:
    animate(clip(layout, frames=1), load_layout(layout), tmp_path / "clip.gif")
    assert len(frames_of(tmp_path / "clip.gif")) == 1


@pytest.mark.parametrize("title", ["cost: 5$ and $x^$", "$\\nonsense{$", "two\nlines\x1b[31m", "動作"])
def test_a_foreign_name_is_a_plain_title(title: str, tmp_path: Path) -> None:
    draw_frames(clip(), LAYOUT, tmp_path / "strip.png", title=title)
    animate(clip(frames=1), LAYOUT, tmp_path / "clip.gif", title=title)


def test_the_same_clip_gives_the_same_file(tmp_path: Path) -> None:
    for name in ("first.gif", "second.gif"):
        animate(clip(), LAYOUT, tmp_path / name, title="again")
    assert (tmp_path / "first.gif").read_bytes() == (tmp_path / "second.gif").read_bytes()


@pytest.mark.parametrize("joints", [np.zeros((1, 4, 15, 3)), np.full((1, 4, 15, 3), np.nan), np.zeros((1, 0, 15, 3))])
def test_a_clip_without_any_body_is_refused(joints: NDArray[np.float64], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing to draw"):
        animate(joints, LAYOUT, tmp_path / "clip.gif")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shape", [(4, 15, 3), (1, 4, 25, 3), (1, 4, 15, 4), (1, 4, 15, 2)])
def test_a_shape_of_another_layout_is_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="sbu15"):
        draw_frames(np.ones(shape), LAYOUT, tmp_path / "strip.png")


def test_a_missing_library_is_named_with_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UserError, match=r"matplotlib.*last-har\[plots\]"):
        draw_frames(clip(), LAYOUT, tmp_path / "strip.png")


def test_an_unwritable_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Cannot write"):
        draw_frames(clip(), LAYOUT, tmp_path / "file" / "strip.png")


def test_a_real_recording_is_drawn(real_recordings: Path, tmp_path: Path) -> None:
    from last.data.preparation.formats import Source, get_reader

    reader = get_reader("ntu", Source(load_layout("ntu25"), 2, ()))
    entry = next(entry for entry in reader.entries(real_recordings / "ntu_samples") if "A050" in entry.name)
    recording = reader.read(entry)
    animate(recording.joints, load_layout("ntu25"), tmp_path / "clip.gif", frame_mask=recording.frame_mask)
    assert len(frames_of(tmp_path / "clip.gif")) > 30
    assert (tmp_path / "clip.gif").stat().st_size < 600_000


RUNNING = [RunningLabels("", [LabelledFrames(0, [("wave", 0.8), ("fall", 0.2)]), LabelledFrames(3, [("fall", 0.9)])])]


def test_running_labels_are_drawn_below_and_change_with_the_frames(tmp_path: Path) -> None:
    animate(clip(), LAYOUT, tmp_path / "plain.gif", fps=10)
    animate(clip(), LAYOUT, tmp_path / "running.gif", fps=10, running=RUNNING)
    plain, running = frames_of(tmp_path / "plain.gif"), frames_of(tmp_path / "running.gif")
    above = len(plain[0])
    assert len(running) == 6 and len(running[0]) > above
    below = [frame[above:] for frame in running]
    assert all((frame == below[0]).all() for frame in below[:3])
    assert all((frame == below[3]).all() for frame in below[3:]) and (below[0] != below[3]).any()


def test_labels_are_found_by_their_frame() -> None:
    (running,) = RUNNING
    assert [running.at(frame)[0][0] for frame in (0, 2, 3, 9)] == ["wave", "wave", "fall", "fall"]
    assert RunningLabels("", [LabelledFrames(4, [("late", 1.0)])]).at(3) == ()


def test_a_film_without_ffmpeg_is_refused_with_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(UserError, match=r"needs ffmpeg, which is not installed\. .* install imageio-ffmpeg"):
        film(clip(), LAYOUT, tmp_path / "clip.mp4")
    assert not list(tmp_path.iterdir())


def program(path: Path, text: str) -> Path:
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(0o755)
    return path


def test_a_film_has_each_frame_and_its_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # In the place of ffmpeg a program that keeps what it is given.
    keep = "import sys\nopen(sys.argv[-1], 'wb').write(sys.stdin.buffer.read())\nprint(sys.argv, file=sys.stderr)\n"
    monkeypatch.setenv("PATH", str(program(tmp_path / "ffmpeg", keep).parent))
    film(clip(), LAYOUT, tmp_path / "clip.mp4", fps=10, running=RUNNING)
    content = (tmp_path / "clip.mp4").read_bytes()
    size = len(content) // 6
    assert len({content[start : start + size] for start in range(0, len(content), size)}) == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "ffmpeg"]


def test_a_film_that_ffmpeg_cannot_write_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail = "import sys\nsys.stdin.buffer.read()\nsys.exit('no encoder')\n"
    monkeypatch.setenv("PATH", str(program(tmp_path / "ffmpeg", fail).parent))
    with pytest.raises(UserError, match=r"ffmpeg .* could not write .*clip\.mp4"):
        film(clip(), LAYOUT, tmp_path / "clip.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["ffmpeg"]
