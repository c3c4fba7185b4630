"""Checkpoints with a valid checksum and invalid content, and files that claim more than they have."""

import io
import random
import re
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from under_limits import call

import last
from last.experiments import run as experiment
from last.runs import torch_file
from last.runs.checkpoint import _KEYS, _checksum, read_checkpoint
from last.runs.folder import RunFolder
from last.runs.torch_file import NotTorchFile, read_torch_file
from last.settings.run import RunConfig
from last.training.schedule import schedule_after
from last.utils.errors import TrainingDiverged, UserError

# What stands in the place of a field or of a part of one.
NONSENSE = (
    *(None, True, -1, 0, 10**30, 1.5, float("nan"), float("inf"), "text", "\udce9", [], {}, [1], {"a": 1}, {1: "a"}),
    *(torch.zeros(0), torch.zeros(2, 3), torch.zeros(()), torch.tensor(-5), torch.full((3,), float("nan"))),
)


def forged(content: dict[str, Any]) -> dict[str, Any]:
    """Return a checkpoint's content with the checksum that belongs to it."""
    return {**content, "checksum": _checksum({name: content[name] for name in _KEYS & content.keys()})}


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every part of nested dicts and lists; of numbered items or tensors, only the first."""
    if above:
        yield above
    items = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    alike = [key for key, each in items if isinstance(each, torch.Tensor) or isinstance(key, int)]
    for key, each in items:
        if key not in alike[1:]:
            yield from places(each, (*above, key))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return a copy in which the part at `path` is `new`; nothing where `new` is Ellipsis."""
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(copy[path[0]], path[1:], new) if path[1:] else new
    if copy[path[0]] is ...:
        del copy[path[0]]
    return copy


@pytest.fixture
def checkpoint(
    request: pytest.FixtureRequest, tiny_config: Callable[..., RunConfig], trained_run: Callable[..., RunFolder]
) -> tuple[Path, RunConfig]:
    """Return a checkpoint at the end of an epoch, or within one if the test needs that, with every possible field."""
    overrides = ("epochs=2", "ema.decay=0.9", "gradient_accumulation_steps=2")
    config, run = tiny_config(*overrides), trained_run(*overrides)
    for path in (run.summary, run.best):
        path.unlink()
    content = torch.load(run.last, weights_only=True)
    if getattr(request, "param", "end") == "within":
        skips = dict.fromkeys(("inputs", "losses", "gradients", "overflows"), 0)
        content["within"] = {
            "clips": 4, "meter": torch.zeros(6, dtype=torch.float64), "skips": skips, "waited": 0.0, "seconds": 1.0,
        }  # fmt: skip
        content |= {"epoch": 0, "best_epoch": 0, "metrics": {**content["metrics"], "epoch": 0}, "statistics": {}}
        content["scheduler"], rates = schedule_after(1, config.optimization)
        for group, rate in zip(content["optimizer"]["param_groups"], rates, strict=True):
            group["lr"] = rate
    torch.save(forged(content), run.last)
    return run.last, config


def try_out(path: Path, config: RunConfig) -> str:
    """Use a checkpoint in every way and return the refusal, or an empty text."""
    (path.parent.parent / "summary.json").unlink(missing_ok=True)
    try:
        read_checkpoint(path)
        last.load_checkpoint(path)
        last.load_checkpoint(path, no_ema=True)
        experiment.train(config, resume=str(path))
    except (UserError, TrainingDiverged) as error:
        return str(error) or "refused"
    return ""


EVERY_STATE = pytest.mark.parametrize("checkpoint", ["end", "within"], indirect=True)


@EVERY_STATE
def test_the_checkpoint_that_is_changed_below_is_a_sound_one(checkpoint: tuple[Path, RunConfig]) -> None:
    assert try_out(*checkpoint) == ""


@EVERY_STATE
def test_nonsense_with_a_right_checksum_is_refused_or_does_no_harm(checkpoint: tuple[Path, RunConfig]) -> None:
    path, config = checkpoint
    content = {"measures": {}, **torch.load(path, weights_only=True)}
    choose = random.Random(0)
    for place in choose.sample(list(places({name: content[name] for name in sorted(_KEYS)})), 50):
        new = choose.choice([*NONSENSE, *([...] if place[1:] else [])])
        torch.save(forged(replaced(content, place, new)), path)
        assert len(try_out(path, config)) < 1_500, place


