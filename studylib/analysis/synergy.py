"""Combinations against their parents: paired tests by level, and models merged along the way from one to the other."""

import pandas as pd

from studylib.analysis.checkpoints import with_problems
from studylib.analysis.difficulty import ALL, LEVELS, POINTS, contrast
from studylib.analysis.scores import question_rates
from studylib.analysis.stats import bootstrap_mean, estimates_by, holm, paired_differences, two_sided_p


def paired_tests(contrasts: pd.DataFrame) -> pd.DataFrame:
    """Every difference over all benchmarks with its two-sided p, alone and corrected by Holm over this table.

    contrasts: verdicts.contrasts_for, of which the rows over all benchmarks count, a level each and all of them.
    """
    rows = contrasts[contrasts["benchmark"] == ALL].reset_index(drop=True)
    p = [two_sided_p(row.estimate, row.se, row.df) for row in rows.itertuples()]
    return rows.assign(p=p, p_holm=holm(p))


def published_contrasts(gains: pd.DataFrame, arms: list[str], against: list[str]) -> pd.DataFrame:
    """Differences between published gains (published.published_gains), mean over benchmarks: arm, against, level."""
    means = gains.groupby(["arm", "level"])["estimate"].mean().unstack().reindex(columns=list(LEVELS))
    tables = [
        (means.loc[arm] - means.loc[other]).rename("estimate").reset_index().assign(arm=arm, against=other)
        for arm in arms
        for other in against
    ]
    return pd.concat(tables, ignore_index=True)


def share_scores(merged: pd.DataFrame, questions: pd.DataFrame) -> pd.DataFrame:
    """Accuracy in % and mean tokens along the SFT share: measure, merge, share, then the columns of stats.Estimate.

    merged: Study.merged, validation responses with "merge" and "share"; questions: those that were asked.
    """
    tables = []
    for measure, rates in (("accuracy", _rates(merged, questions)), ("tokens", _rates(merged, questions, "tokens"))):
        tables.append(estimates_by(rates, ["merge", "share"]).assign(measure=measure))
    return pd.concat(tables, ignore_index=True)


def off_the_line(merged: pd.DataFrame, questions: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of each merged model minus what the straight line between its parents gives, in points.

    Question by question, so that what the parents share cancels. Columns: merge, share, those of stats.Estimate,
    p and p_holm (two-sided, corrected over this table).
    """
    rates, rows = _rates(merged, questions), []
    for merge, group in rates.groupby("merge", sort=False):
        models = {share: table for share, table in group.groupby("share")}
        asked = ["benchmark", "problem", "question_id"]
        ends = models[1.0].merge(models[0.0], on=asked, suffixes=("_sft", "_rl"))
        for share in sorted(set(models) - {0.0, 1.0}):
            between = share * ends["value_sft"] + (1 - share) * ends["value_rl"]
            line = ends[asked].assign(arm="line", seed=0, value=between)
            off = bootstrap_mean(paired_differences(models[share], line))
            p = two_sided_p(off.estimate, off.se, off.df)
            rows.append({"merge": merge, "share": share, **vars(off), "p": p})
    table = pd.DataFrame(rows)
    return table.assign(p_holm=holm(table["p"].tolist()))


def _rates(merged: pd.DataFrame, questions: pd.DataFrame, value: str = "correct") -> pd.DataFrame:
    scored, rates = with_problems(merged, questions), []
    for (merge, share), group in scored.groupby(["merge", "share"], sort=False):
        rates.append(question_rates(group, value).assign(merge=merge, share=share))
    table = pd.concat(rates, ignore_index=True)
    return table.assign(value=table["value"] * (POINTS if value == "correct" else 1))


PARENTS = ("sft_eureka", "rl")


def against_parents(scores: pd.DataFrame, levels: pd.DataFrame, measure: str = "accuracy") -> pd.DataFrame:
    """Paired contrasts (difficulty.contrast) of every arm but the base's and the parents against either parent."""
    arms = dict(list(scores.groupby("arm", sort=False)))
    combinations = [arm for arm in arms if arm not in PARENTS and not arm.startswith("base")]
    tables = [contrast(arms[arm], arms[parent], levels, parent, measure) for arm in combinations for parent in PARENTS]
    return pd.concat(tables, ignore_index=True)
