"""Chapter 07: which question of a step gets which loss."""

import numpy as np


def losses(right: np.ndarray, has_trace: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which questions get the SFT loss and which the RL loss, as two boolean arrays with one value per question.

    right: questions by rollouts, 1 where a rollout is right. A question fails if none of its rollouts is. A question
    that fails is taught by its trace alone; without one it keeps the RL loss, as all others do.
    """
    taught = (right.sum(axis=1) == 0) & has_trace
    return taught, ~taught
