"""Runs: a stage is computed once, published whole by a rename, and verified whenever it is read.

`runs/<scale>/<label>-<identity>/` holds what is published; `runs/<scale>/.work/<identity>/` what is being
made, kept when a process dies, so that the next one resumes there.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from studylib import provenance
from studylib.errors import StudyError
from studylib.locks import Busy, lock
from studylib.provenance import file_hash
from studylib.store.identity import Stage
from studylib.work import Helped, Work

MANIFEST = "manifest.json"
_SMALL = 1 << 20  # files below are hashed at every load, larger ones when size or time of writing changed


@dataclass(frozen=True)
class Run:
    """A published stage: a folder and its manifest."""

    path: Path
    manifest: dict[str, Any]


def ensure(
    stage: Stage,
    do: Callable[[Work], None],
    root: Path,
    say: Callable[[str], None] = print,
    wait: bool = True,
) -> Run | None:
    """The stage's run: loaded if published, else made by `do(work)`, from published inputs, and published.

    Where another process is making the same stage, waits for it, or returns None. Raises StudyError.
    """
    try:
        return _ensure(stage, do, root, say, wait)
    except Busy:
        return None


def _ensure(stage: Stage, do: Callable[[Work], None], root: Path, say: Callable[[str], None], wait: bool) -> Run:
    if (final := folder(stage, root)).exists():
        return load(final)
    inputs = {role: find(source, root) for role, source in stage.inputs.items()}
    path = root / ".work" / stage.identity[:16]
    busy = (lambda who: say(f"{stage.label}: waiting for {who}")) if wait else None
    with _disk_watch(root), lock(path.with_suffix(".lock"), busy):
        if final.exists():
            return load(final)
        path.mkdir(parents=True, exist_ok=True)
        work = Work(stage, path, inputs, say)
        work.before  # noqa: B018  (reads the clock of killed attempts before it is overwritten)
        if work.done.exists():  # cut off between its last step and its publication
            work.facts = json.loads(work.done.read_text())
        else:
            provenance.forget_peak_memory()
            do(work)
            part = work.done.with_suffix(".part")
            part.write_text(json.dumps(work.facts))
            part.rename(work.done)
        for part in path.glob("part-*"):
            part.unlink()
        _publish(work, final)
    return load(final)


def help_with(stage: Stage, do: Callable[[Work], None], root: Path, say: Callable[[str], None]) -> bool:
    """Makes one part of a stage that another process is making; False where it has none to give away."""
    path = root / ".work" / stage.identity[:16]
    if not path.exists() or path.with_suffix(".done").exists():
        return False
    inputs = {role: find(source, root) for role, source in stage.inputs.items()}
    with _disk_watch(root):
        try:
            do(Work(stage, path, inputs, say, helping=True))
        except Helped as helped:
            return helped.made
    return False


def folder(stage: Stage, root: Path) -> Path:
    return root / f"{stage.label}-{stage.identity[:10]}"


def find(stage: Stage, root: Path) -> Run:
    """The published run of a stage. Raises StudyError if there is none."""
    path = folder(stage, root)
    if not path.exists():
        raise StudyError(
            f"{stage.label} has not been made yet ({path} is missing): "
            f"python -m studylib stage {stage.name} makes it and what it needs."
        )
    return load(path)


def load(path: Path) -> Run:
    """A run folder, every file of its manifest verified (in the reference: those that were `kept`).

    Raises StudyError naming the damaged file.
    """
    way_out = f"delete the folder {path} and start again: only this stage is made anew"
    try:
        stat = (path / MANIFEST).stat()
    except FileNotFoundError:
        raise StudyError(f"{path} has no {MANIFEST}; {way_out}.") from None
    return _load(path, stat.st_mtime_ns, way_out)


@cache
def _load(path: Path, _written: int, way_out: str) -> Run:
    try:
        manifest = json.loads((path / MANIFEST).read_text())
        files = {name: manifest["files"][name] for name in manifest.get("kept", manifest["files"])}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise StudyError(f"{path / MANIFEST} is half-written or damaged; {way_out}.") from None
    for name, told in files.items():
        file = path / name
        if not file.exists():
            raise StudyError(f"{file} is missing; {way_out}.")
        stat = file.stat()
        if stat.st_size >= _SMALL and (stat.st_size, stat.st_mtime_ns) == (told["bytes"], told["written"]):
            continue
        if stat.st_size != told["bytes"] or file_hash(file) != told["sha256"]:
            raise StudyError(f"{file} does not match its manifest (bad hash); {way_out}.")
    return Run(path, manifest)


def _publish(work: Work, final: Path) -> None:
    stage = work.stage
    files = {}
    for file in sorted(p for p in work.path.rglob("*") if p.is_file() and p != work.path / MANIFEST):
        stat = file.stat()
        name = file.relative_to(work.path).as_posix()
        files[name] = {"sha256": file_hash(file), "bytes": stat.st_size, "written": stat.st_mtime_ns}
    manifest = {
        "name": stage.name,
        "kind": stage.kind,
        "identity": stage.identity,
        "params": stage.params,
        "seed": stage.seed,
        "inputs": {role: run.path.name for role, run in work.inputs.items()},
        "code": stage.code_hashes(),
        "git_commit": provenance.git_commit(),
        "packages": provenance.packages(),
        "machine": provenance.machine(),
        "seconds": round(work.seconds, 2),
        "peak_memory_gib": provenance.peak_memory_gib(),
        "facts": {"distributed": "NO", **work.facts},
        "files": files,
    }
    part = work.path.with_suffix(".manifest")
    with part.open("w") as out:
        json.dump(manifest, out, indent=1)
        out.flush()
        os.fsync(out.fileno())
    part.rename(work.path / MANIFEST)
    os.rename(work.path, final)
    for leftover in (work.clock, work.done, *final.parent.glob(f".work/{work.path.name}.*.lock")):
        leftover.unlink(missing_ok=True)


@contextmanager
def _disk_watch(root: Path) -> Iterator[None]:
    try:
        yield
    except (StudyError, Busy, Helped):
        raise
    except Exception as error:
        root.mkdir(parents=True, exist_ok=True)
        cause, full = error, shutil.disk_usage(root).free < _SMALL
        while cause is not None and not full:
            full = getattr(cause, "errno", None) in (27, 28, 122) or "No space left" in str(cause)
            cause = cause.__cause__ or cause.__context__
        if not full:
            raise
        raise StudyError(
            f"The disk that holds {root} is full: free some space and start again; what was "
            "published is whole, and the stage goes on from its last checkpoint."
        ) from error
