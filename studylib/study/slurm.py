"""Stages as Slurm jobs (make ... LAUNCH=slurm): a job each, after the jobs of its inputs, arms side by side.

A job runs the command that would have run here. Jobs outlive whoever waits for them: asked again, those that are
queued are found by their names and waited for. The file system of `runs/` must be one that all nodes see.
"""

import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from studylib.errors import StudyError
from studylib.params.load import Params
from studylib.paths import ROOT
from studylib.stages.kinds import TRAINED
from studylib.store import store
from studylib.store.identity import Stage
from studylib.study.workers import needed, reason_of

ON_GPUS = {*TRAINED, "sample", "select", "divergence"}
SECONDS = 10.0  # between two looks at the queue
ATTEMPTS = 30


def run(stages: list[Stage], params: Params, root: Path, command: Callable[[Stage], list[str]]) -> None:
    """Submits what is missing of these stages and of what they need, and waits until all is published.

    command: the one that makes a stage here. Raises StudyError where there is no Slurm (the scripts are written all
    the same), or with the reason of the first job that ended without its stage.
    """
    todo, folder = needed(stages, root), root / ".work" / "slurm"
    folder.mkdir(parents=True, exist_ok=True)
    scripts = {stage.identity: _write(stage, params, folder, command(stage)) for stage in todo}
    if shutil.which("sbatch") is None:
        raise StudyError(
            f"There is no sbatch here. {len(todo)} scripts for it are in {folder}, each after those that it needs: "
            f"{', '.join(stage.label for stage in todo)}."
        )
    queued, jobs = _queue(), {}
    for stage in todo:
        before = [jobs[source.identity] for source in stage.inputs.values() if source.identity in jobs]
        jobs[stage.identity] = queued.get(_name(stage)) or _submit(scripts[stage.identity], before)
    _follow(todo, root, folder)


def script(stage: Stage, params: Params, log: Path, command: list[str]) -> str:
    """The batch script of a stage: all nodes for training, one for what needs a GPU at all."""
    hardware, launch = params.hardware, params.launch
    options = [f"--job-name={_name(stage)}", f"--output={log}", "--open-mode=append"]
    options += [f"--nodes={hardware.nodes if hardware and stage.kind in TRAINED else 1}"]
    if hardware and stage.kind in ON_GPUS:
        options += [f"--gpus-per-node={hardware.gpus}", "--exclusive"]
    options += launch.slurm if launch else []
    lines = ["#!/bin/bash", *(f"#SBATCH {option}" for option in options), ""]
    # What make and a notebook told this process is not for another machine.
    lines += ["unset LAUNCH STUDY_MAKE_PID STUDY_PROGRESS MAKEFLAGS", f"cd {shlex.quote(str(ROOT))}"]
    return "\n".join([*lines, shlex.join(command), ""])


def _write(stage: Stage, params: Params, folder: Path, command: list[str]) -> Path:
    path = folder / f"{stage.label}.sh"
    path.write_text(script(stage, params, _log(stage, folder), command))
    return path


def _log(stage: Stage, folder: Path) -> Path:
    return folder / f"{stage.label}-{stage.identity[:10]}.log"


def _name(stage: Stage) -> str:
    return f"study-{stage.label}-{stage.identity[:10]}"


def _submit(path: Path, before: list[str]) -> str:
    after = [f"--dependency=afterok:{':'.join(before)}", "--kill-on-invalid-dep=yes"] if before else []
    told = subprocess.run(["sbatch", "--parsable", *after, str(path)], capture_output=True, text=True)
    number = re.match(r"\d+", told.stdout)
    if told.returncode or number is None:
        said = (told.stderr or told.stdout).strip().splitlines()
        raise StudyError(f"sbatch refuses {path}: {said[-1] if said else 'no word'}; see launch.slurm in the params.")
    return number[0]


def _queue() -> dict[str, str]:
    """Numbers of this user's jobs that wait or run, by name. A squeue that fails is asked again, up to ATTEMPTS times:
    a busy controller now and then answers nobody."""
    for _ in range(ATTEMPTS):
        answer = subprocess.run(["squeue", "--me", "--noheader", "--format=%j %i"], capture_output=True, text=True)
        if answer.returncode == 0:
            return dict(line.rsplit(maxsplit=1) for line in answer.stdout.splitlines() if line.strip())
        time.sleep(SECONDS)
    raise StudyError(f"squeue fails ({answer.stderr.strip()}); what is queued goes on: start again to wait for them.")


def _follow(todo: list[Stage], root: Path, folder: Path) -> None:
    """Says what running jobs say last, until all stages are published."""
    said: dict[str, str] = {}
    gone: set[str] = set()
    while left := [stage for stage in todo if not store.folder(stage, root).exists()]:
        queued = _queue()
        for stage in left:
            lines = _lines(_log(stage, folder))
            if lines and lines[-1] != said.get(stage.identity):
                said[stage.identity] = lines[-1]
                print(lines[-1], flush=True)
            if stage.identity in gone and not store.folder(stage, root).exists():
                raise StudyError(_ended(stage, lines, _log(stage, folder)))
            if _name(stage) not in queued:  # another look: a shared file system may show its folder late
                gone.add(stage.identity)
        time.sleep(SECONDS)


def _lines(log: Path) -> list[str]:
    return [line for line in log.read_text().splitlines() if line.strip()] if log.exists() else []


def _ended(stage: Stage, lines: list[str], log: Path) -> str:
    if not lines:
        return f"{stage.label}: its job ended before it began: see what it needs, and sacct for the reason."
    return f"{reason_of(lines)} ({stage.label}; all its job said is in {log})"
