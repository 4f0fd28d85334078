"""Chapter 04: what GRPO compares, and what a group of answers is worth."""

from math import comb

import numpy as np


def advantages(rewards: np.ndarray) -> np.ndarray:
    """Advantage of each rollout within its group: reward minus mean, over the standard deviation (with G - 1).

    rewards: questions by rollouts. A group of equal rewards has the advantage 0 throughout.
    """
    spread = rewards.std(axis=1, ddof=1, keepdims=True)
    centred = rewards - rewards.mean(axis=1, keepdims=True)
    return np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)


def pass_at_k(n: int, correct: int, k: int) -> float:
    """The chance that k of the n samples, drawn without putting back, hold at least one of the correct ones."""
    return 1 - comb(n - correct, k) / comb(n, k)
