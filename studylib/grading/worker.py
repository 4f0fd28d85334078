"""The child process of `batch`: reads one JSON task a line, answers one JSON line each, and may be killed.

Started as `python -m studylib.grading.worker`. A task has a second and a half of CPU time, so that a busy
machine changes no outcome: after `SOFT` it ends with an exception; after `HARD` the kernel ends the
process, since nothing else stops a long integer power."""

import json
import logging
import resource
import signal
import sys
from typing import Any

SOFT, HARD = 1.4, 1.7
MEMORY = 3 << 30


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


if __name__ == "__main__":
    main()
