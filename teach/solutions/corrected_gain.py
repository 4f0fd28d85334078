"""Chapter 01: a gain by level that holds no regression to the mean."""

import numpy as np


def corrected_gain(set_a: np.ndarray, set_b: np.ndarray, arm: np.ndarray, low: float, high: float) -> float:
    """Gain in points of the questions whose pass rate in set A is at least `low` and below `high`.

    set_a, set_b: pass rates (0 to 1) of the base in two independent sets of samples, one value per question;
    arm: the same of a trained model. One set tags, the other is what the arm is compared with.
    """
    tagged = (set_a >= low) & (set_a < high)
    return float(100 * (arm - set_b)[tagged].mean())
