"""`view` shows stores, data sets, runs and raw recordings, and says what is missing when it cannot."""

import json
import re
import subprocess
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import last.cli.view as view_module
from last.data.preparation.preprocess import preprocess
from last.data.preparation.recognise import recognised
from last.data.store.reader import open_store, write_store
from last.data.synthetic import synthesize
from last.experiments.config import resolve
from last.plots.player import PlayedClip, Version
from last.runs.folder import RunFolder
from last.skeleton import load_layout

Command = Callable[..., Any]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def store(data_yaml: Path) -> Path:
    return data_yaml.parent / "data" / "tiny"


def shown(page: Path | str) -> list[dict[str, Any]]:
    """Return the clips on a page."""
    text = Path(page).read_text(encoding="utf-8")
    found = re.findall(r'<script type="application/json">(.*?)</script>', text)
    clips: list[dict[str, Any]] = json.loads(found[0])["clips"]
    return clips


def names_on(page: Path | str) -> list[str]:
    return [clip["name"] for clip in shown(page)]


def save(path: Path, *shape: int, **others: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    joints = np.random.default_rng(0).uniform(-1, 1, shape)
    if path.suffix == ".npz":
        np.savez(path, joints=joints, **others)
    else:
        np.save(path, joints)
    return path


def test_a_store_is_shown_in_a_page_in_the_current_folder(cli: Command, store: Path) -> None:
    result = cli("view", store)
    assert result.code == 0, result.err
    assert "Shown: 24 clips of the prepared data set tiny" in result.out
    assert str(Path.cwd() / "view-tiny.html") in result.out
    clips = shown("view-tiny.html")
    assert len(clips) == 24
    assert clips[0]["caption"] == "rise, subject 1, camera 1"
    assert clips[1]["versions"][0]["bodies"] == 2


def test_a_sensible_few_are_spread_over_the_classes(cli: Command, store: Path) -> None:
    result = cli("view", store, "--most", 6)
    assert "Shown: 6 of 24 clips" in result.out and "spread over 3 classes" in result.out
    labels = [clip["caption"].partition(",")[0] for clip in shown("view-tiny.html")]
    assert sorted(labels) == ["fall", "fall", "rise", "rise", "still", "still"]


def test_clips_are_chosen_by_name_or_by_class(cli: Command, store: Path) -> None:
    assert cli("view", store, "--clip", "clip07", "clip02", "clip07").code == 0
    assert names_on("view-tiny.html") == ["clip07", "clip02"]
    assert cli("view", store, "--classes", "still", "--out", "still.html").code == 0
    assert names_on("still.html") == [f"clip{number:02}" for number in range(2, 24, 3)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--clip", "clip7"), "There is no clip 'clip7'. The nearest: clip"),
        (("--classes", "ris"), "There is no class 'ris'. The nearest: rise"),
        (("--clip", "clip07", "--classes", "rise"), "not with both"),
        (("--most", "0"), "--most 0 should be at least 1"),
        (("--most", "1001"), "--most 1001 should be at most 1,000"),
        (("--out", "page.pdf"), "should end in .html, .gif or .png"),
        (("--augmented",), "How training augments"),
        (("--clip", "clip01", "clip02", "--out", "a.gif"), "A .gif file shows one clip"),
    ],
)
def test_an_impossible_request_is_refused(
    cli: Command, store: Path, tmp_path: Path, options: Any, message: str
) -> None:
    clips = list(open_store(store))
    alone = write_store(tmp_path / "alone", clips, name="alone", layout="ntu25", classes=["rise", "fall", "still"])
    result = cli("view", alone.path, *options)
    assert result.code == 2 and message in result.err, result.err
    assert not list(Path.cwd().iterdir())


def test_a_data_yaml_and_a_run_show_their_data_set(
    cli: Command, data_yaml: Path, trained_run: Callable[..., RunFolder]
) -> None:
    assert cli("view", data_yaml, "--data_root", data_yaml.parent / "data", "--out", "yaml.html").code == 0
    assert cli("view", trained_run().path, "--out", "run.html").code == 0
    assert names_on("yaml.html") == names_on("run.html")


def test_a_run_shows_clips_beside_what_its_training_saw(
    cli: Command, data_yaml: Path, trained_run: Callable[..., RunFolder]
) -> None:
    run = trained_run().path
    pages = {"first.html": (), "again.html": ("--seed", 0), "other.html": ("--epoch", 5)}
    for page, options in pages.items():
        result = cli("view", run, "--augmented", "--clip", "clip01", *options, "--out", page)
        assert result.code == 0, result.err
    original, augmented = shown("first.html")[0]["versions"]
    assert original["title"] == "original"
    assert augmented["title"] == "in training: 8 frames, seed 0, epoch 0" and augmented["frames"] == 8
    assert original["joints"] != augmented["joints"]
    assert shown("again.html") == shown("first.html") != shown("other.html")