@pytest.mark.parametrize("checkpoint", ["within"], indirect=True)
@pytest.mark.parametrize(("flag", "written"), [("maximize", None), ("maximize", 0), ("fused", ...), ("fused", True)])
def test_a_flag_of_the_optimizer_may_be_written_as_another_version_of_torch_does(
    checkpoint: tuple[Path, RunConfig], flag: str, written: Any
) -> None:
    path, config = checkpoint
    content = torch.load(path, weights_only=True)
    torch.save(forged(replaced(content, ("optimizer", "param_groups", 0, flag), written)), path)
    assert try_out(path, config) == ""


@pytest.mark.parametrize(
    ("place", "new", "complaint"),
    [
        (("epoch",), 10**30, "epoch is 1000000000000000000000000000000, not a whole number from -1"),
        (("best_epoch",), 7, "best_epoch is 7, after the last epoch, 1"),
        (("classes",), [], "classes is \\[\\], not a list"),
        (("metrics", "epoch"), 0, "metrics are not the row of epoch 1"),
        (("optimizer", "param_groups", 0, "lr"), 99.0, r"optimizer\.param_groups\.0\.lr is 99\.0, not "),
        (("optimizer", "param_groups", 0, "maximize"), True, r"param_groups\.0\.maximize is True, not False"),
        (("scheduler", "step"), 3, r"scheduler should have the keys"),
        (("optimizer",), {}, "it has no state of the optimizer"),
        (("guard", "losses"), "many", "guard.losses is 'many', not a whole number"),
        (("ema",), {"x": torch.zeros(3)}, "tensors differ"),
        (("config", "model", "channels"), [4096, 4096], "tensors differ"),
        (("config", "model", "blocks"), [4096, 4096], "fewer blocks than its configuration"),
        (("config", "data_root"), "caf\udce9", "should be UTF-8 text"),
    ],
)
def test_what_makes_no_sense_is_reported_by_its_place(
    checkpoint: tuple[Path, RunConfig], place: tuple[Any, ...], new: Any, complaint: str
) -> None:
    path, config = checkpoint
    content = torch.load(path, weights_only=True)
    torch.save(forged(replaced(content, place, new)), path)
    assert re.search(complaint, refusal := try_out(path, config)), refusal


def test_a_run_without_a_sound_checkpoint_of_its_own_is_resumed_from_the_one_that_is_left(
    tiny_config: Callable[..., RunConfig],
) -> None:
    config = tiny_config("epochs=2", "checkpoint.keep=2")
    run = experiment.train(config).run
    run.summary.unlink()
    content = torch.load(run.last, weights_only=True)
    for path in run.all_checkpoints():
        if path.name != "epoch_0000.pth":
            torch.save(forged({**content, "epoch": "last"}), path)
    assert experiment.train(config, resume="auto").run.path == run.path
    assert run.summary.exists()


# --- the file


