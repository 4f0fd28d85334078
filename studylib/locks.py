"""Locks between processes, on files: the system frees one when its process dies, however it dies."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from studylib.errors import StudyError


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
