"""Compare the page in a browser with ONNX Runtime in Python, clip by clip, and measure the page's speed and size.

    make page
    python benchmarks/reliability/page_agreement.py model.onnx data/nw_ucla --camera 3

Every clip of a camera is written as JSON and opened in the page in headless Chromium, as a user opens it; the class
that the page shows is compared with that of `last.Recognizer`. It needs Node, Chromium, and the packages of `demo/`.
"""

import argparse
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from last.data.store.reader import open_store
from last.deploy.arrays import array_of_clip
from last.deploy.recognizer import Recognizer

_DEMO = Path(__file__).parents[2] / "demo"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def write_clips(store: Path, camera: int, recognizer: Recognizer, folder: Path) -> dict[str, tuple[str, float]]:
    """Write the clips of a camera as `clips.json`; return the class of each, and its probability."""
    facts = recognizer.facts
    listed, expected = [], {}
    for clip in open_store(store):
        if clip.camera != camera:
            continue
        joints = array_of_clip(clip, facts.bodies, facts.min_confidence)[0]
        seen = joints[~np.isnan(joints).all(axis=(1, 2, 3))]
        name = clip.name.replace("/", " ")
        values = seen.astype(object)
        values[np.isnan(seen)] = None
        listed.append({"name": name, "joints": values.tolist()})
        found = recognizer(clip)
        expected[name] = (found.label, found.probability)
    (folder / "clips.json").write_text(json.dumps(listed), encoding="utf-8")
    return expected


def in_the_page(folder: Path, page: Path) -> dict[str, Any]:
    """Return what the page shows, and its speed and size."""
    named = next(filter(None, [os.environ.get("LAST_TEST_CHROMIUM"), *map(shutil.which, _BROWSERS)]))
    command = ["node", "measure.mjs", str(named), str(page.absolute()), str(folder)]
    done = subprocess.run(command, cwd=_DEMO, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("store", type=Path)
    parser.add_argument("--camera", type=int, default=3)
    parser.add_argument("--page", type=Path, default=_DEMO / "dist", help="the built page (default: demo/dist)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(arguments.model, folder / "model.onnx")
        shutil.copy(arguments.model.with_suffix(".json"), folder / "model.json")
        expected = write_clips(arguments.store, arguments.camera, Recognizer(arguments.model, 1), folder)
        result = in_the_page(folder, arguments.page)
    shown = result.pop("classes")
    same = [name for name, (label, _) in expected.items() if shown[name][0].startswith(f"The whole clip: {label}, ")]
    differences = [abs(shown[name][1] - probability) for name, (_, probability) in expected.items()]
    print(json.dumps(result, indent=2))
    print(f"same class: {len(same)} of {len(expected)}; largest difference of its probability: {max(differences):.1e}")


if __name__ == "__main__":
    main()
