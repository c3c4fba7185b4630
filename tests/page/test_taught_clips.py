"""What is recorded in the page becomes a folder that `last start` reads."""

import base64
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from node_probes import ROOT, answer

from last.data.preparation.formats import Source
from last.data.preparation.recognise import open_unlabelled
from last.skeleton import load_layout

SOURCE = ROOT / "demo" / "src"
IMPORTS = f"""
import {{ Collection, className }} from "{(SOURCE / "teach/collection.js").as_uri()}";
import {{ Recorder }} from "{(SOURCE / "teach/recorder.js").as_uri()}";
import {{ zipOf }} from "{(SOURCE / "teach/zip.js").as_uri()}";
import {{ OneEuro }} from "{(SOURCE / "pose/one_euro.js").as_uri()}";
const print = (value) => console.log(JSON.stringify(value));
const layout = {{ name: "coco17_2d", joints: Array(17).fill("joint"), coordinates: 2 }};
const frameOf = (number) => Float32Array.from({{ length: 34 }}, (_, at) => (at === 5 ? NaN : number + at / 100));
const problemOf = (act) => {{ try {{ return act(); }} catch (error) {{ return error.message; }} }};
"""


def test_an_archive_is_one_that_others_read() -> None:
    program = """
const files = [["one/ä b.txt", "hello"], ["two.bin", ""]];
const bytes = zipOf(files.map(([name, text]) => ({ name, bytes: new TextEncoder().encode(text) })));
print(Buffer.from(bytes).toString("base64"));
"""
    archive = zipfile.ZipFile(io.BytesIO(base64.b64decode(answer(IMPORTS + program))))
    assert archive.testzip() is None
    assert {info.filename: archive.read(info) for info in archive.infolist()} == {
        "one/ä b.txt": b"hello",
        "two.bin": b"",
    }


def test_the_folder_is_read_as_class_folders_with_the_person(tmp_path: Path) -> None:
    program = """
const collection = new Collection();
for (const name of [" wave ", "stand  still"]) collection.addClass(name);
for (const name of collection.classes.keys()) {
  for (let clip = 0; clip < 2; clip++) {
    const frames = Array.from({ length: 12 }, (_, at) => frameOf(clip + at));
    collection.add(name, { frames, fps: 25, person: clip + 3 }, layout);
  }
}
print(Buffer.from(collection.archive("taught")).toString("base64"));
"""
    zipfile.ZipFile(io.BytesIO(base64.b64decode(answer(IMPORTS + program)))).extractall(tmp_path)
    paths = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.npz"))
    assert paths == [f"taught/{name}/clip0{n}_P00{n + 2}.npz" for name in ("stand still", "wave") for n in (1, 2)]
    source = Source(load_layout("coco17_2d"), 1, ("stand still", "wave"))
    reader, entries = open_unlabelled(tmp_path / "taught", source, "folder")
    assert reader.metadata(entries[-1]).subject == 4
    with np.load(tmp_path / paths[3]) as arrays:
        assert arrays["fps"] == 25
        wanted = 1 + np.arange(12)[:, None] + np.arange(34) / 100
        wanted[:, 5] = np.nan
        np.testing.assert_allclose(arrays["joints"], wanted.reshape(12, 17, 2), atol=1e-5)


def test_a_clip_is_of_one_person_and_of_its_length() -> None:
    program = """
const recorder = new Recorder(1);
let complete = null;
for (let frame = 0; complete === null; frame++) {
  const there = frame % 10 === 3 ? [frameOf(500)] : [frameOf(frame), frameOf(900)];
  if (recorder.take(there, frame % 10 === 3 ? ["b"] : ["a", "b"], frame / 20)) complete = frame;
}
print({ complete, fps: recorder.clip.fps, largest: Math.max(...recorder.clip.frames.map((joints) => joints[0])) });
"""
    assert answer(IMPORTS + program) == {"complete": 20, "fps": 18, "largest": 20}


