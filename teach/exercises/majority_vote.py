"""Chapter 02: one answer out of many samples, and what a judge could make of the unparsed ones."""


def majority_vote(extracted: list[str | None]) -> str | None:
    """The answer that most samples give; None is a sample without one, which has no vote.

    Of answers with equally many votes the one that was given first; None if nobody votes.
    """
    raise NotImplementedError("yours to write")
