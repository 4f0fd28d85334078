"""Chapter 00: the gain of an arm, each benchmark weighing the same."""


def average_gain(arm: dict[str, list[float]], base: dict[str, list[float]]) -> float:
    """Mean gain in points. arm, base: pass rates (0 to 1) of the same questions in the same order, by benchmark."""
    raise NotImplementedError("yours to write")
