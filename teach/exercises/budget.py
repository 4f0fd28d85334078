"""Chapter 06: what a budget of tokens does to a group of answers."""


def budgeted(rewards: list[float], lengths: list[int], budget: int) -> list[float]:
    """The rewards that GRPO sees: an answer that is longer than the budget is cut, is never right and has no box."""
    raise NotImplementedError("yours to write")


def all_cut(chance: float, rollouts: int) -> float:
    """How often all rollouts of a question are cut, if each is with this chance and they are independent."""
    raise NotImplementedError("yours to write")
