"""Chapter 03: two means of one loss."""

import numpy as np


def per_token(log_probs: np.ndarray, mask: np.ndarray) -> float:
    """Mean loss over all tokens of the batch. Both arrays: traces by tokens; the mask is 1 where a token counts."""
    return float(-(log_probs * mask).sum() / mask.sum())


def per_trace(log_probs: np.ndarray, mask: np.ndarray) -> float:
    """Mean over the traces of each trace's mean loss."""
    return float((-(log_probs * mask).sum(axis=1) / mask.sum(axis=1)).mean())
