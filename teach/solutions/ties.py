"""Chapter 10: TIES, on one tensor."""

import numpy as np


def trim(delta: np.ndarray, density: float) -> np.ndarray:
    """The largest values by size, a share `density` of them, where they stand; 0 elsewhere."""
    keep = round(density * delta.size)
    trimmed = np.zeros_like(delta)
    largest = np.argsort(-np.abs(delta))[:keep]
    trimmed[largest] = delta[largest]
    return trimmed


def ties(sft: np.ndarray, rl: np.ndarray, share: float, density: float) -> np.ndarray:
    """The merged move from the base. sft, rl: the parents' moves; share: that of SFT, RL has the rest.

    Trim both; elect for each weight the sign of the weighted sum; average, by share, the moves of that sign.
    """
    moves, shares = np.stack([trim(sft, density), trim(rl, density)]), np.array([[share], [1 - share]])
    agree = (np.sign(moves) == np.sign((shares * moves).sum(axis=0))) & (moves != 0)
    weight = (shares * agree).sum(axis=0)
    return np.divide((shares * moves * agree).sum(axis=0), weight, out=np.zeros(sft.shape), where=weight > 0)
