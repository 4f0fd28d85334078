"""A claim holds, fails or stays undecided by its test alone."""

import math

import pandas as pd
import pytest

from studylib.analysis.curves import RULE
from studylib.analysis.verdicts import COMBINATIONS, Claim, all_claims, claims_of, judge
from studylib.errors import StudyError


def contrasts(
    cells: dict[str, tuple[float, float]], against: str = "base", measure: str = "accuracy", panel: str = "all"
) -> pd.DataFrame:
    rows = [
        {
            "arm": "rl",
            "against": against,
            "measure": measure,
            "benchmark": panel,
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
    assert verdict(Claim("x", 4, "RL beats the base.", "rl", above=0), contrasts({"all": (estimate, 1.0)})) == expected


@pytest.mark.parametrize(("estimate", "expected"), [(0.5, "holds"), (-5.0, "fails"), (-1.5, "undecided")])
def test_non_inferiority_needs_the_interval_above_minus_two(estimate: float, expected: str):
    claim = Claim("x", 5, "RL keeps the easiest.", "rl", levels=("L1",), above=-2)
    assert verdict(claim, contrasts({"L1": (estimate, 1.0)})) == expected


def test_every_level_needs_every_test_and_one_clear_failure_sinks_it():
    claim = Claim("x", 4, "RL improves every level.", "rl", levels=("L1", "L2"), above=0)
    assert verdict(claim, contrasts({"L1": (4, 1), "L2": (5, 1)})) == "holds"
    assert verdict(claim, contrasts({"L1": (1, 1), "L2": (50, 1)})) == "undecided"
    assert verdict(claim, contrasts({"L1": (-9, 1), "L2": (50, 1)})) == "fails"
    shown = judge([claim], contrasts({"L1": (1, 1), "L2": (50, 1)})).iloc[0]
    assert shown["level"] == "L1"  # the weakest part is the one that is shown


def test_a_level_without_questions_decides_nothing():
    for levels in (("L1",), ("L1", "L5")):
        shown = judge(
            [Claim("x", 5, "RL keeps the easiest.", "rl", levels=levels, above=0)], contrasts({"L5": (50, 1)})
        ).iloc[0]
        assert shown["verdict"] == "undecided" and shown["level"] == "a level without questions"


def test_claim_of_less_and_of_length():
    assert verdict(Claim("x", 4, "worse", "rl", below=0), contrasts({"all": (-5, 1)})) == "holds"
    longer = Claim("x", 5, "ten times", "rl", measure="log_length", above=10)
    assert verdict(longer, contrasts({"all": (math.log(14), 0.02)}, measure="log_length")) == "holds"
    assert verdict(longer, contrasts({"all": (math.log(7), 0.02)}, measure="log_length")) == "fails"


def test_within_two_points_needs_both_bounds():
    claim = Claim("x", 6, "as much", "rl", above=-2, below=2)
    assert verdict(claim, contrasts({"all": (0.1, 0.3)})) == "holds"
    assert verdict(claim, contrasts({"all": (0.1, 3)})) == "undecided"
    assert verdict(claim, contrasts({"all": (-9, 1)})) == "fails"


def test_every_benchmark_needs_each_and_any_needs_one():
    rows = pd.concat([contrasts({"all": (5, 1)}, panel="A"), contrasts({"all": (-5, 1)}, panel="B")])
    rows = pd.concat([rows, contrasts({"all": (0, 1)})])
    assert verdict(Claim("x", 4, "each", "rl", benchmarks="every", above=0), rows) == "fails"
    told = judge([Claim("x", 9, "one", "rl", benchmarks="any", above=0)], rows).iloc[0]
    assert told["verdict"] == "holds" and told["level"] == "A"


def test_parts_of_the_benchmarks_are_judged_apart():
    tables = [contrasts({"all": (value, 1)}, panel=panel) for panel, value in {"trained": 5, "held out": -5}.items()]
    told = judge([Claim("x", 4, "RL beats the base.", "rl", above=0)], pd.concat([*tables, contrasts({"all": (0, 1)})]))
    assert dict(zip(told["benchmarks"], told["verdict"], strict=True)) == {
        "trained": "holds",
        "held out": "fails",
        "all": "undecided",
    }


@pytest.mark.parametrize(
    ("mean", "worst", "expected", "level"),
    [
        (-9, -9, "fails", "mean"),
        (-2, -9, "undecided", "mean"),
        (4, -9, "fails", "L1"),
        (0, -9, "fails", "L1"),
        (4, 3, "holds", "L1"),
    ],
)
def test_levels_are_looked_at_only_where_the_mean_holds(mean, worst, expected, level):
    claim = Claim("x", 11, "as good", "rl", levels=("L1", "L2"), first="mean", above=-2)
    told = judge([claim], contrasts({"mean": (mean, 0.5), "L1": (worst, 1), "L2": (9, 1)})).iloc[0]
    assert told["verdict"] == expected and told["level"] == level


def test_what_one_run_shows_stands_as_it_is_and_burdens_no_other_claim():
    rule = contrasts({"all": (-0.1, float("nan"))}, "its start", "reward").assign(source=RULE)
    claims = [
        Claim("fall", 6, "ends below", "rl", ("its start",), measure="reward", below=0),
        Claim("x", 4, "RL beats the base.", "rl", above=0),
    ]
    told = judge(claims, pd.concat([rule, contrasts({"all": (2.2, 1)})])).set_index("id")
    assert told["verdict"].to_dict() == {"fall": "holds", "x": "holds"}
    assert pd.isna(told.loc["fall", "p"]) and told.loc["x", "p"] == told.loc["x", "p_holm"]


def test_holm_makes_a_family_stricter_than_a_single_claim():
    claim, table = Claim("x", 4, "RL beats the base.", "rl", above=0), contrasts({"all": (2.2, 1.0)})
    assert verdict(claim, table) == "holds"
    assert set(judge([claim] * 4, table)["verdict"]) == {"undecided"}


def test_a_cell_without_a_standard_error_decides_nothing():
    assert (
        verdict(Claim("x", 4, "RL beats the base.", "rl", above=0), contrasts({"all": (50, float("nan"))}))
        == "undecided"
    )


def test_a_level_without_questions_decides_nothing_and_a_missing_contrast_is_told():
    claim = Claim("x", 4, "every", "rl", levels=("L1", "L2"), above=0)
    assert verdict(claim, contrasts({"L1": (50, 1)})) == "undecided"
    with pytest.raises(StudyError, match="'x' needs rl against"):
        judge([claim], contrasts({"L1": (1, 1)}, against="sft_eureka"))


def test_every_claim_is_whole_and_every_combination_is_held_against_its_better_parent():
    claims = all_claims()
    assert len({claim.id for claim in claims}) == len(claims) and all(claim.bounds for claim in claims)
    synergy = claims_of(11)
    assert [claim.arm for claim in synergy] == list(COMBINATIONS)
    assert all(claim.first == "mean" and len(claim.levels) == 5 for claim in synergy)
    assert {claim.arm for claim in claims_of(4, ["rl"])} == {"rl"}
