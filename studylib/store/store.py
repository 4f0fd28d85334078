"""Runs: a stage is computed once, published whole by a rename, and verified whenever it is read.

`runs/<scale>/<label>-<identity>/` holds what is published; `runs/<scale>/.work/<identity>/` what is being
made, kept when a process dies, so that the next one resumes there.
"""

import fcntl
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

from studylib.errors import StudyError
from studylib.store import machine
from studylib.store.identity import Stage, file_hash

MANIFEST = "manifest.json"
_SMALL = 1 << 20  # files below are hashed at every load, larger ones when size or time of writing changed


@dataclass(frozen=True)
class Run:
    """A published stage: a folder and its manifest."""

    path: Path
    manifest: dict[str, Any]


class Busy(Exception):
    """Another process holds the lock."""


@contextmanager
def lock(path: Path, busy: Callable[[str], None] | None = None) -> Iterator[None]:
    """Holds a record lock, which forked workers do not inherit, for the length of a `with`.

    Where a process has it: calls `busy("process 123")`, then waits; without `busy` raises Busy.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if busy is None:
                raise Busy from None
            file.seek(0)
            busy(f"process {file.read().strip() or '(unknown)'}")
            fcntl.lockf(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


@contextmanager
def exclusive(path: Path, refuse: str) -> Iterator[None]:
    """Holds a lock, or raises StudyError(refuse), where `{who}` stands for the process that has it."""

    def busy(who: str) -> None:
        raise StudyError(refuse.format(who=who))

    with lock(path, busy):
        yield


class Helped(Exception):
    """A helper has made a part, or found none to make (`made`), and leaves the stage to its owner."""

    def __init__(self, made: bool):
        self.made = made


@dataclass
class Work:
    """What a stage's function gets: a folder that survives a kill, its inputs, a place for facts.

    `progress(done, total, note)` says where it stands; `facts` goes into the manifest (tokens, and so on); `launched`
    are arguments for the trainer where it runs in several processes.
    """

    stage: Stage
    path: Path
    inputs: dict[str, Run]
    say: Callable[[str], None]
    helping: bool = False
    facts: dict[str, Any] = field(default_factory=dict)
    launched: dict[str, Any] = field(default_factory=dict)
    _started: float = field(default_factory=time.monotonic)
    _first: tuple[float, float] | None = None
    _said: float = 0.0

    def shared(self, names: list[str], make: Callable[[str, Path], None]) -> list[Path]:
        """Files `part-NAME`, each written once by `make(name, path)`, here or in a process with nothing else to do.

        Parts must not depend on each other. Raises Helped in a helper, which makes one, from the end.
        """
        paths = {name: self.path / f"part-{name}" for name in names}
        while todo := [name for name in names if not paths[name].exists()]:
            made = any(self._part(name, paths[name], make) for name in (todo[::-1] if self.helping else todo))
            if self.helping:
                raise Helped(made)
            if not made:
                time.sleep(0.2)
        if self.helping:
            raise Helped(False)
        return list(paths.values())

    def _part(self, name: str, path: Path, make: Callable[[str, Path], None]) -> bool:
        try:
            with lock(self.path.with_suffix(f".{name}.lock")):
                # Made, joined or published meanwhile; parts go only after the stage's end is noted.
                if path.exists() or self.done.exists() or not self.path.exists():
                    return False
                writing = path.with_suffix(".writing")
                make(name, writing)
                writing.rename(path)
                return True
        except Busy:
            return False

    def progress(self, done: float, total: float, note: str = "") -> None:
        now = time.monotonic()
        self._tick()
        self._first = self._first or (now, done)
        if now - self._said < 5 and done < total:
            return
        self._said = now
        since, at = self._first
        left = f", {_span((total - done) * (now - since) / (done - at))} left" if done > at else ""
        self.say(f"{self.stage.label}: {done:g} of {total:g}{left}{' - ' + note if note else ''}")

    def report(self, line: str) -> None:
        """A line of progress that a module has worded itself."""
        self._tick()
        self.say(f"{self.stage.label}: {line}")

    @property
    def seconds(self) -> float:
        """Wall time, that of killed attempts included (up to their last sign of life)."""
        return self.before + time.monotonic() - self._started

    @cached_property
    def before(self) -> float:
        return float(self.clock.read_text()) if self.clock.exists() else 0.0

    @property
    def clock(self) -> Path:
        return self.path.with_suffix(".seconds")

    @property
    def done(self) -> Path:
        return self.path.with_suffix(".done")

    def _tick(self) -> None:
        if not self.helping:
            part = self.path.with_suffix(".tick")
            part.write_text(str(self.seconds))
            part.rename(self.clock)


def _span(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"


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
            machine.forget_peak_memory()
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
        "git_commit": machine.git_commit(),
        "packages": machine.packages(),
        "machine": machine.machine(),
        "seconds": round(work.seconds, 2),
        "peak_memory_gib": machine.peak_memory_gib(),
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
