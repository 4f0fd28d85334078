"""Chapter 08: how much of a trace is given at which step."""


def prefix_share(step: int, steps: int, until: float) -> float:
    """Share of the trace at a step counted from 0: 1 at first, then half a cosine down to 0 at `until` of the steps."""
    raise NotImplementedError("yours to write")
