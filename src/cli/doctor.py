"""`doctor`: report what is installed, found and missing, and what to do next."""

import argparse
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ..runs.history import attached_runs
from ..utils.config import config_names
from ..utils.extras import EXTRAS, extra_of, import_fault, repair_command
from ..utils.machine import CPU_INFO, processor
from ..utils.numbers import counted
from ..utils.program import install_command, program
from ..utils.root_folders import RootFolders
from ..utils.versions import git_commit, versions
from . import terminal
from .failures import REQUIRED
from .folders import root_folders_of
from .options import add_shared, examples, quoted

_FOLDER_OPTIONS = ("env", "data_root", "output_root")  # flags for folders, repeated in every suggested command
_DIGITS_OF_COMMIT = 12
_A_FILE = ", is a file"
_PURPOSES = {  # of the extras
    "prepare": "configuration files, preparing and inspecting recordings",
    "train": "training, distilling and evaluating models",
    "runtime": "running exported models (ONNX)",
    "openvino": "running and writing models of OpenVINO",
    "plots": "training curves, confusion matrices, animated skeletons",
    "tensorboard": "TensorBoard scalars",
    "deploy": "exporting models",
    "completion": "completing command lines in a shell",
    "serve": "serving a model over HTTP and WebSocket",
    "fast": "a quarter faster training on a CPU",
    "parquet": "tables as Parquet files",
    "bvh": "motion capture as BVH files",
    "sleap": "SLEAP's files",
}


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        topic, subject: what was checked.
        found: the result in words.
        state: `ok`; `missing`, or `unusable` if it is installed but does not work, for optional items; `broken` for
            required ones.
        steps: what to do about it, one line each.
    """

    topic: str
    subject: str
    found: str
    state: str = "ok"
    steps: tuple[str, ...] = ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    add_shared(parser, "--env", "--data_root", "--output_root")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.epilog = examples("""
        {program} doctor
        {program} doctor --env lambda --json
    """)


def run(arguments: argparse.Namespace) -> int:
    """Print the report; return 0, or 1 if something required is broken."""
    folders = root_folders_of(arguments)
    findings = [
        *_versions(),
        *_devices(),
        *_folders(folders),
        *_stores(folders),
        *_runs(folders, _folder_flags(arguments)),
        *_extras(),
    ]
    steps = list(_next_steps(findings, arguments))
    ok = all(finding.state != "broken" for finding in findings)
    if arguments.json:
        print(json.dumps({"ok": ok, "findings": [_as_json(item) for item in findings], "next": steps}, indent=2))
    else:
        rows = [(item.topic, item.subject, item.found, item.state) for item in findings]
        terminal.table("LAST doctor", ("what", "which", "found", "state"), rows)
        terminal.say("\nNext:", *steps, sep="\n  ")
    return 0 if ok else 1


def _as_json(finding: Finding) -> dict[str, str]:
    """Return a finding as JSON values; its steps are listed separately."""
    return {name: getattr(finding, name) for name in ("topic", "subject", "found", "state")}


def _versions() -> Iterator[Finding]:
    for package, number in versions().items():
        absent = "missing" if extra_of(package) else "broken"
        yield Finding("version", package, number or "not installed", "ok" if number else absent)
    for module in REQUIRED:
        if module not in versions() and find_spec(module) is None:
            yield Finding("version", module, "not installed", "broken")
    yield Finding("version", "git commit", _short(git_commit()) or "not in a git checkout")


def _short(commit: str) -> str:
    """Return a commit with fewer digits, and whether files differ from it."""
    digits, dash, dirty = commit.partition("-")
    return f"{digits[:_DIGITS_OF_COMMIT]}{dash}{dirty}"


def _devices() -> Iterator[Finding]:
    if not find_spec("torch"):
        yield Finding("device", "cpu", f"{processor()}, for exported models; training needs torch")
        return
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a shared library of torch cannot be loaded
        yield Finding("device", "torch", f"cannot be imported: {error}", "broken")
        return
    from ..runtime.precision import bf16_is_slow, gpu_problem

    bf16 = _cpu_bf16(slow=bf16_is_slow(torch.device("cpu")))
    yield Finding("device", "cpu", f"{processor()}, {counted(torch.get_num_threads(), 'thread')}, {bf16}")
    for index in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(index)
        bf16 = "bf16" if device.major >= 8 else "no fast bf16"
        problem = gpu_problem(index)
        description = f"{device.name}, {device.total_memory / 2**30:.1f} GiB, {bf16}"
        yield Finding("device", f"cuda:{index}", problem or description, "broken" if problem else "ok")
    if not torch.cuda.is_available():
        yield Finding("device", "cuda", "none", "missing")
    if torch.backends.mps.is_available():
        yield Finding("device", "mps", "available, untested with LAST")


def _cpu_bf16(*, slow: bool) -> str:
    if slow:
        return "slow bf16: --amp computes in float32"
    words = set(CPU_INFO.read_text(encoding="utf-8").split()) if CPU_INFO.exists() else set()
    return "fast bf16" if words & {"avx512_bf16", "amx_bf16", "bf16"} else "bf16 without hardware support"


def _folders(folders: RootFolders) -> Iterator[Finding]:
    yield Finding("environment", "name", folders.environment)
    for name, root in (("data_root", folders.data_root), *(("input_root", each) for each in folders.input_roots)):
        found = _no_folder(root)
        yield Finding("environment", name, f"{root.absolute()}{found}", "missing" if found else "ok")

    output_root = folders.output_root.absolute()
    existing = next(folder for folder in (output_root, *output_root.parents) if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        why = "" if existing.is_dir() else f": {existing} is a file"
        yield Finding("environment", "output_root", f"{output_root}, cannot be written{why}", "broken")
        return
    free = shutil.disk_usage(existing).free / 2**30
    found = "" if existing == output_root else ", will be created"
    yield Finding("environment", "output_root", f"{output_root}{found}, {free:.1f} GiB free")


def _no_folder(root: Path) -> str:
    """Return why a root is not a folder; empty if it is one."""
    if root.is_dir():
        return ""
    return _A_FILE if root.exists() else ", does not exist"


def _stores(folders: RootFolders) -> Iterator[Finding]:
    """Find the prepared data sets in the folders that training searches."""
    from ..data.store.find_store import find_stores

    for store in find_stores([folders.data_root, *folders.input_roots]):
        if store.problem:
            yield Finding("data", store.name, store.problem, "missing")
        else:
            yield Finding("data", store.name, f"{store.path}, {counted(store.clips, 'clip')}")


def _runs(folders: RootFolders, given: str) -> Iterator[Finding]:
    """Find the runs of earlier sessions below the input folders; suggest to resume the newest unfinished one."""
    runs = attached_runs(folders.output_root, folders.input_roots)
    open_ones = sorted((run for run in runs if not run.finished), key=lambda run: run.sort_key)
    for run in runs:
        again = f"{program()} train{given} --resume {quoted(run.path)}"
        step = f"resume {run.path.name}: {again} (or the original command, with --resume auto)"
        steps = (step,) if run in open_ones[-1:] else ()
        yield Finding(
            "run", run.path.name, f"{run.path}, {'finished' if run.finished else 'can be resumed'}", steps=steps
        )


def _extras() -> Iterator[Finding]:
    """Import the packages of each extra, since an installed one may not work."""
    for extra, packages in EXTRAS.items():
        faults = {package: fault for package in packages if (fault := import_fault(package)) is not None}
        if extra == "fast" and not faults and _numba_is_off():
            step = f"for {_PURPOSES[extra]}: unset NUMBA_DISABLE_JIT"
            yield Finding("extra", extra, "numba compiles nothing: NUMBA_DISABLE_JIT is set", "unusable", (step,))
            continue
        if not faults:
            yield Finding("extra", extra, _PURPOSES[extra])
            continue
        unusable = [package for package, fault in faults.items() if fault]
        problems = [f"{name} cannot be imported ({fault})" if fault else f"no {name}" for name, fault in faults.items()]
        remedies = [install_command(f"last-har[{extra}]")] if len(unusable) < len(faults) else []
        remedies += [repair_command(*unusable)] if unusable else []
        yield Finding(
            "extra",
            extra,
            f"{', '.join(problems)}, needed for {_PURPOSES[extra]}",
            "unusable" if unusable else "missing",
            tuple(f"for {_PURPOSES[extra]}: {command}" for command in remedies),
        )


def _numba_is_off() -> bool:
    """Return whether the user has switched numba's compiler off, which is then slower than torch and is not used."""
    import numba

    return bool(numba.config.DISABLE_JIT)  # type: ignore[attr-defined]


