"""How long the responses are, and how many ran into the limit."""

import numpy as np
import pandas as pd

from studylib.analysis.difficulty import ALL, margins, with_levels
from studylib.analysis.scores import question_rates
from studylib.analysis.stats import SAMPLES, crossed_mean, estimates_by, log_ratio, paired, paired_differences, wilson


def response_length(scores: pd.DataFrame, levels: pd.DataFrame) -> pd.DataFrame:
    """Mean response tokens: arm, benchmark, level ("all" over either), then the columns of stats.Estimate."""
    cells = pd.concat(margins(with_levels(question_rates(scores, "tokens"), levels)))
    return estimates_by(cells, ["arm", "panel", "level"]).rename(columns={"panel": "benchmark"})


def times_as_long(scores: pd.DataFrame, against: str = "base") -> pd.DataFrame:
    """How many times as long each arm's responses are: the ratio of mean tokens over the same questions.

    Of every other measure of "times as long" (contrast's log_length) this is the definition. Benchmarks weigh alike.
    Columns: arm, estimate, low, high, questions, seeds, source.
    """
    rates = dict(list(question_rates(scores, "tokens").groupby("arm", sort=False)))
    rows = []
    for arm in rates:
        estimate = crossed_mean(log_ratio(paired(rates[arm], rates[against])))
        ends = {name: float(np.exp(getattr(estimate, name))) for name in ("estimate", "low", "high")}
        counts = {name: getattr(estimate, name) for name in ("questions", "seeds", "source")}
        rows.append({"arm": arm, **ends, **counts})
    return pd.DataFrame(rows)


def gain_with_length(arm: pd.DataFrame, reference: pd.DataFrame) -> pd.DataFrame:
    """Do the answers that grow most gain most? The correlation over questions of the gain in accuracy with the log of
    how many times as long the answers are; a row as of difficulty.contrast with measure "correlation".

    arm, reference: score tables of one arm each. The interval takes the two spreads as known.
    """
    gains = paired_differences(question_rates(arm), question_rates(reference))
    longer = paired(question_rates(arm, "tokens"), question_rates(reference, "tokens"))
    both = gains.merge(longer, on=["seed", "benchmark", "problem", "question_id"], suffixes=("", "_tokens"))
    grown = np.log(both["value_tokens"] / both["reference_tokens"])
    scaled = [(x - x.mean()) / x.std(ddof=0) for x in (both["value"], grown)]
    estimate = crossed_mean(both.assign(value=scaled[0] * scaled[1]))
    names = {"arm": arm["arm"].iloc[0], "against": reference["arm"].iloc[0], "measure": "correlation"}
    return pd.DataFrame([names | {"benchmark": ALL, "level": ALL} | vars(estimate)])


def truncation_share(scores: pd.DataFrame) -> pd.DataFrame:
    """Share of responses cut at the token limit: arm, benchmark, share, low, high, responses, source."""
    rows = []
    cells = pd.concat([scores.assign(panel=scores["benchmark"]), scores.assign(panel=ALL)])
    for (arm, benchmark), group in cells.groupby(["arm", "panel"], sort=True):
        cut = int((group["finish_reason"] == "length").sum())
        low, high = wilson(cut, len(group))
        rows.append((arm, benchmark, cut / len(group), low, high, len(group), SAMPLES))
    return pd.DataFrame(rows, columns=["arm", "benchmark", "share", "low", "high", "responses", "source"])
