"""Chapter 12: is a printed number reproduced?"""


def reproduced(estimate: float, half: float, printed: float, margin: float) -> str:
    """ "holds" if the whole interval (estimate +- half) is within the margin of what was printed, "fails" if it lies
    beyond it, "undecided" if it sticks out."""
    low, high = estimate - half - printed, estimate + half - printed
    if -margin < low and high < margin:
        return "holds"
    return "fails" if low > margin or high < -margin else "undecided"