def saved(value: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def repacked(content: bytes, method: int = zipfile.ZIP_STORED, **records: bytes) -> bytes:
    """Return a torch file in another archive, some of its records replaced."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w", method) as new:
        for name in old.namelist():
            new.writestr(name, records.get(name.rpartition("/")[2].replace(".", "_"), old.read(name)))
    return buffer.getvalue()


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and one.stride() == other.stride() and torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return repr(one) == repr(other)


VALUES = {
    "numbers": [0, 255, 256, -1, 70_000, 2**40, -(2**70), 1.5, float("nan"), True, None, (), (1,), (1, 2, 3, 4)],
    "texts": ["", "a", "写", "\udce9", "x" * 300],
    "kinds": [torch.ones(2, dtype=kind) for kind in (torch.bfloat16, torch.float16, torch.float64, torch.int8)],
    "forms": [torch.arange(12.0).view(3, 4).t(), torch.zeros(0, 3), torch.ones(()), torch.arange(9)[2:8:3]],
    "module": torch.nn.BatchNorm1d(3).state_dict(),
    "many": {number: {"momentum_buffer": torch.zeros(1)} for number in range(300)},
}


def test_what_torch_writes_is_read_as_torch_reads_it() -> None:
    content = saved(VALUES)
    assert same(read_torch_file(content), torch.load(io.BytesIO(content), weights_only=True))
    assert same(read_torch_file(repacked(content)), VALUES)


def doubled(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value, value]
    return value


def long_number(number: int) -> bytes:
    """Return the instruction that puts a whole number on the stack of a pickle."""
    content = number.to_bytes(number.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(content)]) + content


shared = torch.zeros(1000)
HOSTILE = {
    "nothing": b"",
    "an older format of torch": b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.",
    "compressed": repacked(saved(torch.zeros(10**7)), zipfile.ZIP_DEFLATED),
    "compressed hard": repacked(saved(torch.zeros(10**6)), zipfile.ZIP_LZMA),
    "expanded": saved(torch.zeros(1).expand(2**30)),
    "overlapping": saved(torch.zeros(2000).as_strided((1000, 1000), (1, 1))),
    "many times": saved([shared] * 1000),
    "doubled": saved(doubled(60)),
    "a bytearray": repacked(saved(0), data_pkl=b"\x80\x05\x96" + struct.pack("<Q", 1 << 32) + b"."),
    "a function": repacked(saved(0), data_pkl=b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R."),
    "a long text": repacked(saved(0), data_pkl=b"\x80\x02X\xff\xff\xff\xff."),
    "a key for ever": repacked(saved(0), data_pkl=b"\x80\x02})" + b"q\x00h\x00\x86" * 60 + b"Ns."),
    "keys that collide": repacked(
        saved(0),
        data_pkl=b"\x80\x02}(" + b"".join(long_number(key * (2**61 - 1)) + b"N" for key in range(50_000)) + b"u.",
    ),
    "many empty dicts": repacked(saved(0), data_pkl=b"\x80\x02](" + b"}" * (15 << 20) + b"e."),
    "itself": repacked(saved(0), data_pkl=b"\x80\x02]q\x00h\x00a."),
    "an empty stack": repacked(saved(0), data_pkl=b"\x80\x02tsu."),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_file_that_claims_more_than_it_has_is_refused(what: str) -> None:
    with pytest.raises(NotTorchFile):
        read_torch_file(HOSTILE[what])


SMALL = saved({name: VALUES[name] for name in ("numbers", "forms", "module")})


def damaged(content: bytes, choose: random.Random) -> bytes:
    """Return bytes of which up to three are others, some cut short."""
    changed = bytearray(content)
    for _ in range(choose.randrange(1, 4)):
        changed[choose.randrange(len(changed))] = choose.randrange(256)
    return bytes(changed[: choose.choice([None, None, None, choose.randrange(len(changed))])])


def test_no_damage_of_a_file_does_more_than_to_refuse_it() -> None:
    choose = random.Random(0)
    for _ in range(1_000):
        with suppress(NotTorchFile):
            read_torch_file(damaged(SMALL, choose))


def test_no_damage_of_a_pickle_does_more_than_to_refuse_it() -> None:
    choose = random.Random(0)
    with zipfile.ZipFile(io.BytesIO(SMALL)) as archive:
        pickled = next(archive.read(name) for name in archive.namelist() if name.endswith("data.pkl"))
    for _ in range(500):
        with suppress(NotTorchFile):
            read_torch_file(repacked(SMALL, data_pkl=damaged(pickled, choose)))


def refused(folder: str) -> int:
    """Return how many checkpoints in a folder are refused."""
    count = 0
    for path in Path(folder).glob("*.pth"):
        try:
            read_checkpoint(path)
        except UserError:
            count += 1
    return count


def test_files_that_ask_for_gigabytes_take_no_more_than_their_size(tmp_path: Path) -> None:
    for number, content in enumerate(HOSTILE.values()):
        (tmp_path / f"{number}.pth").write_bytes(content)
    result = call("test_checkpoint_fields:refused", tmp_path, mib=500, seconds=10)
    assert result.value == len(HOSTILE), result


@pytest.mark.parametrize("checkpoint", ["within"], indirect=True)
@pytest.mark.parametrize(
    ("place", "new", "complaint"),
    [
        (("best_acc",), 101.0, "best_acc is 101.0"),
        (("scaler",), {"scale": 2.0}, "scaler lacks _growth_tracker"),
        (("guard",), [], "guard is"),
        (("optimizer", "state", 0), {"momentum_buffer": {}}, "is an empty dict|momentum_buffer"),
        (("measures",), {"task": "poses"}, "measures are not the metrics of a task"),
        (("statistics",), {"other": {"x": torch.zeros(1)}}, "statistics.'other' are of no weights"),
        (("statistics",), {"trained": {"x": torch.zeros(1)}}, "statistics.*trained should have the keys"),
        (("within", "clips"), 10**6, "within.clips is 1000000, of an epoch of"),
        (("config", "model"), [], "holds no configuration|config"),
    ],
)
def test_every_field_that_contradicts_the_others_is_named(
    checkpoint: tuple[Path, RunConfig], place: tuple[Any, ...], new: Any, complaint: str
) -> None:
    path, config = checkpoint
    content = {"measures": {}, **torch.load(path, weights_only=True)}
    torch.save(forged(replaced(content, place, new)), path)
    assert re.search(complaint, refusal := try_out(path, config)), refusal


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda content: [content], "is not a checkpoint of LAST"),
        (lambda content: {**content, "format": "other"}, "is not a checkpoint of LAST"),
        (lambda content: {name: each for name, each in content.items() if name != "guard"}, "it lacks guard"),
        (lambda content: {**content, "model": {**content["model"], "x": {1, 2}}}, "damaged or foreign"),
    ],
)
def test_a_file_of_other_content_than_a_checkpoint_is_refused(
    checkpoint: tuple[Path, RunConfig], change: Callable[[dict[str, Any]], object], complaint: str
) -> None:
    path, config = checkpoint
    torch.save(change(torch.load(path, weights_only=True)), path)
    assert re.search(complaint, refusal := try_out(path, config)), refusal


def test_a_file_of_a_machine_of_the_other_byte_order_is_refused() -> None:
    content = repacked(saved({"a": torch.ones(2)}), byteorder=b"big")
    with pytest.raises(NotTorchFile, match="byte order"):
        read_torch_file(content)


@pytest.mark.parametrize(
    ("pickled", "complaint"),
    [
        (b"ctorch\nFloatStorage\n.", "something else than tensors"),
        (b"]](at.", "its pickle is damaged$"),
        (b"]t.", "IndexError"),
        (b"\x85.", "its pickle is damaged$"),
        (b"]q\x00(" + b"h\x00" * 10 + b"e.", "^it refers to the same value many times"),
    ],
    ids=["a type", "a mark above the stack", "no mark", "an empty stack", "ten times itself"],
)
def test_a_pickle_that_builds_no_plain_value_is_refused(
    pickled: bytes, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_file, "_MOST_VALUES", 100)
    with pytest.raises(NotTorchFile, match=complaint):
        read_torch_file(repacked(saved(0), data_pkl=b"\x80\x02" + pickled))


def test_a_file_for_which_the_memory_does_not_suffice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object, **__: object) -> None:
        raise MemoryError

    content = saved(torch.ones(2))
    monkeypatch.setattr(torch, "frombuffer", exhausted)
    with pytest.raises(NotTorchFile, match="more memory than is available"):
        read_torch_file(content)


def test_a_file_without_a_pickle_or_with_two_is_refused() -> None:
    for names in ([], ["a/data.pkl", "b/data.pkl"]):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name in names:
                archive.writestr(name, b"N.")
        with pytest.raises(NotTorchFile, match="contains no pickle of torch"):
            read_torch_file(buffer.getvalue())


def test_tensors_of_the_same_numbers_share_them_when_they_are_read() -> None:
    whole = torch.arange(6.0)
    first, second = read_torch_file(saved([whole, whole[2:]]))
    first[3] = -1
    assert second.tolist() == [2, -1, 4, 5]
