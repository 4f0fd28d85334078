"""pass@k: is one of k samples right?"""

import numpy as np
import pandas as pd

from studylib.analysis.difficulty import POINTS, margins, with_levels
from studylib.analysis.stats import estimates_by

KS = (1, 2, 4, 8, 16)


def pass_at(correct: np.ndarray, samples: np.ndarray, k: int) -> np.ndarray:
    """Chance that one of k of the samples, drawn without putting back, is right: 1 - C(n - c, k) / C(n, k).

    Unbiased for k fresh samples (Chen et al. 2021, arXiv 2107.03374). NaN where there are fewer than k samples.
    """
    left = np.ones(len(correct))
    for drawn in range(k):
        left *= np.clip(samples - correct - drawn, 0, None) / np.where(samples > drawn, samples - drawn, np.nan)
    return 1 - left


def pass_at_k(scores: pd.DataFrame, levels: pd.DataFrame, ks: tuple[int, ...] = KS) -> pd.DataFrame:
    """pass@k in % of every arm, for every k of which each question has as many samples (per training seed).

    Columns: arm, k, benchmark (difficulty.margins), level, then those of stats.Estimate.
    """
    keys = ["arm", "seed", "benchmark", "problem", "question_id"]
    counts = scores.groupby(keys)["correct"].agg(correct="sum", samples="size").reset_index()
    tables = []
    for arm, rows in counts.groupby("arm", sort=False):
        for k in (k for k in ks if k <= rows["samples"].min()):
            rates = rows.assign(value=POINTS * pass_at(rows["correct"].to_numpy(), rows["samples"].to_numpy(), k))
            cells = pd.concat(margins(with_levels(rates, levels)))
            tables.append(estimates_by(cells, ["panel", "level"]).assign(arm=arm, k=k))
    return pd.concat(tables, ignore_index=True).rename(columns={"panel": "benchmark"})
