"""Chapter 00: the gain of an arm, each benchmark weighing the same."""


def average_gain(arm: dict[str, list[float]], base: dict[str, list[float]]) -> float:
    """Mean gain in points. arm, base: pass rates (0 to 1) of the same questions in the same order, by benchmark."""
    gains = [100 * sum(a - b for a, b in zip(arm[name], base[name], strict=True)) / len(arm[name]) for name in arm]
    return sum(gains) / len(gains)
