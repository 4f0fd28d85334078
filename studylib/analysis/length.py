"""How long the responses are, and how many ran into the limit."""

import pandas as pd

from studylib.analysis.difficulty import ALL, margins, with_levels
from studylib.analysis.scores import question_rates
from studylib.analysis.stats import SAMPLES, estimates_by, wilson


def response_length(scores: pd.DataFrame, levels: pd.DataFrame) -> pd.DataFrame:
    """Mean response tokens: arm, benchmark, level ("all" over either), then the columns of stats.Estimate."""
    cells = pd.concat(margins(with_levels(question_rates(scores, "tokens"), levels)))
    return estimates_by(cells, ["arm", "panel", "level"]).rename(columns={"panel": "benchmark"})


def truncation_share(scores: pd.DataFrame) -> pd.DataFrame:
    """Share of responses cut at the token limit: arm, benchmark, share, low, high, responses, source."""
    rows = []
    cells = pd.concat([scores.assign(panel=scores["benchmark"]), scores.assign(panel=ALL)])
    for (arm, benchmark), group in cells.groupby(["arm", "panel"], sort=True):
        cut = int((group["finish_reason"] == "length").sum())
        low, high = wilson(cut, len(group))
        rows.append(
            {
                "arm": arm,
                "benchmark": benchmark,
                "share": cut / len(group),
                "low": low,
                "high": high,
                "responses": len(group),
                "source": SAMPLES,
            }
        )
    return pd.DataFrame(rows)
