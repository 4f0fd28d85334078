"""Stages side by side: worker processes of one thread each take what is ready, the longest way to go first.

One thread a process, whatever the number of workers: a tiny model gains little from a second thread, and results
do not depend on how many run.
"""

import json
import multiprocessing
import os
import sys
import tempfile
import time
from multiprocessing.process import BaseProcess
from multiprocessing.queues import SimpleQueue
from pathlib import Path

from studylib.cluster.launch import launch
from studylib.errors import StudyError
from studylib.params.load import Params
from studylib.stages.kinds import KINDS, TRAINED
from studylib.store import machine, store
from studylib.store.identity import Stage
from studylib.store.store import Work
from studylib.study.plan import ancestors
from studylib.study.progress import say

# Seconds where no reference says better; only their order matters, and the first guess of the time left.
_GUESS = {"sft": 200.0, "grpo": 400.0, "interleaved": 400.0, "progressive": 400.0, "sample": 150.0, "select": 100.0}
_SHARED = {"sample", "select"}  # kinds that are made in parts
# The environment of a worker.
WORKER = {
    "OMP_NUM_THREADS": "1",
    "TQDM_DISABLE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}
ON_GPUS = {*TRAINED, "sample", "select", "divergence"}


def needed(stages: list[Stage], root: Path) -> list[Stage]:
    """These stages and their ancestors that are not published yet, in topological order."""
    nodes = {node.identity: node for stage in stages for node in ancestors(stage)}
    return [node for node in nodes.values() if not store.folder(node, root).exists()]


def work_through(stages: list[Stage], params: Params, root: Path, reference: Path) -> None:
    """One worker: takes ready stages that no other process has, until all are published. Raises StudyError."""
    machine.trim_heap_regularly()
    todo = needed(stages, root)
    rank = _longest_way_first(todo, reference)
    while todo := [stage for stage in todo if not store.folder(stage, root).exists()]:
        ready = [stage for stage in todo if not needed(list(stage.inputs.values()), root)]
        ready.sort(key=lambda stage: rank[stage.identity])
        if not any(_take(stage, params, root) for stage in ready):
            time.sleep(0.5)


def _take(stage: Stage, params: Params, root: Path) -> bool:
    """Makes a stage, or a part of it where another process is at it; False where there is nothing to do.

    A stage that works on GPUs takes all of them: one at a time, whoever else makes stages on this machine.
    """
    if stage.kind not in ON_GPUS or not machine.gpus():
        return _make(stage, params, root)
    mine = f"studylib-{os.getuid()}-gpus-{os.environ.get('CUDA_VISIBLE_DEVICES', 'all')}.lock"
    try:
        with store.lock(Path(tempfile.gettempdir()) / mine):
            return _make(stage, params, root)
    except store.Busy:
        return False


def _make(stage: Stage, params: Params, root: Path) -> bool:
    def do(work: Work) -> None:
        if not work.helping:
            say(f"{stage.label}: starts")
        if stage.kind in TRAINED and params.launch:
            launch(work, params)
        else:
            KINDS[stage.kind](work, params)

    run = store.ensure(stage, do, root, say, wait=False)
    if run is not None:
        say(f"{stage.label}: done, {run.manifest['seconds']:.0f} s")
        return True
    return stage.kind in _SHARED and store.help_with(stage, do, root, say)


def _longest_way_first(todo: list[Stage], reference: Path) -> dict[str, float]:
    """A rank by identity: minus the seconds from a stage's start to the end of all that waits for it."""
    way: dict[str, float] = {}
    for stage in reversed(todo):
        after = [way[s.identity] for s in todo if stage.identity in {i.identity for i in s.inputs.values()}]
        way[stage.identity] = cost(stage, reference) + max(after, default=0.0)
    return {identity: -seconds for identity, seconds in way.items()}


def cost(stage: Stage, reference: Path) -> float:
    """Seconds that a stage took in the committed reference, or a guess by its kind."""
    manifest = reference / "stages" / stage.label / store.MANIFEST
    if manifest.exists():
        return float(json.loads(manifest.read_text())["seconds"])
    return _GUESS.get(stage.kind, 5.0)


def side_by_side(stages: list[Stage], params: Params, root: Path, reference: Path, workers: int) -> None:
    """Makes stages, and what they need, in so many worker processes, and says how far they are.

    Raises StudyError with the reason of the first worker that fails; the others are ended, and resume another time.
    """
    todo = needed(stages, root)
    os.environ |= WORKER
    context = multiprocessing.get_context("spawn")
    reasons = context.SimpleQueue()
    pool = [context.Process(target=_worker, args=(stages, params, root, reference, reasons)) for _ in todo[:workers]]
    for process in pool:
        process.start()
    begun = last = time.monotonic()
    try:
        while any(process.is_alive() for process in pool):
            _refuse_failure(pool, reasons)
            if time.monotonic() - last > 30:
                last = time.monotonic()
                say(_standing(todo, root, reference, len(pool), last - begun))
            time.sleep(0.2)
        _refuse_failure(pool, reasons)
    finally:
        for process in pool:
            process.terminate()
            process.join()


def _worker(stages: list[Stage], params: Params, root: Path, reference: Path, reasons: SimpleQueue) -> None:
    try:
        work_through(stages, params, root, reference)
    except StudyError as error:
        reasons.put(str(error))
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _refuse_failure(pool: list[BaseProcess], reasons: SimpleQueue) -> None:
    for process in pool:
        if not reasons.empty():
            raise StudyError(reasons.get())
        if process.exitcode:
            why = "killed; out of memory?" if process.exitcode < 0 else "its error stands above"
            raise StudyError(f"A worker stopped with code {process.exitcode} ({why}): start again, and it goes on.")


def _standing(todo: list[Stage], root: Path, reference: Path, workers: int, spent: float) -> str:
    """How many stages are done, and the time left at the pace so far (at first: at the reference's pace)."""
    left = [stage for stage in todo if not store.folder(stage, root).exists()]
    all_cost = sum(cost(stage, reference) for stage in todo)
    left_cost = sum(cost(stage, reference) for stage in left)
    done_cost = all_cost - left_cost
    pace = spent / done_cost if done_cost > 0.1 * all_cost else 1 / workers
    return f"{len(todo) - len(left)} of {len(todo)} stages done, about {left_cost * pace / 60:.0f} min left"


def worker_count() -> int:
    """Processes side by side: one a core. With GPUs two: while one has them, the other grades and mixes what they
    made."""
    return 2 if machine.gpus() else machine.cores()
