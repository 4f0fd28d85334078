"""The paper's claims as data, and the one test that says of each: holds, fails or undecided.

A claim is a difference between two arms that should lie beyond a margin. Each of its parts (a level, a
reference) is tested by its t interval (stats.crossed_mean). A claim about every part needs every part:
the p for it is the largest of the parts' one-sided ones (intersection-union test), the p against it the
smallest times their number (Bonferroni). Twice the smaller of the two is the claim's p, corrected by Holm
over the claims judged together. Holds or fails by the side where that is below 0.05, else undecided.
"""

import math
from dataclasses import dataclass

import pandas as pd
from scipy import stats

from studylib.analysis.difficulty import ALL, LEVELS, contrast
from studylib.analysis.stats import holm
from studylib.errors import StudyError

NON_INFERIORITY_MARGIN = 2.0  # points
COMBINATIONS = ("two_stage", "interleaved", "progressive", "data_mixing", "merging")


@dataclass(frozen=True)
class Claim:
    """`sign` * (arm - against) > margin, on each of the levels and against each of the references.

    The margin is in points for "accuracy", in nats for "log_length" (log 10 is ten times as long). With
    `steeper`, the statistic is the difference at the last level minus that at the first.
    """

    id: str
    chapter: int
    text: str
    arm: str
    against: tuple[str, ...] = ("base",)
    levels: tuple[str, ...] = (ALL,)
    measure: str = "accuracy"
    sign: int = 1
    margin: float = 0.0
    steeper: bool = False


