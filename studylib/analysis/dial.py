"""The dial: what base, parents and combinations do where the base has seen more or less of the long way (chapter 13).

A table "by base" has the column `base`, a name of BASES. What the prediction says of them is held against the claims
of chapter 13 (claims.yaml), in which the base stands in the place of a level.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats as scipy_stats

from studylib.analysis.difficulty import ALL, LEVELS, POINTS, contrast
from studylib.analysis.scores import question_rates
from studylib.analysis.stats import SAMPLES, crossed_mean, wilson
from studylib.analysis.steps import LONG, programs, with_strategy
from studylib.analysis.verdicts import Claim, judge


@dataclass(frozen=True)
class Base:
    """A base of the dial. dose: the share f of its instructed two-hop examples that go the long way, in %.

    suffix: what its scale is named, after the name of the scale whose chapter reads it.
    """

    name: str
    dose: float
    suffix: str


# One trunk, three doses; beside them another base of dose 0, which differs from the first in its seed alone.
BASES = (Base("0 %", 0, ""), Base("1 %", 1, "_dose1"), Base("10 %", 10, "_dose10"), Base("0 %, other", 0, "_second"))
OWN = BASES[0].name
DOSES = {base.name: base.dose for base in BASES}
PARENTS, COMBINATIONS = ("sft_eureka", "rl"), ("two_stage", "data_mixing")
HARD = "L4 and L5"
WORDS = {"holds": "held", "fails": "did not hold", "undecided": "undecided"}
NOT_RUN = "not run"


def by_base(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """One table with the column `base` in front. tables: by the name of the base."""
    return pd.concat([table.assign(base=name)[["base", *table]] for name, table in tables.items()], ignore_index=True)


def two_hops(questions: pd.DataFrame) -> pd.DataFrame:
    """The questions that something must be decided for before it can be computed: only these have a long way."""
    by_id = programs(questions)
    return questions[[bool(by_id.get(name, {}).get("hop")) for name in questions["id"]]]


def group_share(share: float, rollouts: int) -> float:
    """The share in % of groups with at least one long way, if each rollout goes it with `share` % by itself."""
    return POINTS * (1 - (1 - share / POINTS) ** rollouts)


def long_way(scores: pd.DataFrame, questions: pd.DataFrame) -> pd.DataFrame:
    """How often each arm goes the long way, in % of its answers to these questions: arm, those of stats.Estimate.

    Where all answers of an arm are alike nothing varies that an interval could come from: it is then Wilson's, with the
    questions for its number. Empty where no question has a program.
    """
    answers = with_strategy(scores, programs(questions)).dropna(subset="strategy")
    rates = question_rates(answers.assign(long=POINTS * (answers["strategy"] == LONG).astype(float)), "long")
    return pd.DataFrame([{"arm": arm, **_never_sure(rows)} for arm, rows in rates.groupby("arm")])


def _never_sure(rates: pd.DataFrame) -> dict:
    estimate = vars(crossed_mean(rates))
    if estimate["se"] > 0:
        return estimate
    return estimate | _share(estimate["estimate"] / POINTS, estimate["questions"])


def _share(share: float, n: int) -> dict:
    """A share of n in %, with Wilson's interval and the standard error that is as wide."""
    low, high = (POINTS * bound for bound in wilson(round(share * n), n))
    se = (high - low) / (2 * scipy_stats.norm.ppf(0.975))
    return {"estimate": POINTS * share, "se": se, "df": n - 1, "low": low, "high": high, "source": SAMPLES}


def groups(responses: pd.DataFrame, questions: pd.DataFrame, dose: float) -> pd.DataFrame:
    """Groups of rollouts of which at least one goes the long way, in %, in one row; empty without a two-hop query.

    responses: of the base on the training queries, sampled as in RL; questions: those of two hops. dose: in %.
    Columns: dose; rollouts, how many a group has; rate, the share of single rollouts in %; prediction, the share of
    groups by the formula (each rollout goes the long way by itself, as often as the base has seen it); independence,
    the same from the rate; then the share of groups as it is, with estimate, se, df, low, high, source.
    """
    answers = with_strategy(responses, programs(questions)).dropna(subset="strategy")
    if answers.empty:
        return pd.DataFrame()
    long = (answers["strategy"] == LONG).groupby(answers["question_id"])
    rollouts, share = int(long.size().max()), POINTS * (answers["strategy"] == LONG).mean()
    row = {"dose": dose, "rollouts": rollouts, "groups": len(long), "rate": share}
    row |= {"prediction": group_share(dose, rollouts), "independence": group_share(share, rollouts)}
    return pd.DataFrame([row | _share(long.any().mean(), len(long))])


