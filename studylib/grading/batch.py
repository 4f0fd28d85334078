"""Many tasks over worker processes that may die or hang: a lost worker costs the task it had, never the run."""

import atexit
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import Any

COMMAND = (sys.executable, "-m", "studylib.grading.worker")
START_SECONDS, TASK_SECONDS = 120.0, 20.0


class Worker:
    """One child process that answers JSON lines. `ask` returns None where the child died or said nothing in
    time; the next `ask` then starts a new one."""

    def __init__(self, command: tuple[str, ...] = COMMAND, task_seconds: float = TASK_SECONDS):
        self.command, self.task_seconds = command, task_seconds
        self.process: subprocess.Popen[str] | None = None
        self.lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.lock = threading.Lock()

    def _start(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=environment,
        )  # fmt: skip
        self.lines = queue.SimpleQueue()
        threading.Thread(target=_pump, args=(self.process, self.lines), daemon=True).start()
        if self._line(START_SECONDS) != "ready\n":
            self.close()
            raise RuntimeError("the grading worker did not start")

    def _line(self, seconds: float) -> str:
        try:
            return self.lines.get(timeout=seconds)
        except queue.Empty:
            return ""

    def ask(self, task: Any) -> Any:
        """Send `task` (JSON) and wait for its answer; None if the child was lost on it."""
        with self.lock:
            if self.process is None:
                self._start()
            try:
                self.process.stdin.write(json.dumps(task) + "\n")
                self.process.stdin.flush()
                line = self._line(self.task_seconds)
            except OSError:
                line = ""
            if not line.endswith("\n"):
                self.close()
                return None
            return json.loads(line)

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def _pump(process: "subprocess.Popen[str]", lines: "queue.SimpleQueue[str]") -> None:
    for line in process.stdout:
        lines.put(line)
    lines.put("")


def run(tasks: Iterable[Any], jobs: int, command: tuple[str, ...] = COMMAND, task_seconds: float = TASK_SECONDS) -> Iterator[Any]:
    """Answers of `tasks` in their order, streamed, from `jobs` workers; None for a task whose worker was lost.
    At most 64 tasks a worker are read ahead of what has been yielded."""
    workers = [Worker(command, task_seconds) for _ in range(jobs)]
    from concurrent.futures import Future, ThreadPoolExecutor

    free: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    for worker in workers:
        free.put(worker)

    def one(task: Any) -> Any:
        worker = free.get()
        try:
            return worker.ask(task)
        finally:
            free.put(worker)

    waiting: list[Future[Any]] = []
    try:
        with ThreadPoolExecutor(jobs) as pool:
            for task in tasks:
                waiting.append(pool.submit(one, task))
                while len(waiting) >= 64 * jobs or (waiting and waiting[0].done()):
                    yield waiting.pop(0).result()
            for future in waiting:
                yield future.result()
    finally:
        for worker in workers:
            worker.close()


_own: list[Worker] = []


def ask(task: Any) -> Any:
    """One task to the process's own worker, started at the first need and ended with the process."""
    if not _own:
        _own.append(Worker())
        atexit.register(_own[0].close)
    return _own[0].ask(task)
