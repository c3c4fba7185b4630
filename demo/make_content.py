"""Write what the page is built with: a student, synthetic clips, joint layouts and colours, into `demo/content`.

    python demo/make_content.py [FOLDER]

`make page` runs it. The student is `nano_e` with the weights that come with LAST, the clips are generated: nothing here
was recorded from a person.

Legend: M bodies, T frames, V joints, C coordinates.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from last.cli import main
from last.data.synthetic.actions import ACTIONS
from last.data.synthetic.performer import FPS, act, sample_performer
from last.data.synthetic.recording import to_camera
from last.plots import drawing
from last.plots.player.page import conventions
from last.skeleton import layout_facts, list_layouts, load_layout
from last.skeleton.layout_map import build_layout_map
from last.utils.errors import UserError

Array = NDArray[np.float64]
SEED = 4
LAYOUT = "ntu25"
PAUSE_S = 0.7
NAMES = {action.name: action for action in ACTIONS}
SINGLE = [action.name for action in ACTIONS if not action.partner]
# Each begins as the one before it ends, or both are a standing body.
SEQUENCE = [
    "raise both arms", "lower both arms", "sit down", "stand up", "kick", "circle arms forwards",
    "touch head, then hip", "circle arms backwards", "kick",
]  # fmt: skip
CROWD = 5


def performed(name: str, seed: int, person: int = 0) -> Array:
    """Return the joints (M, T, V, 3) of an action by one of several people, standing at the origin, in metres."""
    people = np.random.default_rng((SEED, person))
    return act(NAMES[name], sample_performer(people), sample_performer(people), np.random.default_rng((SEED, seed)))


def joined(names: list[str], seed: int, person: int = 0) -> Array:
    """Return actions of a person one after the other, with a pause between them in which the body moves on."""
    parts = [performed(name, seed + number, person) for number, name in enumerate(names)]
    whole = [parts[0]]
    for part in parts[1:]:
        share = np.linspace(0, 1, round(PAUSE_S * FPS))[None, :, None, None]
        share = share * share * (3 - 2 * share)
        before, after = whole[-1][:, -1:], part[:, :1]
        whole += [before + (after - before) * share, part]
    return np.concatenate(whole, axis=1)


def crowd() -> Array:
    """Return people beside and behind each other, each with other actions."""
    bodies = []
    for person in range(CROWD):
        names = [SEQUENCE[(2 * person + step) % len(SEQUENCE)] for step in (0, 1)] + ["kick", "raise both arms"]
        place = np.array([1.15 * (person - (CROWD - 1) / 2), 0.0, 0.9 * (person % 2)])
        bodies.append(joined(names, 100 + 10 * person, person)[0] + place)
    shortest = min(map(len, bodies))
    return np.stack([body[:shortest] for body in bodies])


def clips() -> dict[str, tuple[str, str, Array]]:
    """Return the clips by the names of their files, each with its title, a group, and its joints (M, T, V, 3)."""
    pair = ["walk up and shake hands", "shake hands and step back", "push another person"]
    found = {
        "sequence": ("Nine actions in a row", "Scenes", joined(SEQUENCE, 20)),
        "pair": ("Two people meet", "Scenes", joined(pair, 50, 2)),
        "crowd": ("Five people at once", "Scenes", crowd()),
    }
    for number, name in enumerate(NAMES):
        found[f"action{number + 1:02}"] = (name.capitalize(), "Single actions", performed(name, 200 + number, 7))
    return {key: (title, group, to_camera(joints, 1, 2)) for key, (title, group, joints) in found.items()}


def write_clips(folder: Path) -> None:
    """Write the clips as float16 arrays (M, T, V, 3), and a list of them."""
    listed = []
    for name, (title, group, joints) in clips().items():
        joints = joints - joints.mean(axis=(0, 1, 2)) * [1, 0, 1]  # the finest steps of float16 are around 0
        np.save(folder / f"clip-{name}.npy", joints.astype(np.float16))
        listed.append({"file": f"clip-{name}.npy", "title": title, "group": group, "fps": FPS, "layout": LAYOUT})
    write_json(folder / "clips.json", listed)


def layouts() -> dict[str, Any]:
    """Return all joint layouts, and for each pair of them that can be mapped, which joints make each joint."""
    known = {name: load_layout(name) for name in list_layouts()}
    maps: dict[str, list[list[int]]] = {}
    for source in known.values():
        for target in known.values():
            if source.name == target.name or source.coordinates != target.coordinates:
                continue
            try:
                found = build_layout_map(source, target)
            except UserError:
                continue
            if 4 * len(found.missing) <= target.num_joints:
                maps[f"{source.name}>{target.name}"] = [list(origin) for origin in found.origins]
    facts = {name: {**layout_facts(layout), "extra_edges": layout.extra_edges} for name, layout in known.items()}
    return {"layouts": facts, "maps": maps}


def write_json(path: Path, value: object) -> None:
    """Write a value as JSON of one line."""
    path.write_text(json.dumps(value, separators=(",", ":"), ensure_ascii=False) + "\n", encoding="utf-8")


def make(folder: Path) -> int:
    """Write everything; return the exit code of the export."""
    folder.mkdir(parents=True, exist_ok=True)
    write_clips(folder)
    write_json(folder / "layouts.json", layouts())
    write_json(folder / "drawing.json", {**conventions(), "face": drawing.FACE})
    return main(["export", "--checkpoint", "synthetic", "--out", str(folder / "model.onnx"), "--threads", "1"])


if __name__ == "__main__":
    sys.exit(make(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "content"))
