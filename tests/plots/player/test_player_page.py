"""The player's page: it is one file, foreign names cannot break it, and a browser draws it without an error."""

import html
import json
import re
from pathlib import Path

import numpy as np
import pytest
from html_pages import HOSTILE_NAMES, Elements, opened

import last.plots.player.page as page_module
from last.plots.player import PlayedClip, Version, assets, fragment, write_page
from last.plots.running_labels import LabelledFrames, RunningLabels
from last.skeleton import load_layout
from last.utils.errors import UserError

LAYOUT = load_layout("ntu25")
FLAT = load_layout("coco17_2d")


def clip(name: str = "walk", frames: int = 6, bodies: int = 1, layout: str = "ntu25") -> PlayedClip:
    shape = (bodies, frames, load_layout(layout).num_joints, load_layout(layout).coordinates)
    joints = np.random.default_rng(0).uniform(-0.8, 0.8, shape).cumsum(axis=1)
    return PlayedClip(name, load_layout(layout), [Version(joints, 30.0)], f"class of {name}")


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_foreign_name_is_only_text_wherever_it_stands(name: str, tmp_path: Path) -> None:
    write_page(tmp_path / "page.html", [clip(name)], title=name)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    write_page(tmp_path / "plain.html", [clip("plain")], title="plain")
    elements, plain = Elements(text), Elements((tmp_path / "plain.html").read_text(encoding="utf-8"))
    assert elements.tags == plain.tags and not elements.open
    assert json.loads(elements.scripts[0])["clips"][0]["name"].isprintable()


def test_a_page_reaches_no_network_and_runs_no_other_program(tmp_path: Path) -> None:
    write_page(tmp_path / "page.html", [clip()], title="page")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    assert not re.search(r"(src|href)=|https?://|@import|url\(|innerHTML|eval\(|fetch\(|XMLHttpRequest", text)


def test_a_page_of_a_hundred_clips_is_small(tmp_path: Path) -> None:
    write_page(tmp_path / "page.html", [clip(str(number), frames=60) for number in range(100)], title="hundred")
    assert (tmp_path / "page.html").stat().st_size < 1_400_000  # 12 kB a clip of 60 frames and 25 joints


def test_a_page_that_is_too_large_and_one_without_clips_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="no clip to show"):
        fragment([])
    monkeypatch.setattr(page_module, "PAGE_LIMIT_BYTES", 1 << 10)
    with pytest.raises(UserError, match="Show fewer clips"):
        fragment([clip()])


def test_the_same_clips_give_the_same_page(tmp_path: Path) -> None:
    for name in ("one.html", "other.html"):
        write_page(tmp_path / name, [clip()], title="same")
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "other.html").read_bytes()


def test_several_players_fit_on_one_page() -> None:
    text = fragment([clip()], label='first "one"', plays=False) + fragment([clip(), clip("other")]) + assets()
    assert Elements(text).tags.count("section") == 2
    assert 'data-plays="false"' in text and html.escape('first "one"') in text


# --- in a browser

MARKS = (Path(__file__).parent / "marks_seen.js").read_text(encoding="utf-8")
LABELS = (Path(__file__).parent / "labels_seen.js").read_text(encoding="utf-8")
READER = (Path(__file__).parent / "reader_at_work.js").read_text(encoding="utf-8")


def test_a_browser_draws_the_page_with_hostile_names_and_no_error(tmp_path: Path) -> None:
    clips = [clip(name) for name in HOSTILE_NAMES]
    write_page(tmp_path / "page.html", clips, title=HOSTILE_NAMES[0])
    document = opened(tmp_path / "page.html")
    assert "data-error" not in document
    (drawn,) = re.findall(r'data-drawn="(\d+)"', document)
    assert int(drawn) == len(LAYOUT.bones) + 1  # and the head
    assert html.escape(HOSTILE_NAMES[0], quote=False) in document


