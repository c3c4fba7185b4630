"""The example in JavaScript gives a file what `last.Recognizer` gives it, and names and ranks the classes as it does.

Node comes with the extra `dev`. The tests that are not slow put a session of their own in the place of ONNX Runtime's.
"""

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import node_probes
import numpy as np
import pytest
from deploy_probes import SharedExport
from node_probes import NPM, answer, error

import last
from last.deploy.backends import open_exported

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "javascript"
node = partial(node_probes.node, folder=EXAMPLE)
Array = np.ndarray[Any, Any]

# A session that returns the same probabilities for every input, which it keeps.
FAKE = f"""
import {{ readFile }} from "node:fs/promises";
import {{ parseRecording, Recognizer, RollingWindow }} from "{(EXAMPLE / "recognizer.mjs").as_uri()}";

const fed = [];
const run = async ({{ joints }}) => {{ fed.push(joints); return {{ probabilities: {{ data: [0.2, 0.5, 0.3] }} }}; }};
class Tensor {{ constructor(type, data, dims) {{ Object.assign(this, {{ type, data, dims }}); }} }}
const ort = {{ Tensor, InferenceSession: {{ create: async () => ({{ run }}) }} }};
const [model, facts] = process.argv.slice(1);
const recognizer = await Recognizer.load(ort, await readFile(model), JSON.parse(await readFile(facts, "utf8")));
"""
PREDICT = """
const found = await recognizer.predict(parseRecording(await readFile(process.argv[3], "utf8")));
console.log(JSON.stringify({ found, data: [...fed[0].data], dims: fed[0].dims, type: fed[0].type }));
"""


@pytest.fixture(scope="module")
def model(shared_export: SharedExport) -> Path:
    return shared_export.model


def recording(bodies: int = 2) -> Array:
    joints = np.random.default_rng(3).normal(2, 1, size=(bodies, 21, 25, 3))
    joints[0, 3:6, 4] = np.nan
    joints[0, 8] = np.nan
    return joints


def written(folder: Path, value: Any) -> Path:
    """Write a recording as JSON; an array has null where it has NaN."""
    text = json.dumps(value.tolist() if isinstance(value, np.ndarray) else value)
    (folder / "recording.json").write_text(text.replace("NaN", "null"), encoding="utf-8")
    return folder / "recording.json"


def description(model: Path, folder: Path, **changes: Any) -> Path:
    """Write the description of a model with changes."""
    facts = {**json.loads(model.with_suffix(".json").read_text(encoding="utf-8")), **changes}
    (folder / "changed.json").write_text(json.dumps(facts), encoding="utf-8")
    return folder / "changed.json"


def absent_first(joints: Array) -> Array:
    return np.concatenate([np.zeros_like(joints[:1]), joints])


@pytest.mark.parametrize("joints", [recording(1), recording(2), recording(3), absent_first(recording(2))])
def test_a_file_is_given_what_the_recognizer_gives_it(model: Path, tmp_path: Path, joints: Array) -> None:
    fed = answer(FAKE + PREDICT, model, model.with_suffix(".json"), written(tmp_path, joints))
    assert (fed["type"], fed["dims"]) == ("float32", [1, 2, 21, 25, 3])
    given = np.array(fed["data"], np.float64).astype(np.float32).reshape(fed["dims"])
    np.testing.assert_array_equal(np.isnan(given[0, 0, 3:6, 4]), True)
    expected = last.Recognizer(model, threads=1)(joints).probabilities
    found = open_exported(model, 1).run(given).probabilities[0]
    np.testing.assert_allclose(found, [expected[name] for name in ("rise", "fall", "still")], atol=1e-6)


def test_labels_are_ranked_by_their_probabilities(model: Path, tmp_path: Path) -> None:
    found = answer(FAKE + PREDICT, model, model.with_suffix(".json"), written(tmp_path, recording()))["found"]
    assert [(each["label"], each["probability"]) for each in found] == [("fall", 0.5), ("still", 0.3), ("rise", 0.2)]


def test_a_missing_joint_and_a_missing_frame_of_a_body_may_be_null(model: Path, tmp_path: Path) -> None:
    facts = model.with_suffix(".json")
    expected = answer(FAKE + PREDICT, model, facts, written(tmp_path, recording()))
    short: Any = recording().tolist()
    short[0][3][4], short[0][8] = None, None
    assert answer(FAKE + PREDICT, model, facts, written(tmp_path, short)) == expected


def test_nan_as_python_writes_it_is_read(model: Path, tmp_path: Path) -> None:
    facts = model.with_suffix(".json")
    expected = answer(FAKE + PREDICT, model, facts, written(tmp_path, recording()))
    (tmp_path / "python.json").write_text(json.dumps(recording().tolist()), encoding="utf-8")
    assert answer(FAKE + PREDICT, model, facts, tmp_path / "python.json") == expected


