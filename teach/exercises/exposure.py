"""Chapter 13: how many groups of rollouts hold a way that the base has seldom seen."""


def groups_with(share: float, rollouts: int) -> float:
    """How often at least one rollout of a group goes the way, if each does with this share and they are independent."""
    raise NotImplementedError("yours to write")


def share_for(groups: float, rollouts: int) -> float:
    """The share of rollouts that puts the way into this share of the groups (below 1): `groups_with` turned round."""
    raise NotImplementedError("yours to write")