def hard_gains(scores: pd.DataFrame, base: pd.DataFrame, levels: pd.DataFrame) -> pd.DataFrame:
    """Each arm minus the base where it is hard, L4 and L5 in one, in points: rows of difficulty.contrast."""
    hard = levels.assign(level=levels["level"].where(~levels["level"].isin(LEVELS[3:]), HARD))
    tables = [contrast(arm, base, hard, "base") for _, arm in scores.groupby("arm", sort=False)]
    table = pd.concat(tables, ignore_index=True)
    return table[table["level"] == HARD].reset_index(drop=True)


def more_than_own(gains: pd.DataFrame, arm: str = "rl") -> pd.DataFrame:
    """An arm's gain on every other base minus its gain on that of dose 0, over all benchmarks, in points.

    gains: hard_gains by base. Each base sorts the questions anew, so the two gains are of other questions and cannot be
    paired: their variances add up (Welch). Rows as the claims need them, with the base as the level.
    """
    mine = gains[(gains["arm"] == arm) & (gains["benchmark"] == ALL)].set_index("base")
    if OWN not in mine.index:
        return pd.DataFrame()
    own, rows = mine.loc[OWN], []
    for name, other in mine.drop(OWN).iterrows():
        squares = np.array([other["se"], own["se"]]) ** 2
        se, df = np.sqrt(squares.sum()), squares.sum() ** 2 / (squares**2 / [other["df"], own["df"]]).sum()
        estimate, half = other["estimate"] - own["estimate"], scipy_stats.t.ppf(0.975, df) * se
        span = {"estimate": estimate, "se": se, "df": df, "low": estimate - half, "high": estimate + half}
        rows.append({"arm": arm, "against": OWN, "level": name, "source": other["source"], **span})
    return pd.DataFrame(rows).assign(benchmark=ALL, measure="hard gain")


def as_parts(
    group_shares: pd.DataFrame, ways: pd.DataFrame, differences: pd.DataFrame, more: pd.DataFrame
) -> pd.DataFrame:
    """Everything that the prediction speaks of, in the rows that verdicts.judge reads, with the base as the level.

    By base: group_shares (groups), ways (long_way), differences (synergy.against_better). more: more_than_own.
    """
    tables = [more]
    if len(group_shares):
        apart = {name: group_shares[name] - group_shares["prediction"] for name in ("estimate", "low", "high")}
        tables.append(group_shares.assign(**apart, arm="base", against="the prediction", measure="groups"))
    tables.append(ways.assign(against="none", measure="long way"))
    tables.append(differences[(differences["benchmark"] == ALL) & (differences["level"] == ALL)])
    tables = [table.assign(level=table["base"]) if "base" in table else table for table in tables if len(table)]
    columns = ["arm", "against", "measure", "level", "estimate", "se", "df", "low", "high", "source"]
    return pd.concat([table[columns] for table in tables], ignore_index=True).assign(benchmark=ALL)


def outcome(claims: list[Claim], parts: pd.DataFrame, trades: pd.DataFrame) -> pd.DataFrame:
    """The prediction, part by part: id, part, estimate, low, high, outcome ("held", "did not hold", "undecided").

    claims: those of chapter 13; one whose base is not there is "not run". trades: the verdicts of chapter 11's claims
    on the base of dose 0: a combination trades one parent for the other where it is *not* as good at every level.
    """
    measures = set(zip(parts["arm"], parts["measure"], parts["level"], strict=True))
    testable = [c for c in claims if all((c.arm, c.measure, level) in measures for level in c.levels)]
    judgements = judge(testable, parts).set_index("id") if testable else pd.DataFrame()
    columns = ["estimate", "low", "high"]
    rows = [
        {"id": c.id, "part": c.text, **judgements.loc[c.id, columns], "outcome": WORDS[judgements.loc[c.id, "verdict"]]}
        if c in testable
        else {"id": c.id, "part": c.text, "outcome": NOT_RUN}
        for c in claims
    ]
    other_way = {"holds": "fails", "fails": "holds", "undecided": "undecided"}
    for row in trades[trades["benchmarks"] == ALL].itertuples():
        text = f"At {OWN} there is a trade: it is not so that {row.claim[0].lower()}{row.claim[1:]}"
        span = {name: getattr(row, name) for name in columns}
        rows.append({"id": f"dial-{row.id}", "part": text, **span, "outcome": WORDS[other_way[row.verdict]]})
    return pd.DataFrame(rows, columns=["id", "part", *columns, "outcome"])
