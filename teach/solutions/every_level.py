"""Chapter 11: at least as good at every level."""

import numpy as np
from scipy import stats


def at_least_as_good(differences: list[np.ndarray], margin: float) -> float:
    """The p of "above -margin in every part" (intersection-union): that of the weakest part's one-sided t test.

    differences: one array per level, of paired differences from the better parent there, in points, one per question.
    """
    return max(stats.ttest_1samp(part, -margin, alternative="greater").pvalue for part in differences)
