"""Progress is said line by line: on the terminal, in a notebook in place of the line before, and in the log of a
process that another waits for, which passes on what is new in it."""

from collections.abc import Callable
from pathlib import Path


def say(line: str) -> None:
    print(line, flush=True)


def shown() -> Callable[[str], None]:
    """`say`, or in a notebook a function that shows each line in place of the one before."""
    try:
        from IPython import get_ipython
    except ImportError:
        return say
    if get_ipython() is None:
        return say
    from IPython.display import display

    handle = display({"text/plain": "starting"}, raw=True, display_id=True)
    return lambda line: handle.update({"text/plain": line}, raw=True)


class Logs:
    """The logs of a folder that match a pattern, read as they grow: `new()` gives each line once."""

    def __init__(self, folder: Path, pattern: str):
        self.folder, self.pattern = folder, pattern
        self.read = {path: path.stat().st_size for path in folder.glob(pattern)}

    def new(self) -> list[str]:
        lines = []
        for path in sorted(self.folder.glob(self.pattern)):
            try:
                with path.open("rb") as log:
                    log.seek(self.read.get(path, 0))
                    whole = log.read().rpartition(b"\n")[0]
            except FileNotFoundError:  # its process has ended well
                continue
            if whole:
                self.read[path] = self.read.get(path, 0) + len(whole) + 1
                lines += whole.decode().splitlines()
        return [line for line in lines if line.strip()]
