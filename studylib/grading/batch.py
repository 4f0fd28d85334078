"""Many tasks over worker processes that may die or hang: a lost worker costs the task it was at, never the
run."""

import atexit
import json
import os
import queue
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
COMMAND = (sys.executable, "-P", "-m", "studylib.grading.worker")
START_SECONDS, TASK_SECONDS = 120.0, 20.0
CHUNK = 16


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
