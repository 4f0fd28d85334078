"""The one exception whose message is meant for the person at the keyboard."""


class StudyError(Exception):
    """Bad input or a broken run, put in one sentence that names the culprit and the way out."""


def named_error(lines: list[str]) -> str | None:
    """The last error that a process of ours named itself, if any."""
    own = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
    return own[-1] if own else None
