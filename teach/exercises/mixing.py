"""Chapter 09: the mixed set."""


def mix(answers: dict[str, list[tuple[str, bool]]], traces: dict[str, list[str]]) -> list[tuple[str, str]]:
    """Rows (query, text) of the mixed set: all right answers of a query, or, where none is right, all its traces.

    answers: by query, each answer with whether it is right. traces: by query, for some of them.
    """
    raise NotImplementedError("yours to write")
