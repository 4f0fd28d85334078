"""A claim holds, fails or stays undecided by its test alone."""

import math

import pandas as pd
import pytest

from studylib.analysis.verdicts import CLAIMS, COMBINATIONS, Claim, claims_of, judge
from studylib.errors import StudyError


def contrasts(cells: dict[str, tuple[float, float]], against: str = "base", measure: str = "accuracy") -> pd.DataFrame:
    rows = [
        {
            "arm": "rl",
            "against": against,
            "measure": measure,
            "benchmark": "all",
            "level": level,
            "estimate": estimate,
            "se": se,
            "df": 500.0,
            "low": estimate - 2 * se,
            "high": estimate + 2 * se,
            "source": "questions, by problem",
        }
        for level, (estimate, se) in cells.items()
    ]
    return pd.DataFrame(rows)


def verdict(claim: Claim, table: pd.DataFrame) -> str:
    return judge([claim], table)["verdict"].iloc[0]


@pytest.mark.parametrize(("estimate", "expected"), [(5.0, "holds"), (-5.0, "fails"), (1.0, "undecided")])
def test_plain_claim(estimate: float, expected: str):
    assert verdict(Claim("x", 4, "RL beats the base.", "rl"), contrasts({"all": (estimate, 1.0)})) == expected


@pytest.mark.parametrize(("estimate", "expected"), [(0.5, "holds"), (-5.0, "fails"), (-1.5, "undecided")])
def test_non_inferiority_needs_the_interval_above_minus_two(estimate: float, expected: str):
    claim = Claim("x", 5, "RL keeps the easiest.", "rl", levels=("L1",), margin=-2.0)
    assert verdict(claim, contrasts({"L1": (estimate, 1.0)})) == expected


def test_every_level_needs_every_test_and_one_clear_failure_sinks_it():
    claim = Claim("x", 4, "RL improves every level.", "rl", levels=("L1", "L2"))
    assert verdict(claim, contrasts({"L1": (4, 1), "L2": (5, 1)})) == "holds"
    assert verdict(claim, contrasts({"L1": (1, 1), "L2": (50, 1)})) == "undecided"
    assert verdict(claim, contrasts({"L1": (-9, 1), "L2": (50, 1)})) == "fails"
    shown = judge([claim], contrasts({"L1": (1, 1), "L2": (50, 1)})).iloc[0]
    assert shown["level"] == "L1"  # the weakest part is the one that is shown


def test_a_level_without_questions_decides_nothing():
    for levels in (("L1",), ("L1", "L5")):
        shown = judge([Claim("x", 5, "RL keeps the easiest.", "rl", levels=levels)], contrasts({"L5": (50, 1)})).iloc[0]
        assert shown["verdict"] == "undecided" and shown["level"] == "a level without questions"


def test_claim_of_less_and_of_length():
    assert verdict(Claim("x", 4, "worse", "rl", sign=-1), contrasts({"all": (-5, 1)})) == "holds"
    longer = Claim("x", 5, "ten times", "rl", measure="log_length", margin=math.log(10))
    assert verdict(longer, contrasts({"all": (math.log(14), 0.02)}, measure="log_length")) == "holds"
    assert verdict(longer, contrasts({"all": (math.log(7), 0.02)}, measure="log_length")) == "fails"


def test_steepness_is_the_difference_between_levels():
    claim = Claim("x", 3, "grows", "rl", levels=("L1", "L5"), steeper=True)
    row = judge([claim], contrasts({"L1": (-4, 3), "L5": (8, 4)})).iloc[0]
    assert row["estimate"] == 12 and row["verdict"] == "holds" and row["level"] == "L5 - L1"


def test_holm_makes_a_family_stricter_than_a_single_claim():
    claim, table = Claim("x", 4, "RL beats the base.", "rl"), contrasts({"all": (2.2, 1.0)})
    assert verdict(claim, table) == "holds"
    assert set(judge([claim] * 4, table)["verdict"]) == {"undecided"}


def test_a_cell_without_a_standard_error_decides_nothing():
    assert verdict(Claim("x", 4, "RL beats the base.", "rl"), contrasts({"all": (50, float("nan"))})) == "undecided"


def test_a_level_without_questions_decides_nothing_and_a_missing_contrast_is_told():
    claim = Claim("x", 4, "every", "rl", levels=("L1", "L2"))
    assert verdict(claim, contrasts({"L1": (50, 1)})) == "undecided"
    with pytest.raises(StudyError, match="'x' needs rl against"):
        judge([claim], contrasts({"L1": (1, 1)}, against="sft_eureka"))


def test_every_combination_is_held_against_both_parents_at_every_level():
    claims = claims_of(11)
    assert {claim.arm for claim in claims} == set(COMBINATIONS)
    assert all(len(claim.levels) == 5 and set(claim.against) == {"sft_eureka", "rl"} for claim in claims)
    assert len({claim.id for claim in CLAIMS}) == len(CLAIMS)
