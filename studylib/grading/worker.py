"""The child process of `batch`: reads one JSON task a line, answers one JSON line each, and may be killed.

Started as `python -m studylib.grading.worker`. Each task has a second of CPU time: after `SOFT` the row ends with
an exception, after `HARD` the kernel ends the process (a long integer power cannot be interrupted otherwise)."""

import json
import signal
import sys
from typing import Any

SOFT, HARD = 0.8, 1.2


class OutOfTime(BaseException):
    """Raised by the timer; not an Exception, so that no handler on the way swallows it."""


def _out_of_time(*_: object) -> None:
    raise OutOfTime


def answer(task: dict[str, Any]) -> list[str | None]:
    """Grade one task `{row, response, finish_reason}`; a failure of the grader itself is an outcome."""
    from studylib.grading.rules import ERROR, grade_by_rules
    from studylib.grading.symbols import equal

    signal.setitimer(signal.ITIMER_PROF, SOFT)
    signal.setitimer(signal.ITIMER_VIRTUAL, HARD)
    try:
        return list(grade_by_rules(task["row"], task["response"], task["finish_reason"], equal))
    except OutOfTime:
        return [None, ERROR, "out of time"]
    except Exception as problem:
        return [None, ERROR, f"{type(problem).__name__}"]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def main() -> None:
    import math_verify  # noqa: F401  (two seconds: paid before the first task, not by it)

    from studylib.grading.symbols import equal

    signal.signal(signal.SIGPROF, _out_of_time)
    sys.setrecursionlimit(3000)
    equal("$\\frac{1}{2}$", "$0.5$")
    out = sys.stdout
    sys.stdout = sys.stderr
    print("ready", file=out, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=out, flush=True)


if __name__ == "__main__":
    main()
