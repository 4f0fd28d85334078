"""Runs: a stage is computed once, published whole by a rename, and verified whenever it is read.

`runs/<scale>/<label>-<identity>/` holds what is published; `runs/<scale>/.work/<identity>/` what is being
made, kept when a process dies, so that the next one resumes there.
"""

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from studylib import provenance
from studylib.errors import StudyError
from studylib.provenance import code_hash, file_hash

MANIFEST = "manifest.json"
_SMALL = 1 << 20  # files below are hashed at every load, larger ones when size or time of writing changed


@dataclass(frozen=True)
class Stage:
    """One node of the plan. `code` names the modules whose code decides the result; `inputs` go by role."""

    name: str
    kind: str
    params: dict[str, Any]
    inputs: dict[str, "Stage"]
    code: tuple[str, ...]
    seed: int | None = None

    @cached_property
    def identity(self) -> str:
        """sha256 of the resolved parameters, the inputs' identities and the code."""
        what = {
            "name": self.name,
            "kind": self.kind,
            "params": self.params,
            "seed": self.seed,
            "inputs": {role: stage.identity for role, stage in self.inputs.items()},
            "code": {module: code_hash(module) for module in self.code},
        }
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()

    @property
    def label(self) -> str:
        return self.name if self.seed is None else f"{self.name}.s{self.seed}"


@dataclass(frozen=True)
class Run:
    """A published stage: a folder and its manifest."""

    path: Path
    manifest: dict[str, Any]


@dataclass
class Work:
    """What a stage's function gets: a folder that survives a kill, its inputs, a place for facts.

    `progress(done, total, note)` says where it stands; `facts` goes into the manifest (tokens, and so on).
    """

    stage: Stage
    path: Path
    inputs: dict[str, Run]
    say: Callable[[str], None]
    facts: dict[str, Any] = field(default_factory=dict)
    _started: float = field(default_factory=time.monotonic)
    _first: tuple[float, float] | None = None
    _said: float = 0.0

    def progress(self, done: float, total: float, note: str = "") -> None:
        now = time.monotonic()
        self._clock().write_text(str(self.seconds))
        self._first = self._first or (now, done)
        if now - self._said < 5 and done < total:
            return
        self._said = now
        since, at = self._first
        left = f", {_span((total - done) * (now - since) / (done - at))} left" if done > at else ""
        self.say(f"{self.stage.label}: {done:g} of {total:g}{left}{' - ' + note if note else ''}")

    def report(self, line: str) -> None:
        """A line of progress that a module has worded itself."""
        self._clock().write_text(str(self.seconds))
        self.say(f"{self.stage.label}: {line}")

    @property
    def seconds(self) -> float:
        """Wall time, that of killed attempts included (up to their last sign of life)."""
        return self._before + time.monotonic() - self._started

    @cached_property
    def _before(self) -> float:
        return float(self._clock().read_text() or 0) if self._clock().exists() else 0.0

    def _clock(self) -> Path:
        return self.path.with_suffix(".seconds")

    def _done(self) -> Path:
        return self.path.with_suffix(".done")


class _Busy(Exception):
    """Another process holds the lock."""


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
    except _Busy:
        return None


def _ensure(stage: Stage, do: Callable[[Work], None], root: Path, say: Callable[[str], None], wait: bool) -> Run:
    def busy(who: str) -> None:
        if not wait:
            raise _Busy
        say(f"{stage.label}: waiting for {who}")

    if (final := folder(stage, root)).exists():
        return load(final)
    inputs = {role: find(source, root) for role, source in stage.inputs.items()}
    path = root / ".work" / stage.identity[:16]
    with _disk_watch(root), _lock(path.with_suffix(".lock"), busy):
        if final.exists():
            return load(final)
        path.mkdir(parents=True, exist_ok=True)
        work = Work(stage, path, inputs, say)
        work.seconds  # noqa: B018  (reads the clock of killed attempts before it is overwritten)
        if work._done().exists():  # cut off between its last step and its publication
            work.facts = json.loads(work._done().read_text())
        else:
            provenance.forget_peak_memory()
            do(work)
            part = work._done().with_suffix(".part")
            part.write_text(json.dumps(work.facts))
            part.rename(work._done())
        _publish(work, final)
    return load(final)


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
        "code": {module: code_hash(module) for module in stage.code},
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
    for leftover in (work._clock(), work._done()):
        leftover.unlink(missing_ok=True)


@contextmanager
def exclusive(path: Path, refuse: str) -> Iterator[None]:
    """Holds `path` as a lock for the length of a `with`; raises StudyError(refuse) if a process has it."""

    def busy(who: str) -> None:
        raise StudyError(refuse.format(who=who))

    with _lock(path, busy):
        yield


@contextmanager
def _lock(path: Path, busy: Callable[[str], None]) -> Iterator[None]:
    """A record lock: the system frees it when its process dies, and forked workers do not inherit it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            busy(f"process {file.read().strip() or '(unknown)'}")
            fcntl.lockf(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


@contextmanager
def _disk_watch(root: Path) -> Iterator[None]:
    try:
        yield
    except (StudyError, _Busy):
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


def _span(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"