def test_what_is_shown_as_augmented_is_what_the_loader_gives(data_yaml: Path, store: Path) -> None:
    from last.data.loading.augmented import augmented_clips
    from last.data.loading.pipeline import InputPipeline
    from last.data.loading.run_data import training_data

    config = resolve(
        model="nano_e",
        dataset=str(data_yaml),
        environment="local",
        flags={"batch_size": 4, "input_frames": 8, "data_root": str(data_yaml.parent / "data")},
    )
    data = training_data(config, open_store(store))
    data.sampler.epoch = 2
    pipeline = InputPipeline(config.data)
    for batch in data.loader:
        streams = pipeline(batch, True)["joint"].permute(0, 4, 2, 3, 1).numpy()
        seen = augmented_clips(open_store(store), batch.indices.tolist(), config.data, 8, seed=config.seed, epoch=2)
        assert all((clip.joints == stream).all() for clip, stream in zip(seen, streams, strict=True))


def test_new_augmentations_are_shown_and_annealed_as_in_the_run(
    cli: Command, trained_run: Callable[..., RunFolder]
) -> None:
    mixed = ("data.augment.mix_add=1", "data.augment.drop_body=1", "data.augment.anneal=0.5", "epochs=2")
    run = trained_run(*mixed, "data.augment.rotation_degrees=[]", "data.sampling.crop_min=1").path
    for epoch in (0, 1, 7):
        result = cli("view", run, "--augmented", "--epoch", epoch, "--out", f"{epoch}.html")
        assert result.code == 0, result.err
    first, last, later = ([clip["versions"][1]["joints"] for clip in shown(f"{epoch}.html")] for epoch in (0, 1, 7))
    assert last == later and all(one != other for one, other in zip(first, last, strict=True))


def test_looking_at_clips_does_not_import_torch(store: Path) -> None:
    code = f"import sys; from last.cli import main; main(['view', {str(store)!r}]); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=120, capture_output=True).returncode == 0


def test_animations_and_strips_are_written(cli: Command, data_yaml: Path) -> None:
    pytest.importorskip("PIL")
    pytest.importorskip("matplotlib")
    options = (data_yaml, "--data_root", data_yaml.parent / "data", "--clip", "clip03")
    assert cli("view", *options, "--out", "clip.gif").code == 0
    assert cli("view", *options, "--out", "clip.png", "--augmented").code == 0
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["clip-augmented.png", "clip.gif", "clip.png"]