def _repair(findings: list[Finding]) -> str:
    """Return the command that installs missing packages, or reinstalls those that cannot be imported."""
    absent = any(finding.topic == "version" and finding.state == "broken" for finding in findings)
    return install_command("last-har") if absent else install_command("--force-reinstall", "torch")


def _folder_flags(arguments: argparse.Namespace, *left_out: str) -> str:
    """Return the environment and the folders that the user named, as flags for a suggested command.

    A file that was given as a folder is left out: no command accepts it.
    """
    named = {name: Path(getattr(arguments, name)) for name in _FOLDER_OPTIONS if getattr(arguments, name)}
    kept = [name for name, path in named.items() if name not in left_out and (name == "env" or not path.is_file())]
    return "".join(f" --{name} {quoted(named[name])}" for name in kept)


def _next_steps(findings: list[Finding], arguments: argparse.Namespace) -> Iterator[str]:
    """Yield the next steps, the most urgent first."""
    broken = [finding for finding in findings if finding.state == "broken"]
    if any(finding.topic == "version" or finding.subject == "torch" for finding in broken):
        yield f"reinstall the broken packages above: {_repair(findings)}"
    if any(finding.subject.startswith("cuda:") for finding in broken):
        yield "without that GPU: --device cpu with every command"
    if any(finding.subject == "output_root" for finding in broken):
        yield "choose a folder for runs that can be written: --output_root DIR"
    if any(finding.subject == "data_root" and finding.found.endswith(_A_FILE) for finding in findings):
        yield "choose a folder of prepared data sets: --data_root DIR"
    for finding in findings:
        yield from finding.steps
    ready = [finding.subject for finding in findings if finding.topic == "data" and finding.state == "ok"]
    if ready:
        known = [name for name in ready if name in config_names("data")]
        name = known[0] if known else "YAML"
        yield f"train: {program()} train{_folder_flags(arguments)} --model nano_e --dataset {name}"
    else:
        yield f"see everything work on synthetic data: {program()} demo"
        given = _folder_flags(arguments, "output_root")
        yield f"prepare real recordings: {program()} preprocess{given} --dataset ntu60 --raw DIR"