CLAIMS = (
    Claim("sft-careful", 3, "SFT on a few careful text traces beats the base.", "sft_careful"),
    Claim("few-beat-many", 3, "Few text traces beat many multimodal ones.", "sft_careful", ("sft_eureka",)),
    Claim("length-alone", 3, "Rambling traces make the model worse than the base.", "sft_rambling", sign=-1),
    Claim(
        "rambling-long",
        3,
        "Yet they make it at least 8 times as long.",
        "sft_rambling",
        measure="log_length",
        margin=math.log(8),
    ),
    Claim(
        "gain-by-level",
        3,
        "The gain of SFT grows with difficulty.",
        "sft_eureka",
        levels=("L1", "L5"),
        steeper=True,
    ),
    Claim("rl-better", 4, "RL beats the base.", "rl"),
    Claim("rl-every-level", 4, "RL improves every level.", "rl", levels=LEVELS),
    Claim("kl-needed", 4, "RL without the KL term is worse.", "rl_beta0", ("rl",), sign=-1),
    Claim("easy-needed", 4, "RL without the easiest questions is worse.", "rl_no_easy", ("rl",), sign=-1),
    Claim("sft-easy", 5, "SFT loses on the easiest questions.", "sft_eureka", levels=("L1",), sign=-1),
    Claim("sft-hard", 5, "SFT gains on the hardest questions.", "sft_eureka", levels=("L5",)),
    Claim("rl-over-sft", 5, "RL beats SFT over all.", "rl", ("sft_eureka",)),
    Claim("sft-hardest", 5, "SFT beats RL on the hardest questions.", "sft_eureka", ("rl",), ("L5",)),
    Claim("rl-easy", 5, "RL keeps the easiest questions.", "rl", levels=("L1",), margin=-NON_INFERIORITY_MARGIN),
    Claim(
        "sft-long",
        5,
        "SFT answers are more than 10 times as long as the base's.",
        "sft_eureka",
        measure="log_length",
        margin=math.log(10),
    ),
    Claim(
        "two_stage-adds-little",
        6,
        "RL after SFT adds less than 2 points to SFT.",
        "two_stage",
        ("sft_eureka",),
        sign=-1,
        margin=-NON_INFERIORITY_MARGIN,
    ),
    Claim("two_stage-below-rl", 6, "RL after SFT is worse than RL alone.", "two_stage", ("rl",), sign=-1),
    Claim("two_stage-easy", 6, "Two-stage loses on the easiest questions.", "two_stage", levels=("L1",), sign=-1),
    Claim("two_stage-hard", 6, "Two-stage gains on the hardest questions.", "two_stage", levels=("L5",)),
    Claim("half-budget", 6, "Half the token budget ends worse.", "two_stage_half", ("two_stage",), sign=-1),
    Claim(
        "quarter-budget", 6, "A quarter of the token budget ends worse.", "two_stage_quarter", ("two_stage",), sign=-1
    ),
    Claim("interleaved-over-sft", 7, "Interleaved beats SFT over all.", "interleaved", ("sft_eureka",)),
    Claim("interleaved-below-rl", 7, "Interleaved is worse than RL over all.", "interleaved", ("rl",), sign=-1),
    Claim(
        "interleaved-easy",
        7,
        "Interleaved beats SFT on the easiest questions.",
        "interleaved",
        ("sft_eureka",),
        ("L1",),
    ),
    Claim(
        "interleaved-hard",
        7,
        "Interleaved is worse than SFT on the hardest questions.",
        "interleaved",
        ("sft_eureka",),
        ("L5",),
        sign=-1,
    ),
    Claim("progressive-over-sft", 8, "Progressive beats SFT over all.", "progressive", ("sft_eureka",)),
    Claim(
        "progressive-keeps-rl",
        8,
        "Progressive loses less than 2 points to RL.",
        "progressive",
        ("rl",),
        margin=-NON_INFERIORITY_MARGIN,
    ),
    Claim(
        "progressive-adds-little",
        8,
        "Progressive adds less than 2 points to RL.",
        "progressive",
        ("rl",),
        sign=-1,
        margin=-NON_INFERIORITY_MARGIN,
    ),
    Claim(
        "progressive-easy",
        8,
        "Progressive beats SFT on the easiest questions.",
        "progressive",
        ("sft_eureka",),
        ("L1",),
    ),
    Claim(
        "progressive-hard",
        8,
        "Progressive is worse than SFT on the hardest questions.",
        "progressive",
        ("sft_eureka",),
        ("L5",),
        sign=-1,
    ),
    *(
        claim
        for chapter, arm, name in ((9, "data_mixing", "Data mixing"), (10, "merging", "Model merging"))
        for claim in (
            Claim(f"{arm}-over-sft", chapter, f"{name} beats SFT over all.", arm, ("sft_eureka",)),
            Claim(f"{arm}-below-rl", chapter, f"{name} is worse than RL over all.", arm, ("rl",), sign=-1),
            Claim(
                f"{arm}-easy",
                chapter,
                f"{name} beats SFT on the easiest questions.",
                arm,
                ("sft_eureka",),
                ("L1",),
            ),
            Claim(
                f"{arm}-hard",
                chapter,
                f"{name} is worse than SFT on the hardest questions.",
                arm,
                ("sft_eureka",),
                ("L5",),
                sign=-1,
            ),
        )
    ),
    Claim(
        "data_mixing-longer",
        9,
        "Data mixing answers at more length than RL.",
        "data_mixing",
        ("rl",),
        measure="log_length",
    ),
    *(
        Claim(
            f"{arm}-synergy",
            11,
            f"{arm} is at least as good as the better parent at every level.",
            arm,
            ("sft_eureka", "rl"),
            LEVELS,
            margin=-NON_INFERIORITY_MARGIN,
        )
        for arm in COMBINATIONS
    ),
)


def claims_of(chapter: int) -> list[Claim]:
    """The claims that one chapter judges, which are one Holm family."""
    return [claim for claim in CLAIMS if claim.chapter == chapter]


