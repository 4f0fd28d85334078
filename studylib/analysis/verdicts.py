"""The one test that says of a claim (claims.yaml): holds, fails or undecided.

A claim is a difference that should lie beyond a margin. Each of its parts (a level, a reference, a benchmark) is
tested by its t interval (stats.crossed_mean). A claim about every part needs every part: the p for it is the largest
of the parts' one-sided ones (intersection-union test), the p against it the smallest times their number (Bonferroni);
of a claim about any part the other way round. Twice the smaller of the two is the claim's p, corrected by Holm over
the claims judged together. Holds or fails by the side where that is below 0.05, else undecided.

A claim with a gatekeeper (`first`, the mean over levels) fails where the gatekeeper is shown to. Its parts are looked
at only where the gatekeeper is shown to hold; the claim's p is then the larger of the gatekeeper's and the parts'.
"""

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd
import yaml
from scipy import stats

from studylib.analysis import style
from studylib.analysis.curves import RULE
from studylib.analysis.difficulty import ALL, PARTS, RISE, contrast
from studylib.analysis.stats import holm
from studylib.errors import StudyError

COMBINATIONS = ("two_stage", "interleaved", "progressive", "data_mixing", "merging")
NON_INFERIORITY_MARGIN = 2.0  # points
OF_SCORES = ("accuracy", "log_length", "words")  # the measures that contrasts_for takes from responses


@dataclass(frozen=True)
class Claim:
    """arm - against > `above` and < `below` (those that are given), at each of the levels against each reference.

    above and below are in the unit of the measure; of one that begins with log_ they are ratios (10: ten times).
    """

    id: str
    chapter: int
    text: str
    arm: str
    against: tuple[str, ...] = ("base",)
    levels: tuple[str, ...] = (ALL,)
    measure: str = "accuracy"
    above: float | None = None
    below: float | None = None
    benchmarks: str = ""
    first: str = ""

    @property
    def bounds(self) -> list[tuple[int, float]]:
        """Sign and margin of each bound, in the unit of the contrasts."""
        given = [(sign, bound) for sign, bound in ((1, self.above), (-1, self.below)) if bound is not None]
        return [(sign, math.log(bound) if self.measure.startswith("log_") else bound) for sign, bound in given]


@cache
def all_claims() -> tuple[Claim, ...]:
    rows = yaml.safe_load(Path(__file__).with_name("claims.yaml").read_text())
    return tuple(Claim(**{k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}) for row in rows)


def claims_of(chapter: int, arms: list[str] | None = None) -> list[Claim]:
    """The claims that one chapter judges, which are one Holm family; `arms` keeps those about arms that ran."""
    return [claim for claim in all_claims() if claim.chapter == chapter and (arms is None or claim.arm in arms)]


def contrasts_for(claims: list[Claim], scores: pd.DataFrame, levels: pd.DataFrame) -> pd.DataFrame:
    """Every contrast between arms that the claims need. scores: all arms, where "base" is set B (set A tags only).

    What other measures need comes from elsewhere, in the same columns: synergy.against_better and merge_contrasts,
    divergence.kl_contrasts, curves.log_contrasts, length.gain_with_length.
    """
    needing = [claim for claim in claims if claim.measure in OF_SCORES and not claim.first]
    needed: dict[tuple[str, str, str], bool] = {}
    for claim in needing:
        for key in ((claim.arm, other, claim.measure) for other in claim.against):
            needed[key] = needed.get(key, False) or RISE in claim.levels
    if any(claim.measure == "words" for claim in needing):
        scores = scores.assign(words=style.reflection_words(scores["text"]))
    of = dict(list(scores.groupby("arm")))
    tables = [
        contrast(of[arm], of[other], levels, other, measure, needed[arm, other, measure])
        for arm, other, measure in needed
    ]
    return pd.concat(tables, ignore_index=True)


def judge(claims: list[Claim], contrasts: pd.DataFrame) -> pd.DataFrame:
    """A row a claim and part of the benchmarks: trained, held out and all, each a Holm family of its own.

    Columns: id, claim, benchmarks, its weakest part (against ... margin), p, p_holm, verdict, source. estimate, low,
    high and margin are in the unit of the contrasts. Where these know no parts, all benchmarks are the only one.
    """
    panels = [panel for panel in (*PARTS, ALL) if panel in set(contrasts["benchmark"])]
    tables = [_family(claims, contrasts, panel) for panel in panels]
    return pd.concat([table for table in tables if len(table)], ignore_index=True)


