"""The one exception whose message is meant for the person at the keyboard."""


class StudyError(Exception):
    """Bad input or a broken run, told in one sentence that names the culprit and the way out."""


def named_error(lines: list[str], mark: str = "Error: ") -> str | None:
    """The last error that a process of ours named itself, if any: what stands behind the mark."""
    own = [line.removeprefix(mark) for line in lines if line.startswith(mark)]
    return own[-1] if own else None