def test_pictures_show_the_confidences_and_an_augmented_one_lasts_as_long(
    cli: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("PIL")
    pytest.importorskip("matplotlib")
    drawn: list[dict[str, Any]] = []

    def draw(joints: NDArray[Any], *_: object, **how: Any) -> None:
        drawn.append({"frames": joints.shape[1], **how})

    monkeypatch.setattr("last.plots.skeletons.animate", draw)
    save(Path("one.npz"), 40, 33, 3, fps=25, confidence=np.full((40, 33), 0.5))
    assert cli("view", "one.npz", "--out", "one.gif").code == 0
    assert drawn[0]["confidence"] == pytest.approx(np.full((1, 40, 33), 0.5), abs=0.01)
    versions = [Version(np.zeros((1, 40, 33, 3)), 25.0), Version(np.zeros((1, 8, 33, 3)))]
    view_module._write_pictures(Path("one.gif"), ".gif", [PlayedClip("one", load_layout("mediapipe33"), versions)])
    assert [each["frames"] / each["fps"] for each in drawn[1:]] == [1.6, 1.6]


# --- raw recordings


def test_ntu_recordings_are_recognised(cli: Command, tmp_path: Path) -> None:
    synthesize(tmp_path / "raw", 4, 0)
    result = cli("view", tmp_path / "raw", "--out", "raw.html")
    assert result.code == 0, result.err
    assert "read as ntu with the layout ntu25" in result.out
    assert len(shown("raw.html")) == 4


def test_a_raw_clip_looks_like_the_one_that_is_prepared(cli: Command, tmp_path: Path) -> None:
    synthesize(tmp_path / "raw", 12, 0)
    config = resolve(model="nano_e", dataset="synthetic", environment="local").data
    preprocess(config, tmp_path / "raw", tmp_path / "store", partial=True, workers=1)
    assert cli("view", tmp_path / "raw", "--out", "raw.html").code == 0
    assert cli("view", tmp_path / "store", "--out", "store.html").code == 0
    assert [each["versions"] for each in shown("raw.html")] == [each["versions"] for each in shown("store.html")]


def test_class_folders_single_classes_and_single_files_are_shown(cli: Command, tmp_path: Path) -> None:
    for name in ("clap", "wave"):
        save(tmp_path / "raw" / name / f"{name}.npz", 4, 33, 3, fps=30, confidence=np.full((4, 33), 0.5))
    for place, caption in (("", "clap"), ("clap", ""), ("clap/clap.npz", "")):
        result = cli("view", tmp_path / "raw" / place, "--out", "raw.html")
        assert result.code == 0, result.err
        assert "with the layout mediapipe33" in result.out  # the only one of 33 joints
        assert shown("raw.html")[0]["caption"] == caption
        assert shown("raw.html")[0]["versions"][0]["fps"] == 30
    assert shown("raw.html")[0]["versions"][0]["confidence"] is not None


@pytest.mark.parametrize("frames", [1, 2])
def test_clips_of_one_frame_and_of_two_joints_are_shown(cli: Command, tmp_path: Path, frames: int) -> None:
    layout = tmp_path / "pair.yaml"
    layout.write_text("joints: [one, other]\nbones: [[other, one]]\nroot: one\ncenter: one\n")
    save(tmp_path / "pair.npy", frames, 2, 3)
    result = cli("view", tmp_path / "pair.npy", "--layout", layout)
    assert result.code == 0, result.err
    assert shown("view-pair.html")[0]["versions"][0]["frames"] == frames


def test_names_with_quotes_and_other_signs_are_shown(cli: Command, tmp_path: Path) -> None:
    name = 'it\'s "<b>" & \u202ex'
    save(tmp_path / "raw" / f"{name}.npy", 3, 33, 3)
    assert cli("view", tmp_path / "raw").code == 0
    assert names_on("view-raw.html") == ['it\'s "<b>" & ?x']


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("S001C001P001R001A001.skeleton", "ntu"),
        ("s001c001p001r001a001.skeleton.gz", "ntu"),
        ("s01s02/03/001/skeleton_pos.txt", "sbu"),
        ("a01_s01_e00_v01.json", "nw_ucla"),
        ("videoDLC_resnet50_mouseJan1shuffle1_500000.csv", "dlc"),
        ("poses.csv", "table"),
        ("poses.parquet", "table"),
        ("clip.c3d", "c3d"),
        ("clip.BVH", "bvh"),
        ("clip.slp", "sleap"),
        ("clip.analysis.h5", "sleap"),
        ("frame_000_keypoints.json", "openpose"),
        ("ntu60.pkl", "pyskl"),
        ("clip.npz", "folder"),
    ],
)
def test_the_format_is_recognised_by_the_name_of_a_file(name: str, kind: str, tmp_path: Path) -> None:
    (tmp_path / "raw" / name).parent.mkdir(parents=True)
    (tmp_path / "raw" / name).write_text("")
    layout = "" if kind in {"ntu", "sbu", "nw_ucla"} else "coco17"
    assert recognised(tmp_path / "raw", layout=layout).format == kind


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ([{"image_id": 0, "keypoints": [1.0, 2.0, 0.9]}], "coco"),
        ({"images": [], "annotations": []}, "coco"),
        ([{"timestamp_ms": 0, "pose_landmarks": []}], "mediapipe"),
        ({"frames": [{"timestamp_usec": 0, "num_bodies": 0, "bodies": []}]}, "kinect_azure"),
        ([{"num_frames_in_batch": 1, "batches": []}], "tao"),
    ],
)
def test_the_format_of_json_files_is_recognised_by_their_content(content: object, kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "raw" / "wave"
    folder.mkdir(parents=True)
    (folder / "a.json").write_text('[{"image')  # a damaged file does not hide the others
    (folder / "b.json").write_text(json.dumps(content))
    assert recognised(tmp_path / "raw", layout="coco17_2d").format == kind


def recordings_that_cannot_be_shown(folder: Path) -> dict[str, tuple[list[str], str]]:
    (folder / "empty").mkdir()
    save(folder / "many.npy", 3, 17, 3)
    save(folder / "odd.npy", 3, 7, 3)
    (folder / "notes" / "a.txt").parent.mkdir()
    (folder / "notes" / "a.txt").write_text("hello")
    np.save(folder / "missing.npy", np.full((3, 25, 3), np.nan))
    (folder / "broken.npy").write_bytes(b"no array")
    (folder / "clips.json").write_text("{}")
    (folder / "a.bvh").write_text("HIERARCHY")
    return {
        "empty": ([], "is an empty folder: it holds no file. Put the recordings there, a folder for each class"),
        "many.npy": ([], "--layout ap10k17, coco17 or h36m17"),
        "odd.npy": ([], "fit none of the known joint layouts"),
        "notes": ([], r"1 .txt \(notes/a.txt\)"),
        "missing.npy": (["--layout", "ntu25"], "missing: no skeleton"),
        "broken.npy": (["--layout", "ntu25"], "is not a readable .npy array"),
        "broken.npy ": ([], "cannot be read as folder: broken: is not a readable"),
        "missing.npy ": ([], "cannot be read as folder: .*no body|fit none"),
        "a.bvh": ([], "bvh"),
        "clips.json": ([], "the first ones look like none of them: if they are damaged, copy them again.*--format"),
        "none": ([], "There is no .*none"),
        "odd.npy ": (["--layout", "ntu52"], "There is no "),
        "many.npy ": (["--layout", "coco17", "--augmented"], "needs a prepared data set"),
        "many.npy  ": (["--layout", "coco17", "--classes", "wave"], "are not known before they are read"),
        "many.npy   ": (["--layout", "coco17", "--dataset", "ntu60"], "omit them, or --dataset"),
        "many.npy    ": (["--format", "nonsense", "--layout", "coco17"], "There is no format of recordings 'nonsense'"),
    }


def test_what_cannot_be_shown_is_refused_with_what_is_missing(cli: Command, tmp_path: Path) -> None:
    for name, (options, message) in recordings_that_cannot_be_shown(tmp_path).items():
        result = cli("view", tmp_path / name.strip(), *options)
        assert result.code == 2, (name, result)
        assert re.search(message, result.err), (name, result.err)
    assert not list(Path.cwd().iterdir())


def test_a_folder_of_stores_has_their_names_in_the_message(cli: Command, store: Path) -> None:
    result = cli("view", store.parent)
    assert result.code == 2 and f"name one of them, {store}" in result.err


def test_a_misspelled_data_set_has_the_nearest_name(cli: Command) -> None:
    result = cli("view", "ntu_60")
    assert result.code == 2 and "Did you mean 'ntu60'?" in result.err


def test_damaged_recordings_are_left_out_with_a_warning(cli: Command, tmp_path: Path) -> None:
    save(tmp_path / "raw" / "good.npy", 3, 33, 3)
    (tmp_path / "raw" / "worse.npy").write_bytes(b"no array")
    result = cli("view", tmp_path / "raw", "--layout", "mediapipe33")
    assert result.code == 0 and "Cannot be read: worse: is not a readable .npy array" in result.err
    assert names_on("view-raw.html") == ["good"]


# --- limits, places, browsers


def test_clips_that_are_too_many_for_a_page_are_left_out_and_named_ones_refused(
    cli: Command, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view_module, "PAGE_LIMIT_BYTES", 40_000)
    result = cli("view", store)
    assert result.code == 0 and "left out: the page would have more" in result.err
    assert 1 <= len(shown("view-tiny.html")) < 24
    named = [f"clip{number:02}" for number in range(24)]
    assert "Choose fewer clips" in cli("view", store, "--clip", *named).err


def test_the_page_is_in_a_temporary_folder_where_the_current_one_is_read_only(
    cli: Command, store: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(view_module, "writable", lambda *_: False)
    monkeypatch.setattr(view_module.tempfile, "mkdtemp", lambda prefix: str(tmp_path / prefix))
    result = cli("view", store)
    assert str(tmp_path / "last-view-" / "view-tiny.html") in result.out
    assert not list(Path.cwd().iterdir())


@pytest.mark.parametrize("starts", [True, False])
def test_a_browser_is_opened_only_if_asked_for(
    cli: Command, store: Path, monkeypatch: pytest.MonkeyPatch, starts: bool
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or starts)
    cli("view", store)
    assert not opened
    result = cli("view", store, "--open")
    assert opened == [(Path.cwd() / "view-tiny.html").as_uri()]
    assert ("No browser could be started" in result.err) != starts


def test_real_recordings_of_three_data_sets_are_recognised(cli: Command, real_recordings: Path) -> None:
    for folder, layout in (("ntu_samples", "ntu25"), ("sbu", "sbu15"), ("nw_ucla", "kinect20")):
        result = cli("view", real_recordings / folder, "--most", 3, "--out", "real.html")
        assert result.code == 0 and f"with the layout {layout}" in result.out, result.err
        assert len(shown("real.html")) == 3