def _family(claims: list[Claim], contrasts: pd.DataFrame, panel: str) -> pd.DataFrame:
    known = [(claim, _known(claim, contrasts, panel)) for claim in claims]
    rows = [_test(claim, parts) | {"benchmarks": panel} for claim, parts in known if len(parts)]
    tested = [row for row in rows if row["source"] != RULE]
    for row, p in zip(tested, holm([row["p"] for row in tested]), strict=True):
        row |= {"p_holm": p, "leans": row["leans"] if p < 0.05 else "undecided"}
    return pd.DataFrame(rows).rename(columns={"leans": "verdict"})


def _known(claim: Claim, contrasts: pd.DataFrame, panel: str) -> pd.DataFrame:
    """All contrasts of the claim's arm and references in a panel, at any level; over benchmarks: those of each."""
    mine = contrasts[
        (contrasts["arm"] == claim.arm)
        & contrasts["against"].isin(claim.against)
        & (contrasts["measure"] == claim.measure)
    ]
    if mine.empty:
        raise StudyError(f"The claim '{claim.id}' needs {claim.arm} against {claim.against}; contrast them first.")
    if claim.benchmarks:
        return mine[~mine["benchmark"].isin((*PARTS, ALL))] if panel == ALL else mine.iloc[:0]
    return mine[mine["benchmark"] == panel]


def _test(claim: Claim, known: pd.DataFrame) -> dict:
    """The claim's weakest part, its p before the correction for the family, and the side that it leans to."""
    parts = _parts(claim, known, claim.levels)
    weakest, p, leans = _sides(claim, parts, claim.benchmarks == "any")
    if claim.first:
        gate, p_gate, gate_leans = _sides(claim, _parts(claim, known, (claim.first,)), False)
        if gate_leans == "fails":
            weakest, p, leans = gate, p_gate, gate_leans
        elif p_gate > p:
            if leans == gate_leans or p_gate >= 0.05:  # else a part that is shown to fail decides
                weakest = gate
            p = p_gate
    shown = ("against", "level", "estimate", "low", "high", "measure", "margin", "source")
    return {"id": claim.id, "claim": claim.text, **{name: weakest[name] for name in shown}, "p": p, "leans": leans}


def _sides(claim: Claim, parts: pd.DataFrame, any_of: bool) -> tuple[pd.Series, float, str]:
    """The part that decides, the two-sided p, and "holds" or "fails", whichever is nearer."""
    if (parts["source"] == RULE).all():
        part = parts.loc[parts["distance"].idxmin()]
        return part, float("nan"), "holds" if part["distance"] > 0 else "fails"
    testable = parts["se"] > 0
    t = parts["distance"] / parts["se"]
    p_for = pd.Series(stats.t.sf(t, parts["df"]), parts.index).where(testable, 1.0)
    p_against = pd.Series(stats.t.cdf(t, parts["df"]), parts.index).where(testable, 1.0)
    if any_of:
        joint_for, joint_against, place = min(1.0, p_for.min() * len(parts)), p_against.max(), p_for.idxmin()
    else:
        joint_for, joint_against, place = p_for.max(), min(1.0, p_against.min() * len(parts)), p_for.idxmax()
    return (
        parts.loc[place],
        min(1.0, 2 * min(joint_for, joint_against)),
        "holds" if joint_for < joint_against else "fails",
    )


def _parts(claim: Claim, known: pd.DataFrame, levels: tuple[str, ...]) -> pd.DataFrame:
    """A row a part and bound, with its margin and its signed distance from it (beyond it: above 0)."""
    rows = known[known["level"].isin(levels)]
    if not claim.benchmarks and len(rows) < len(claim.against) * len(levels):
        # A level without questions can be tested by nothing, so it decides nothing.
        unknown = dict.fromkeys(("estimate", "se", "df", "low", "high"), float("nan"))
        rows = pd.DataFrame([{**known.iloc[0].to_dict(), **unknown, "level": "a level without questions"}])
    if claim.benchmarks:
        rows = rows.assign(level=rows["benchmark"])
    bounded = [rows.assign(margin=m + 0.0, distance=sign * (rows["estimate"] - m)) for sign, m in claim.bounds]
    return pd.concat(bounded, ignore_index=True)
