"""Many tasks over worker processes that may die or hang: a lost worker costs the task it was at, never the run.

A task has a second and a half of CPU time, so that a busy machine changes no outcome: after `SOFT` it ends with an
exception; after `HARD` the kernel ends the process, since nothing else stops a long integer power. The pool's own
timeout is on the clock, and only for what sleeps."""

import atexit
import logging
import multiprocessing
import resource
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import TimeoutError
from itertools import islice
from typing import Any

from pebble import ProcessExpired, ProcessPool

SOFT, HARD, TASK_SECONDS = 1.4, 1.7, 20.0
MEMORY = 3 << 30
CHUNK = 16


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


def _prepare() -> None:
    from studylib.grading.symbols import equal

    logging.disable(logging.WARNING)  # math-verify warns at each call that its own alarm is off
    equal("$\\frac{1}{2}$", "$0.5$")  # importing sympy takes a second: paid here, not by the first task
    signal.signal(signal.SIGPROF, _out_of_time)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def _pool(jobs: int) -> ProcessPool:
    """Workers that share nothing with this process, which may hold threads and a GPU."""
    return ProcessPool(jobs, initializer=_prepare, context=multiprocessing.get_context("spawn"))


def _each(work: Callable[[Any], Any], tasks: list[Any]) -> list[Any]:
    return [work(task) for task in tasks]


def _result(pool: ProcessPool, work: Callable[[Any], Any], tasks: list[Any], seconds: float, future: Any) -> list[Any]:
    """The answers of a chunk. Where its worker was lost, its tasks are tried one by one, and the culprit is None."""
    try:
        return future.result()
    except (ProcessExpired, TimeoutError):
        if len(tasks) == 1:
            return [None]
    alone = [pool.schedule(_each, args=[work, [task]], timeout=seconds) for task in tasks]
    return [_result(pool, work, [task], seconds, one)[0] for task, one in zip(tasks, alone, strict=True)]


def run(
    tasks: Iterable[Any], jobs: int, work: Callable[[Any], Any] = answer, seconds: float = TASK_SECONDS
) -> Iterator[Any]:
    """What `work` makes of `tasks`, in their order, streamed, from `jobs` workers; None for a task whose worker was
    lost, or silent for `seconds`."""
    source, waiting, pool = iter(tasks), deque(), _pool(jobs)
    try:
        while (chunk := list(islice(source, CHUNK))) or waiting:
            if chunk:
                waiting.append((chunk, pool.schedule(_each, args=[work, chunk], timeout=seconds * len(chunk))))
            if len(waiting) > 4 * jobs or not chunk:
                yield from _result(pool, work, waiting[0][0], seconds, waiting[0][1])
                waiting.popleft()
    finally:
        pool.stop()
        pool.join()


_own: list[ProcessPool] = []


def ask(task: Any) -> Any:
    """One task to this process's own worker, which is started at the first need and ends with the process."""
    if not _own:
        _own.append(_pool(1))
        atexit.register(_own[0].stop)
    return _result(
        _own[0], answer, [task], TASK_SECONDS, _own[0].schedule(_each, args=[answer, [task]], timeout=TASK_SECONDS)
    )[0]
