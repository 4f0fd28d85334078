"""Work on one stage: the folder that survives a kill, progress with the time left, parts that others can take."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studylib.locks import Busy, lock

if TYPE_CHECKING:
    from studylib.runs import Run, Stage


class Helped(Exception):
    """A helper has made a part, or found none to make (`made`), and leaves the stage to its owner."""

    def __init__(self, made: bool):
        self.made = made


@dataclass
class Work:
    """What a stage's function gets: a folder that survives a kill, its inputs, a place for facts.

    `progress(done, total, note)` says where it stands; `facts` goes into the manifest (tokens, and so on); `launched`
    are arguments for the trainer where it runs in several processes.
    """

    stage: "Stage"
    path: Path
    inputs: dict[str, "Run"]
    say: Callable[[str], None]
    helping: bool = False
    facts: dict[str, Any] = field(default_factory=dict)
    launched: dict[str, Any] = field(default_factory=dict)
    _started: float = field(default_factory=time.monotonic)
    _first: tuple[float, float] | None = None
    _said: float = 0.0

    def shared(self, names: list[str], make: Callable[[str, Path], None]) -> list[Path]:
        """Files `part-NAME`, each written once by `make(name, path)`, here or in a process with nothing else to do.

        Parts must not depend on each other. Raises Helped in a helper, which makes one, from the end.
        """
        paths = {name: self.path / f"part-{name}" for name in names}
        while todo := [name for name in names if not paths[name].exists()]:
            made = any(self._part(name, paths[name], make) for name in (todo[::-1] if self.helping else todo))
            if self.helping:
                raise Helped(made)
            if not made:
                time.sleep(0.2)
        if self.helping:
            raise Helped(False)
        return list(paths.values())

    def _part(self, name: str, path: Path, make: Callable[[str, Path], None]) -> bool:
        try:
            with lock(self.path.with_suffix(f".{name}.lock")):
                # Made, joined or published meanwhile; parts go only after the stage's end is noted.
                if path.exists() or self.done.exists() or not self.path.exists():
                    return False
                writing = path.with_suffix(".writing")
                make(name, writing)
                writing.rename(path)
                return True
        except Busy:
            return False

    def progress(self, done: float, total: float, note: str = "") -> None:
        now = time.monotonic()
        self._tick()
        self._first = self._first or (now, done)
        if now - self._said < 5 and done < total:
            return
        self._said = now
        since, at = self._first
        left = f", {_span((total - done) * (now - since) / (done - at))} left" if done > at else ""
        self.say(f"{self.stage.label}: {done:g} of {total:g}{left}{' - ' + note if note else ''}")

    def report(self, line: str) -> None:
        """A line of progress that a module has worded itself."""
        self._tick()
        self.say(f"{self.stage.label}: {line}")

    @property
    def seconds(self) -> float:
        """Wall time, that of killed attempts included (up to their last sign of life)."""
        return self.before + time.monotonic() - self._started

    @cached_property
    def before(self) -> float:
        return float(self.clock.read_text()) if self.clock.exists() else 0.0

    @property
    def clock(self) -> Path:
        return self.path.with_suffix(".seconds")

    @property
    def done(self) -> Path:
        return self.path.with_suffix(".done")

    def _tick(self) -> None:
        if not self.helping:
            part = self.path.with_suffix(".tick")
            part.write_text(str(self.seconds))
            part.rename(self.clock)


def _span(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"
