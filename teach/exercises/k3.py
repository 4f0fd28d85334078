"""Chapter 05: how far one model is from another, from sampled tokens alone."""

import numpy as np


def k3(own: np.ndarray, reference: np.ndarray) -> float:
    """Mean of r - 1 - log r over tokens sampled from the own model, with r = p_reference / p_own.

    own, reference: log-probabilities of the sampled tokens. Never negative, and right in the mean.
    """
    raise NotImplementedError("yours to write")