def test_a_recording_that_begins_again_ends_a_long_or_whole_clip_and_restarts_a_short_one() -> None:
    program = """
const ends = (times) => {
  const recorder = new Recorder(5);
  return [times.map((time) => recorder.take([frameOf(1)], [1], time)).at(-1), recorder.times.length];
};
print([ends([0, 0.1, 0.2, 0]), ends([3, 5, 7, 0]), ends([6, 6.5, 7, 0])]);
"""
    assert answer(IMPORTS + program) == [[True, 3], [True, 3], [False, 1]]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "Give the class a name"),
        ("  ", "Give the class a name"),
        ("../up", "cannot be the name of a folder"),
        ("a/b", "cannot be the name of a folder"),
        ("CON", "cannot be the name of a folder"),
        (".hidden", "cannot be the name of a folder"),
        ("x" * 61, "at most 60 characters"),
    ],
)
def test_a_class_needs_a_name_that_a_folder_can_have(name: str, problem: str) -> None:
    assert problem in answer(IMPORTS + "print(problemOf(() => className(process.argv[1])));", name)


def test_what_cannot_be_trained_on_is_said_before_the_download() -> None:
    program = """
const collection = new Collection();
const clip = { frames: Array.from({ length: 12 }, (_, at) => frameOf(at)), fps: 30, person: 1 };
const told = [collection.lacks];
collection.addClass("wave");
told.push(problemOf(() => collection.addClass("Wave")));
told.push(problemOf(() => collection.add("wave", { frames: clip.frames.slice(0, 3), fps: 30 }, layout)));
collection.add("wave", clip, layout);
told.push(problemOf(() => collection.add("wave", clip, { ...layout, name: "ntu25" })));
collection.addClass("rest");
collection.add("rest", clip, layout);
told.push(problemOf(() => collection.archive("taught")));
print(told);
"""
    told = answer(IMPORTS + program)
    assert told[0] == "Record clips of two classes at least."
    assert told[1] == 'There is a class "wave" already.'
    assert "has 3 frames" in told[2]
    assert "have the layout coco17_2d, this one ntu25" in told[3]
    assert told[4].startswith('Record a second clip of "wave"')


def test_the_filter_smooths_a_point_at_rest_and_follows_a_quick_one() -> None:
    program = """
const filter = new OneEuro({ minCutoff: 1, beta: 0 });
const noise = Array.from({ length: 200 }, (_, at) => Math.sin(at * 12.9898) * 0.5);
const rest = noise.map((value, at) => filter.filter(at / 30, [value])[0]).slice(60);
const quick = new OneEuro({ minCutoff: 1, beta: 0.5 });
const slow = new OneEuro({ minCutoff: 1, beta: 0 });
let behind = [0, 0];
for (let at = 0; at < 60; at++) {
  const value = at * 2;
  behind = [value - quick.filter(at / 30, [value])[0], value - slow.filter(at / 30, [value])[0]];
}
const gap = new OneEuro();
const missing = [[1], [NaN], [5]].map((values, at) => gap.filter(at / 30, values)[0]);
print({ rest: Math.max(...rest) - Math.min(...rest), behind, missing: missing.map(String) });
"""
    found = answer(IMPORTS + program)
    assert found["rest"] < 0.5  # of a noise of 1.0
    assert found["behind"][0] < 1 < 5 < found["behind"][1]
    assert found["missing"] == ["1", "NaN", "5"]


def test_the_filter_is_that_of_its_paper() -> None:
    program = """
const filter = new OneEuro({ minCutoff: 1.5, beta: 0.02, derivativeCutoff: 1 });
print([0, 1, 4, 4, 10, -3].map((value, at) => filter.filter(at / 25, [value])[0]));
"""

    def alpha(cutoff: float) -> float:
        return 1 / (1 + 25 / (2 * np.pi * cutoff))

    value, speed, wanted = 0.0, 0.0, [0.0]
    for new in (1, 4, 4, 10, -3):
        speed += alpha(1) * ((new - value) * 25 - speed)
        value += alpha(1.5 + 0.02 * abs(speed)) * (new - value)
        wanted.append(value)
    np.testing.assert_allclose(answer(IMPORTS + program), wanted, atol=1e-5)


def test_a_clip_is_a_copy_if_most_of_it_is_in_the_collection() -> None:
    program = """
const collection = new Collection();
for (const name of ["one", "other"]) collection.addClass(name);
const clipOf = (first) => ({ frames: Array.from({ length: 20 }, (_, at) => frameOf(first + at)), fps: 30, person: 1 });
const before = collection.repeats(clipOf(0));
collection.add("one", clipOf(0), layout);
print([before, ...[0, 6, 14, 20].map((first) => collection.repeats(clipOf(first)))]);
"""
    assert answer(IMPORTS + program) == [False, True, True, False, False]
