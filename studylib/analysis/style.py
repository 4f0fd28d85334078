"""What the responses look like: reflection words, format, and the flow between right and wrong."""

import re

import pandas as pd

from studylib.analysis.difficulty import ALL, POINTS
from studylib.analysis.printed import paper_name
from studylib.analysis.scores import question_rates
from studylib.analysis.stats import estimates_by

# Table 5 of the paper.
PAPER_WORDS = ("wait", "check", "mistake", "alternative", "however")


def of_table_5(scores: pd.DataFrame) -> pd.DataFrame:
    """The responses among which Table 5 counts: those to MathVision, or to what mirrors it."""
    return scores[scores["benchmark"].map(paper_name) == "MathVision"]


def word_counts(scores: pd.DataFrame) -> pd.DataFrame:
    """Occurrences of the paper's five words in any case and with their endings (checks, alternatively), as in Table 5.

    Columns: arm, word, count, responses, per_1000_responses, per_1000_tokens.
    """
    rows = []
    for arm, group in scores.groupby("arm", sort=False):
        text = "\n".join(group["text"]).lower()
        for word in PAPER_WORDS:
            count = len(re.findall(rf"\b{word}", text))
            rates = {
                "per_1000_responses": 1000 * count / len(group),
                "per_1000_tokens": 1000 * count / max(int(group["tokens"].sum()), 1),
            }
            rows.append({"arm": arm, "word": word, "count": count, "responses": len(group), **rates})
    return pd.DataFrame(rows)


def reflection_words(texts: pd.Series) -> pd.Series:
    """How many of the paper's five words, with their endings and in any case, each text holds."""
    return texts.str.lower().str.count(rf"\b(?:{'|'.join(PAPER_WORDS)})")


def flows(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Expected flows over sample pairs: benchmark, flow, share and share_by_chance in % of all questions.

    A sample of `before` and one of `after` are drawn for a question: it goes right to wrong with
    p_b (1 - p_a). We take this rather than majorities, which throw away how sure each side is and need a
    rule for ties. Two draws from one model differ too: `share_by_chance` is the flow between two samples
    of `before`.
    """
    b = question_rates(before).groupby(["benchmark", "question_id"])[["value", "samples"]].mean()
    a = question_rates(after).groupby(["benchmark", "question_id"])["value"].mean().reindex(b.index)
    p, k = b["value"], b["samples"]
    self_flow = p * (1 - p) * k / (k - 1)
    shares = {
        "right to right": (p * a, p - self_flow),
        "right to wrong": (p * (1 - a), self_flow),
        "wrong to right": ((1 - p) * a, self_flow),
        "wrong to wrong": ((1 - p) * (1 - a), 1 - p - self_flow),
    }
    tables = []
    for flow, (share, chance) in shares.items():
        table = pd.DataFrame({"share": POINTS * share, "share_by_chance": POINTS * chance})
        tables.append(table.groupby("benchmark").mean().reset_index().assign(flow=flow))
    table = pd.concat(tables, ignore_index=True)
    over_all = table.groupby("flow", sort=False)[["share", "share_by_chance"]].mean().reset_index()
    return pd.concat([table, over_all.assign(benchmark=ALL)], ignore_index=True)


def finish_and_box(scores: pd.DataFrame) -> pd.DataFrame:
    """Share in % of responses that end by themselves with a box after the thought, by arm."""
    pattern = r"(?s)^\s*<think>.*?</think>.*\\boxed\{"
    good = scores["text"].str.contains(pattern) & (scores["finish_reason"] == "stop")
    rates = question_rates(scores.assign(boxed=POINTS * good.astype(float)), "boxed")
    return estimates_by(rates, ["arm"])
