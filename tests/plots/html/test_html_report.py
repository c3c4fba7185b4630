"""The shell of reports: foreign text stays text, the page is closed to the network, and its colours can be read."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from html_pages import HOSTILE_NAMES, Elements

import last.plots.html.report as report_module
from last.plots.html import player_of, write_report
from last.plots.player import PlayedClip, Version
from last.skeleton import load_layout
from last.utils.errors import UserError

LAYOUT = load_layout("sbu15")
TEMPLATE = """{% extends "report.html.j2" %}{% from "charts.html.j2" import prose %}
{% block title %}{{ text }}{% endblock %}
{% block content %}<p title="{{ text }}">{{ prose(text) }} {{ text | name }}</p>{% endblock %}"""


def written(folder: Path, text: str, template: str = TEMPLATE) -> str:
    (folder / "own.html.j2").write_text(template, encoding="utf-8")
    write_report(folder / "page.html", folder / "own.html.j2", {"text": text})
    return (folder / "page.html").read_text(encoding="utf-8")


def clip(name: str = "walk", frames: int = 6) -> PlayedClip:
    joints = np.random.default_rng(0).uniform(-0.8, 0.8, (1, frames, 15, 3))
    return PlayedClip(name, LAYOUT, [Version(joints)])


@pytest.mark.parametrize("text", HOSTILE_NAMES)
def test_a_foreign_text_is_only_text_wherever_a_template_shows_it(text: str, tmp_path: Path) -> None:
    page, plain = written(tmp_path, text), written(tmp_path, "plain")
    elements = Elements(page)
    assert elements.tags == Elements(plain).tags and not elements.open
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e\ud800-\udfff]", page)


def test_a_report_allows_its_own_styles_and_programs_and_reaches_no_network(tmp_path: Path) -> None:
    page = written(tmp_path, "text")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    assert policy.count("sha256-") == len(re.findall(r"<style>|<script>", page))
    assert not re.search(r'src=|href="(?!#)|https?://|@import|url\(|innerHTML|eval\(|fetch\(| style="| on\w+="', page)


def test_a_template_with_an_unknown_name_is_an_error(tmp_path: Path) -> None:
    from jinja2 import UndefinedError

    with pytest.raises(UndefinedError, match="nonsense"):
        written(tmp_path, "text", "{{ nonsense }}")


def test_text_in_backticks_is_code_and_several_words_of_it_can_be_copied(tmp_path: Path) -> None:
    page = written(tmp_path, "Set `data.fps`, or run `python -m last view X`.")
    assert '<code class="code">data.fps</code>, or run <span class="command"><code tabindex="0">' in page
    (command,) = re.findall(r'<code tabindex="0">(.*?)</code><button type="button" class="copy" hidden>', page)
    assert re.sub("<[^>]*>", "", command) == "python -m last view X"
    assert "</span>." not in page  # no full stop after the box of a command


def test_a_very_long_name_loses_its_middle(tmp_path: Path) -> None:
    page = written(tmp_path, "start " + "x" * 5_000 + " end", "{{ text | name }}")
    assert len(page) < 170 and page.startswith("start x") and page.endswith("x end")


def test_a_player_has_the_clips_that_can_be_read_and_fit_and_says_why_others_are_not_there() -> None:
    def damaged() -> PlayedClip:
        raise UserError("lost: the file is damaged")

    wrong = PlayedClip("wrong", LAYOUT, [Version(np.zeros((1, 2, 3, 3)))])
    clips: list[Callable[[], PlayedClip]] = [clip, damaged, lambda: wrong, lambda: clip("long", 500), lambda: clip("b")]
    player, used = player_of(clips, 2_000, label="Clips", heading=4)
    assert re.findall(r'"name":"(\w+)"', player.html) == ["walk", "b"]
    assert used == 2 * 6 * 15 * 8
    starts = ["lost: the file", "wrong: Cannot draw", "long is too long"]
    assert [problem.startswith(start) for problem, start in zip(player.problems, starts, strict=True)] == [True] * 3
    assert player_of([damaged], 2_000, label="Clips", heading=4)[0].html == ""


# --- colours


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour, as the Web Content Accessibility Guidelines define it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


SEVERITIES = ("spoils", "warning", "note", "ready")
PAIRS = [
    *((ink, ground) for ink in ("ink", "faint", "accent") for ground in ("page", "card")),
    *((ink, "track") for ink in ("ink", "accent")),
    *((severity, f"{severity}-soft") for severity in SEVERITIES),
    *(("ink", f"{severity}-soft") for severity in SEVERITIES),
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("ink", "ground"), PAIRS)
def test_text_has_enough_contrast(scheme: str, ink: str, ground: str) -> None:
    style = (Path(report_module.__file__).parent / "report.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#\w{6});", blocks[scheme == "dark"]))
    lighter, darker = sorted((luminance(colours[ink]), luminance(colours[ground])), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5
