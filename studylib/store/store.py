"""Runs: a stage is computed once, published whole by a rename, and verified whenever it is read.

`runs/<scale>/<label>-<identity>/` holds what is published; `runs/<scale>/.work/<identity>/` what is being
made, kept when a process dies, so that the next one resumes there.
"""

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock
from filelock import Timeout as Busy  # another process holds the lock

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


def lock(path: Path, wait: bool = False) -> FileLock:
    """For a `with`: a lock that ends with its process. Where another process has it: waits, or raises Busy."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path, blocking=wait)


class Helped(Exception):
    """Raised in a helping process after it has made one part (`made`) or found none to make."""

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
    _first: tuple[float, float] | None = None
    _last: float = 0.0

    def shared(self, names: list[str], make: Callable[[str, Path], None]) -> list[Path]:
        """Files `NAME` beside the work folder, each written once by `make(name, path)`, here or in a process with
        nothing else to do.

        Parts must not depend on each other. Raises Helped in a helper, which makes one, from the end.
        """
        paths = {name: self.parts / name for name in names}
        while todo := [name for name in names if not paths[name].exists()]:
            made = any(self._part(paths[name], make) for name in (todo[::-1] if self.helping else todo))
            if self.helping:
                raise Helped(made)
            if not made:
                time.sleep(0.2)
        if self.helping:
            raise Helped(False)
        return list(paths.values())

    def _part(self, path: Path, make: Callable[[str, Path], None]) -> bool:
        try:
            with lock(path.with_name(f"{path.name}.lock")):
                if path.exists() or not self.path.exists():  # made or published meanwhile
                    return False
                writing = path.with_name(f"{path.name}.writing")
                make(path.name, writing)
                writing.rename(path)
                return True
        except Busy:
            return False

    @property
    def parts(self) -> Path:
        return self.path.with_suffix(".parts")

    def progress(self, done: float, total: float, note: str = "") -> None:
        """Says, every five seconds at most, how much is done and how long the rest takes at the pace so far."""
        now = time.monotonic()
        self._first = self._first or (now, done)
        if now - self._last < 5 and done < total:
            return
        self._last = now
        since, at = self._first
        left = f", {_span((total - done) * (now - since) / (done - at))} left" if done > at else ""
        self.report(f"{done:g} of {total:g}{left}{' - ' + note if note else ''}")

    def report(self, line: str) -> None:
        self.say(f"{self.stage.label}: {line}")


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
    final, path = folder(stage, root), work_folder(stage, root)
    if not final.exists():
        inputs = {role: find(source, root) for role, source in stage.inputs.items()}
        try:
            with lock(path.with_suffix(".lock")):
                if not final.exists():
                    _make(Work(stage, path, inputs, say), do, final)
        except Busy:
            if not wait:
                return None
            say(f"{stage.label}: waiting for the process that makes it")
            with lock(path.with_suffix(".lock"), wait=True):
                pass
            return ensure(stage, do, root, say)
    return load(final)


def _make(work: Work, do: Callable[[Work], None], final: Path) -> None:
    """Does the work and publishes it. The facts are noted first: a stage is not done again for a kill in between."""
    begun, resumed, done = time.monotonic(), work.path.exists(), work.path.with_suffix(".done")
    work.path.mkdir(parents=True, exist_ok=True)
    if done.exists():
        work.facts = json.loads(done.read_text())
    else:
        machine.reset_peak_memory()
        do(work)
        part = done.with_suffix(".part")
        part.write_text(json.dumps(work.facts))
        part.rename(done)
    _publish(work, final, {"seconds": round(time.monotonic() - begun, 2), "resumed": resumed})
    done.unlink()
    shutil.rmtree(work.parts, ignore_errors=True)


def help_with(stage: Stage, do: Callable[[Work], None], root: Path, say: Callable[[str], None]) -> bool:
    """Makes one part of a stage that another process is making; False where it has none to give away."""
    path = work_folder(stage, root)
    if not path.exists() or path.with_suffix(".done").exists():
        return False
    inputs = {role: find(source, root) for role, source in stage.inputs.items()}
    try:
        do(Work(stage, path, inputs, say, helping=True))
    except Helped as helped:
        return helped.made
    return False


def folder(stage: Stage, root: Path) -> Path:
    return root / f"{stage.label}-{stage.identity[:10]}"


def work_folder(stage: Stage, root: Path) -> Path:
    return root / ".work" / stage.identity[:16]


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
    for name, known in files.items():
        file = path / name
        if not file.exists():
            raise StudyError(f"{file} is missing; {way_out}.")
        stat = file.stat()
        if stat.st_size >= _SMALL and (stat.st_size, stat.st_mtime_ns) == (known["bytes"], known["written"]):
            continue
        if stat.st_size != known["bytes"] or file_hash(file) != known["sha256"]:
            raise StudyError(f"{file} does not match its manifest (bad hash); {way_out}.")
    return Run(path, manifest)


def _publish(work: Work, final: Path, took: dict[str, Any]) -> None:
    """The manifest, then the rename. took: seconds of this attempt, and whether it went on from an earlier one."""
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
        **took,
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