def contrasts_for(claims: list[Claim], scores: pd.DataFrame, levels: pd.DataFrame) -> pd.DataFrame:
    """Every contrast that the claims need. scores: all arms, where "base" is set B (set A tags only)."""
    needed = dict.fromkeys((claim.arm, other, claim.measure) for claim in claims for other in claim.against)
    missing = {name for arm, other, _ in needed for name in (arm, other)} - set(scores["arm"])
    if missing:
        raise StudyError(f"The claims need the arm '{min(missing)}', which has no responses yet; evaluate it.")
    arms = dict(list(scores.groupby("arm")))
    return pd.concat([contrast(arms[arm], arms[other], levels, other, measure) for arm, other, measure in needed])


def judge(claims: list[Claim], contrasts: pd.DataFrame, alpha: float = 0.05) -> pd.DataFrame:
    """A row a claim: id, claim, its weakest part (against ... margin), p, p_holm, verdict, source.

    estimate, low, high and margin are in the unit of the claim's measure.
    """
    rows = [_test(claim, contrasts) for claim in claims]
    corrected = holm([row["p"] for row in rows])
    for row, p in zip(rows, corrected, strict=True):
        row["p_holm"] = p
        row["verdict"] = "undecided" if p >= alpha else "holds" if row.pop("leans_for") else "fails"
        row.pop("leans_for", None)
    return pd.DataFrame(rows)


def _test(claim: Claim, contrasts: pd.DataFrame) -> dict:
    """The claim's weakest part and its p before the correction for the family."""
    parts = _parts(claim, contrasts)
    distance = (claim.sign * parts["estimate"] - claim.margin) / parts["se"]
    testable = parts["se"] > 0
    p_for = pd.Series(stats.t.sf(distance, parts["df"]), parts.index).where(testable, 1.0)
    p_against = pd.Series(stats.t.cdf(distance, parts["df"]), parts.index).where(testable, 1.0)
    joint_for, joint_against = p_for.max(), min(1.0, p_against.min() * len(parts))
    weakest = parts.loc[p_for.idxmax()]
    shown = {name: weakest[name] for name in ("against", "level", "estimate", "low", "high")}
    return {
        "id": claim.id,
        "claim": claim.text,
        **shown,
        "measure": claim.measure,
        "margin": claim.sign * claim.margin + 0.0,  # no -0.0
        "p": min(1.0, 2 * min(joint_for, joint_against)),
        "leans_for": joint_for < joint_against,
        "source": weakest["source"],
    }


def _parts(claim: Claim, contrasts: pd.DataFrame) -> pd.DataFrame:
    known = contrasts[
        (contrasts["arm"] == claim.arm)
        & contrasts["against"].isin(claim.against)
        & (contrasts["benchmark"] == ALL)
        & (contrasts["measure"] == claim.measure)
    ]
    if known.empty:
        raise StudyError(f"The claim '{claim.id}' needs {claim.arm} against {claim.against}; contrast them first.")
    rows = known[known["level"].isin(claim.levels)].reset_index(drop=True)
    empty = len(claim.against) * len(claim.levels) - len(rows)
    if empty:  # a level without questions can be tested by nothing, so it decides nothing
        unknown = dict.fromkeys(("estimate", "se", "df", "low", "high"), float("nan"))
        return pd.DataFrame([{**known.iloc[0].to_dict(), **unknown, "level": "a level without questions"}])
    return _steepness(rows, claim) if claim.steeper else rows


def _steepness(rows: pd.DataFrame, claim: Claim) -> pd.DataFrame:
    """Last level minus first, as one part. The two share no question, so their variances add."""
    first, last = (rows[rows["level"] == level].iloc[0] for level in (claim.levels[0], claim.levels[-1]))
    estimate, se = last["estimate"] - first["estimate"], math.hypot(first["se"], last["se"])
    df = min(first["df"], last["df"])
    half = stats.t.ppf(0.975, df) * se
    span = {"estimate": estimate, "se": se, "df": df, "low": estimate - half, "high": estimate + half}
    return pd.DataFrame([{**last.to_dict(), **span, "level": f"{claim.levels[-1]} - {claim.levels[0]}"}])