def test_a_browser_steps_turns_zooms_searches_and_selects(tmp_path: Path) -> None:
    joints = np.random.default_rng(0).uniform(-1, 1, (2, 4, 25, 3))
    confidence = np.random.default_rng(1).uniform(0, 1, (2, 4, 25))
    one_missing = joints.copy()
    one_missing[:, :, LAYOUT.joints.index("left_hand_tip")] = np.nan
    clips = [
        PlayedClip("two bodies", LAYOUT, [Version(joints, 10.0, confidence=confidence)]),
        PlayedClip("empty", LAYOUT, [Version(np.full((1, 3, 25, 3), np.nan))]),
        PlayedClip("flat", FLAT, [Version(joints[:1, :1, :17, :2])]),
        PlayedClip("wave", LAYOUT, [Version(one_missing[:1], 10.0, "original"), Version(joints[:1, :2], 0.0, "other")]),
    ]
    apart = np.full((2, 1, 25, 3), np.nan)  # a piece of the trunk near the viewer, and one behind it
    for body, depth in enumerate((-1.0, 1.0)):
        apart[body, 0, list(LAYOUT.bones[0])] = [[0.0, 0.4, depth], [0.0, -0.4, depth]]
    clips.append(PlayedClip("near and far", LAYOUT, [Version(apart)]))
    facing = np.zeros((1, 1, 25, 3))
    for joint, name in enumerate(LAYOUT.joints):
        facing[..., joint, 0] = -0.5 if "left" in name else 0.5 if "right" in name else 0.0
        facing[..., joint, 1] = 0.1 * joint
    clips.append(PlayedClip("facing", LAYOUT, [Version(facing)]))
    page = f"<body>{fragment(clips)}{assets()}<script>{READER}</script></body>"
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    document = opened(tmp_path / "page.html")
    assert "data-error" not in document
    found = json.loads(html.unescape(re.findall(r'<pre id="found">(.*?)</pre>', document)[0]))
    assert [found[name] for name in ("first", "second", "last")] == ["0.00 s, 1 / 4", "0.10 s, 2 / 4", "0.30 s, 4 / 4"]
    assert found["legend"].split() == ["body", "1:", "left", "right", "body", "2:", "left", "right"]
    assert found["turned"] and found["reset"] and found["zoomed"] and found["opaque"]
    assert found["matches"] == ["wave"]
    assert found["turns"] == [True, False]
    body, flat = len(LAYOUT.bones) + 1, len(FLAT.bones) + len(FLAT.extra_edges) + 1
    assert found["drawn"] == [2 * body, 0, flat, 2 * body - 1, 2, body]
    assert found["left"][0] > found["rightSide"][0] + 50  # as a camera sees a person who faces it, not mirrored
    assert found["right"][0] > 5 and found["down"][1] > 2  # what is near follows the keys, and the pointer
    assert found["dragged"][0] > 5 and found["dragged"][1] > 2
    assert found["canvases"] == 2
    assert found["pinched"] and found["wheeled"]


def test_an_embedded_player_starts_at_the_marked_frames_and_rings_the_marked_joints(tmp_path: Path) -> None:
    joints = np.random.default_rng(0).uniform(-0.8, 0.8, (1, 9, 25, 3))
    version = [Version(joints)]
    clips = [
        PlayedClip("stretch", LAYOUT, version, marked_frames=(3, 5), marked_joints=[7, 99]),
        PlayedClip("plain", LAYOUT, version),
        PlayedClip("whole", LAYOUT, version, marked_joints=[7]),
        PlayedClip("beyond", LAYOUT, version, marked_frames=(20, 30)),
    ]
    page = f"<body>{fragment(clips, plays=False, heading=4, embedded=True)}{assets()}<script>{MARKS}</script></body>"
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    document = opened(tmp_path / "page.html")
    assert "data-error" not in document and '<h4 class="lp-title">' in document
    found = json.loads(html.unescape(re.findall(r'<pre id="found">(.*?)</pre>', document)[0]))
    assert [each["time"] for each in found["clips"]] == ["4 / 9", "1 / 9", "1 / 9", "1 / 9"]
    assert [each["rings"] for each in found["clips"]] == [True, False, True, False]
    assert [each["stretch"] for each in found["clips"]] == [True, False, False, False]
    assert found["outside"] is False  # the stretch is over
    assert found["returned"] == "4 / 9"
    assert found["wheel"] == [False, True]  # the page scrolls until the clip has the focus


def test_a_browser_shows_the_labels_of_each_frame(tmp_path: Path) -> None:
    labels = [("wave <b>", 0.8), ("fall", 0.15), ("rise", 0.04), ("sit", 0.01)]
    spans = [LabelledFrames(0, labels), LabelledFrames(2, [("fall", 1.0)]), LabelledFrames(3, [])]
    played = PlayedClip("clip", LAYOUT, clip(frames=4).versions, running=[RunningLabels("", spans)])
    page = f"<body>{fragment([played], plays=False)}{assets()}<script>{LABELS}</script></body>"
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    document = opened(tmp_path / "page.html")
    assert "data-error" not in document
    found = json.loads(html.unescape(re.findall(r'<pre id="found">(.*?)</pre>', document)[0]))
    three = ["wave <b> 80 %", "fall 15 %", "rise 4 %"]
    assert found == [three, three, ["fall 100 %"], ["no body"]]
