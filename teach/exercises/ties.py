"""Chapter 10: TIES, on one tensor."""

import numpy as np


def trim(delta: np.ndarray, density: float) -> np.ndarray:
    """The largest values by size, a share `density` of them, where they stand; 0 elsewhere."""
    raise NotImplementedError("yours to write")


def ties(sft: np.ndarray, rl: np.ndarray, share: float, density: float) -> np.ndarray:
    """The merged move from the base. sft, rl: the parents' moves; share: that of SFT, RL has the rest.

    Trim both; elect for each weight the sign of the weighted sum; average, by share, the moves of that sign.
    """
    raise NotImplementedError("yours to write")
