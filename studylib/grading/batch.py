"""Many tasks over worker processes that may die or hang: a lost worker costs the task it was at, never the run.

A worker is a program of its own over pipes and not a process of multiprocessing:
a spawned one runs the reader's own script once more, a forked one takes along the threads and the GPU of a training.
A task has a second and a half of CPU time, so that a busy machine changes no outcome: after `SOFT` it ends with an
exception; after `HARD` the kernel ends the process, since nothing else stops a long integer power."""

import atexit
import json
import logging
import os
import queue
import resource
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

HERE = Path(__file__).parents[2]
COMMAND = (sys.executable, "-P", "-c", "from studylib.grading.batch import main; main()")
START_SECONDS, TASK_SECONDS = 120.0, 20.0
CHUNK = 16
SOFT, HARD = 1.4, 1.7
MEMORY = 3 << 30


class Worker:
    """One child process that answers JSON lines, one a task, after a first line "ready"."""

    def __init__(self, command: Sequence[str] = COMMAND, task_seconds: float = TASK_SECONDS):
        self.command, self.task_seconds = command, task_seconds
        self.process: subprocess.Popen[str] | None = None
        self.lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.lock = threading.Lock()

    def ask(self, tasks: Sequence[Any]) -> list[Any]:
        """The answers of `tasks` (JSON) in order; None for one at which the child died or was silent too
        long."""
        answers: list[Any] = []
        with self.lock:
            while len(answers) < len(tasks):
                self._send(tasks[len(answers) :])
                while len(answers) < len(tasks):
                    line = self._line(self.task_seconds)
                    answers.append(json.loads(line) if line else None)
                    if not line:
                        self.close()
                        break
        return answers

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _send(self, tasks: Sequence[Any]) -> None:
        if self.process is None and not self._start() and not self._start():
            raise RuntimeError(f"the grading worker did not start: {' '.join(self.command)}")
        try:
            self.process.stdin.write("".join(json.dumps(task) + "\n" for task in tasks))
            self.process.stdin.flush()
        except OSError:
            pass  # the child died while reading: the empty line that follows says so

    def _start(self) -> bool:
        paths = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths},
        )  # fmt: skip
        self.lines = queue.SimpleQueue()
        threading.Thread(target=_pump, args=(self.process, self.lines), daemon=True).start()
        if self._line(START_SECONDS):
            return True
        self.close()
        return False

    def _line(self, seconds: float) -> str:
        try:
            return self.lines.get(timeout=seconds)
        except queue.Empty:
            return ""


def _pump(process: "subprocess.Popen[str]", lines: "queue.SimpleQueue[str]") -> None:
    for line in process.stdout:
        lines.put(line if line.endswith("\n") else "")
    lines.put("")


def run(
    tasks: Iterable[Any], jobs: int, command: Sequence[str] = COMMAND, task_seconds: float = TASK_SECONDS
) -> Iterator[Any]:
    """Answers of `tasks` in their order, streamed, from `jobs` workers; None for a task whose worker was
    lost."""
    workers = [Worker(command, task_seconds) for _ in range(jobs)]
    free: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    for worker in workers:
        free.put(worker)

    def chunk_of(tasks: list[Any]) -> list[Any]:
        worker = free.get()
        try:
            return worker.ask(tasks)
        finally:
            free.put(worker)

    waiting: deque[Future[list[Any]]] = deque()
    source = iter(tasks)
    pool = ThreadPoolExecutor(jobs)
    try:
        while chunk := list(islice(source, CHUNK)):
            waiting.append(pool.submit(chunk_of, chunk))
            if len(waiting) > 4 * jobs:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.close()


_own: list[Worker] = []


def ask(task: Any) -> Any:
    """One task to this process's own worker, which is started at the first need and ends with the process."""
    if not _own:
        _own.append(Worker())
        atexit.register(_own[0].close)
    return _own[0].ask([task])[0]


class OutOfTime(BaseException):
    """Raised by the timer; no Exception, so that no handler on the way swallows it."""


def _out_of_time(*_: object) -> None:
    raise OutOfTime


def answer(task: dict[str, Any]) -> list[str | None]:
    """Grade one task `{row, response, finish_reason}`; a failure of the grader itself is an outcome."""
    from studylib.grading.rules import ERROR, grade_by_rules
    from studylib.grading.symbols import equal

    signal.setitimer(signal.ITIMER_VIRTUAL, HARD)
    signal.setitimer(signal.ITIMER_PROF, SOFT)
    try:
        return list(grade_by_rules(task["row"], task["response"], task["finish_reason"], equal))
    except OutOfTime:
        return [None, ERROR, "out of time"]
    except Exception as problem:
        return [None, ERROR, type(problem).__name__]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def main() -> None:
    """The worker: reads one JSON task a line, answers one JSON line each, and may be killed."""
    from studylib.grading.symbols import equal

    logging.disable(logging.WARNING)  # math-verify warns at each call that its own alarm is off
    equal("$\\frac{1}{2}$", "$0.5$")  # importing sympy takes a second: paid here, not by the first task
    signal.signal(signal.SIGPROF, _out_of_time)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # meant for the parent, whose end closes our stdin
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    out, sys.stdout = sys.stdout, sys.stderr
    print("ready", file=out, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=out, flush=True)
