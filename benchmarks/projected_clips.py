"""Write the clips of a prepared NW-UCLA as recordings of a pose estimator: 17 joints of COCO in pixels, with jitter.

    python benchmarks/projected_clips.py data/nw_ucla ./poses

Every clip is seen by a camera in front of the person, so that its third coordinate is lost. The folder has a folder for
each class, and each file names its performer, as `start ./poses --layout coco17_2d` reads them. With `--json` the files
are results in COCO's form with a confidence for each joint, instead of arrays.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from last.data.store.reader import open_store

# The joints of COCO, each with the joint of the Kinect that it is taken from and how far it is from there, in metres.
_JOINTS = (
    ("head", (0.0, 0.0)), ("head", (0.03, 0.03)), ("head", (-0.03, 0.03)), ("head", (0.07, 0.0)),
    ("head", (-0.07, 0.0)),
    ("left_shoulder", (0, 0)), ("right_shoulder", (0, 0)), ("left_elbow", (0, 0)), ("right_elbow", (0, 0)),
    ("left_wrist", (0, 0)), ("right_wrist", (0, 0)), ("left_hip", (0, 0)), ("right_hip", (0, 0)),
    ("left_knee", (0, 0)), ("right_knee", (0, 0)), ("left_ankle", (0, 0)), ("right_ankle", (0, 0)),
)  # fmt: skip
_PIXELS_PER_METRE, _CENTRE, _DISTANCE_M = 300.0, (320.0, 240.0), 3.0
_JITTER_PIXELS = 2.0
_LEAST_CONFIDENCE, _UNSEEN = 0.4, 0.02  # of a joint that is seen; the share of the joints that are not


def projected(joints: NDArray[np.float32], names: tuple[str, ...], random: np.random.Generator) -> NDArray[np.float32]:
    """Return joints (T, V, 3) in metres, y up, as 17 joints in pixels, y down and x as a camera sees it: (T, 17, 2)."""
    points = np.stack([joints[:, names.index(name)] for name, _ in _JOINTS], axis=1).astype(np.float64)
    points[..., :2] += np.array([offset for _, offset in _JOINTS])
    nearer = _DISTANCE_M / np.maximum(_DISTANCE_M + points[..., 2:], 0.5)
    pixels = np.array([-1.0, -1.0]) * points[..., :2] * nearer * _PIXELS_PER_METRE + np.array(_CENTRE)
    return np.asarray(pixels + random.normal(0, _JITTER_PIXELS, pixels.shape), np.float32)


def results(pixels: NDArray[np.float32], random: np.random.Generator) -> list[dict[str, object]]:
    """Return joints (T, 17, 2) as results in COCO's form: x, y and confidence of each joint; zeros where it is unseen.

    The less confident a joint is, the more it jitters.
    """
    confidences = random.uniform(_LEAST_CONFIDENCE, 1, pixels.shape[:2])
    jittered = pixels + random.normal(0, _JITTER_PIXELS, pixels.shape) * (1 - confidences)[..., None]
    seen = random.random(confidences.shape) >= _UNSEEN
    joints = np.where(seen[..., None], np.concatenate([jittered, confidences[..., None]], axis=-1), 0).round(3)
    return [
        {"image_id": frame, "category_id": 1, "score": 0.9, "keypoints": body.ravel().tolist()}
        for frame, body in enumerate(joints)
    ]


def main() -> None:
    """Write every clip of the store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--json", action="store_true", help="write results in COCO's form, with confidences")
    options = parser.parse_args()
    store, random = open_store(options.store), np.random.default_rng(0)
    for clip in store:
        folder = options.out / store.classes[clip.label].replace(" ", "_")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = projected(clip.joints[0], store.skeleton.joints, random)
        path = folder / f"{clip.name}_P{clip.subject:03}.npy"
        if options.json:
            path.with_suffix(".json").write_text(json.dumps(results(pixels, random)), encoding="utf-8")
        else:
            np.save(path, pixels)


if __name__ == "__main__":
    main()
