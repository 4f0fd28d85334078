"""Chapter 04: what GRPO compares, and what a group of answers is worth."""

import numpy as np


def advantages(rewards: np.ndarray) -> np.ndarray:
    """Advantage of each rollout within its group: reward minus mean, over the standard deviation (with G - 1).

    rewards: questions by rollouts. A group of equal rewards has the advantage 0 throughout.
    """
    raise NotImplementedError("yours to write")


def pass_at_k(n: int, correct: int, k: int) -> float:
    """The chance that k of the n samples, drawn without putting back, hold at least one of the correct ones."""
    raise NotImplementedError("yours to write")