@pytest.mark.parametrize(
    ("joints", "problem"),
    [
        (np.ones((2, 9, 17, 3)), r"A frame has 17; .*\[25 joints\]\[3 coordinates\] of the layout ntu25"),
        (np.ones((2, 9, 25, 2)), "A joint has 2; "),
        (np.ones((9, 25, 3)), "A frame has 3; "),
        (np.ones((9, 25)), "A frame is not a list; "),
        ({"joints": []}, "The recording is not a list; "),
        ([np.ones((9, 25, 3)).tolist(), np.ones((8, 25, 3)).tolist()], "Bodies differ in their frames; "),
        ([[[["1", 2, 3]] * 25]], 'A coordinate is "1", not a number; '),
        (np.full((1, 9, 25, 3), 1e9), "up to 1000000, and null"),
        (np.zeros((2, 9, 25, 3)), "No body is present"),
        (np.full((2, 9, 25, 3), np.nan), "No body is present"),
        ([], "No body is present"),
        (np.ones((2, 0)), "No body is present"),
    ],
)
def test_what_is_no_recording_of_the_layout_is_refused(model: Path, tmp_path: Path, joints: Any, problem: str) -> None:
    assert re.match(f".*{problem}", error(FAKE + PREDICT, model, model.with_suffix(".json"), written(tmp_path, joints)))


def test_the_description_of_another_model_is_refused(model: Path, tmp_path: Path) -> None:
    (tmp_path / "other.onnx").write_bytes(model.read_bytes() + b" ")
    assert "not of the same export" in error(FAKE, tmp_path / "other.onnx", model.with_suffix(".json"))


@pytest.mark.parametrize("changes", [{"format": "other"}, {"format_version": 1}])
def test_the_description_of_another_version_is_refused(model: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    assert "description of a model of version 2" in error(FAKE, model, description(model, tmp_path, **changes))


def test_a_rolling_window_classifies_its_last_frames_at_intervals(model: Path) -> None:
    program = """
const live = new RollingWindow(recognizer, 4, 3);
const due = [];
for (let time = 1; time <= 10; time += 1) {
  const body = Array(25).fill([time, time, time]);
  if (await live.push(time === 9 ? [] : [body])) due.push(time);
}
const firsts = fed.map(({ data, dims }) => [dims[2], [0, 75, 150, 225].map((at) => data[at])]);
console.log(JSON.stringify({ due, fed: firsts }));
"""
    found = answer(FAKE + program, model, model.with_suffix(".json"))
    assert found == {"due": [4, 7, 10], "fed": [[4, [1, 2, 3, 4]], [4, [4, 5, 6, 7]], [4, [7, 8, None, 10]]]}


def test_a_rolling_window_without_a_body_has_no_prediction_and_does_not_end(model: Path) -> None:
    program = """
const live = new RollingWindow(recognizer, 2, 1);
const found = [];
for (const frame of [[], [], [Array(25).fill([1, 2, 3])]]) found.push(Boolean(await live.push(frame)));
console.log(JSON.stringify(found));
"""
    assert answer(FAKE + program, model, model.with_suffix(".json")) == [False, False, True]


def test_the_page_loads_what_the_example_has_and_nothing_from_elsewhere() -> None:
    page = (EXAMPLE / "index.html").read_text(encoding="utf-8")
    assert re.findall(r'from "([^"]*)"', page) == [
        "./node_modules/onnxruntime-web/dist/ort.wasm.bundle.min.mjs",
        "./recognizer.mjs",
    ]
    assert not re.search(r"https?://|innerHTML|eval\(|fetch\(", page)


@pytest.fixture(scope="module")
def packages() -> None:
    """Install the example's packages, of 430 MB, from npm into a folder that git ignores, unless they are there."""
    if not (EXAMPLE / "node_modules").is_dir():
        done = node(NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
        assert done.returncode == 0, done.stdout + done.stderr


def assert_agrees(lines: str, model: Path, joints: Array) -> None:
    """Compare lines of a probability and a label with what the recognizer says."""
    expected = last.Recognizer(model, threads=1)(joints).probabilities
    pairs = [line.split(" ", 1) for line in lines.splitlines()]
    assert [label for _, label in pairs] == list(expected)
    np.testing.assert_allclose([float(value) for value, _ in pairs], list(expected.values()), atol=1e-4)


@pytest.mark.slow
@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize("runtime", ["onnxruntime-node", "onnxruntime-web"])
def test_onnx_runtime_in_javascript_agrees_with_the_recognizer(model: Path, tmp_path: Path, runtime: str) -> None:
    """Run it with `pytest -m slow tests/test_javascript_example.py`; the first time, it needs the npm registry."""
    program = (EXAMPLE / "predict.mjs").read_text(encoding="utf-8").replace('"onnxruntime-node"', f'"{runtime}"')
    arguments = ("predict.mjs", model, written(tmp_path, recording()))
    done = node("--input-type=module", "--eval", program, *arguments)
    assert done.returncode == 0, done.stderr
    assert_agrees(done.stdout, model, recording())


@pytest.mark.slow
@pytest.mark.usefixtures("packages")
def test_the_programs_of_the_page_about_javascript_run(model: Path, tmp_path: Path) -> None:
    """Run it with `pytest -m slow tests/test_javascript_example.py`; the first time, it needs the npm registry."""
    page = (ROOT / "docs" / "javascript.md").read_text(encoding="utf-8")
    whole, live = (part.split("```")[0] for part in page.split("```js\n")[1:])
    frames = "\nfor (const body of recording[0].slice(0, 20)) await onFrame([body]);\n"
    for name in ("model.onnx", "model.json"):
        whole = whole.replace(f'"{name}"', json.dumps(str(model.with_name(name))))
    whole = whole.replace('"recording.json"', json.dumps(str(written(tmp_path, recording()))))
    done = node("--input-type=module", "--eval", whole + live.replace("60, 15", "8, 8") + frames)
    assert done.returncode == 0, done.stderr
    first, *rest = done.stdout.splitlines()
    assert first.split()[0] == last.Recognizer(model, threads=1)(recording()).label
    assert len(rest) == 2
