"""The sentences under a figure say which way its table points."""

import pandas as pd
import pytest

from studylib.figures import readings


def gains(easiest: tuple, hardest: tuple) -> pd.DataFrame:
    rows = [("rl", "B", "all", "all", 2.0, 1.0, 3.0), ("rl", "B", "trained", "all", 4.0, 3.0, 5.0)]
    rows += [("rl", "B", "all", "L1", *easiest), ("rl", "B", "all", "L5", *hardest)]
    rows += [("base", "A", "all", "L1", -1.5, -2.0, -1.0), ("base", "A", "all", "L5", 1.5, 1.0, 2.0)]
    return pd.DataFrame(rows, columns=["arm", "against", "benchmark", "level", "estimate", "low", "high"])


@pytest.mark.parametrize(
    ("easiest", "hardest", "end"),
    [
        ((-5, -6, -4), (5, 4, 6), "trades easy questions for hard"),
        ((5, 4, 6), (-5, -6, -4), "trades hard questions for easy"),
        ((0, -1, 1), (5, 4, 6), "not shown to lose"),
        ((-5, -6, -4), (0, -1, 1), "not shown to gain"),
        ((0, -1, 1), (0, -1, 1), "Neither end"),
    ],
)
def test_a_gain_is_called_a_trade_where_the_ends_move_apart(easiest, hardest, end):
    text = readings.gained(gains(easiest, hardest), "rl")
    assert end in text and "+2.0 [1.0, 3.0]" in text and "(untrained: -1.5)" in text


def passes(arm: list[float], base: list[float]) -> pd.DataFrame:
    rows = [("rl", 2**i, value) for i, value in enumerate(arm)] + [("base", 2**i, v) for i, v in enumerate(base)]
    return pd.DataFrame(rows, columns=["arm", "k", "estimate"]).assign(benchmark="all", level="all")


def test_an_arm_stands_beside_as_many_samples_of_the_base_as_reach_it():
    text = readings.sampled(passes([57, 63, 68], [50, 60, 69, 78, 86]), "rl")
    assert "as often as one of 2 of the base's (60.0 %)" in text and "has less within reach" in text
    text = readings.sampled(passes([90, 92, 95], [50, 60, 69, 78, 86]), "rl")
    assert "no number of the base's reaches" in text and "has more within reach" in text


def contrasts(easy_rl: tuple, hard_sft: tuple) -> pd.DataFrame:
    rows = [("sft_eureka", "all", 1.0, 0.0, 2.0), ("rl", "all", 1.0, 0.0, 2.0)]
    rows += [("rl", "L1", *easy_rl), ("sft_eureka", "L5", *hard_sft)]
    table = pd.DataFrame(rows, columns=["against", "level", "estimate", "low", "high"])
    return table.assign(arm="merging", benchmark="all", measure="accuracy")


@pytest.mark.parametrize(
    ("easy", "hard", "end"),
    [
        ((0, -1, 1), (0, -1, 1), "both ends are there"),
        ((0, -1, 1), (-9, -10, -8), "what SFT brings is lost."),
        ((-9, -10, -8), (0, -1, 1), "price is paid."),
        ((-9, -10, -8), (-9, -10, -8), "neither parent's better end"),
        ((-2, -4, 0), (0, -1, 1), "do not decide"),
        ((-2, -4, 0), (-9, -10, -8), "its end is open"),
    ],
)
def test_what_a_combination_keeps_is_said_by_its_intervals_and_the_margin(easy, hard, end):
    assert end in readings.kept(contrasts(easy, hard), "merging")


def test_a_level_without_questions_is_said():
    table = contrasts((0, -1, 1), (0, -1, 1))
    assert "no questions here" in readings.kept(table[table["level"] != "L1"], "merging")


def test_the_answer_names_each_combination_under_its_verdict_with_its_weakest_part():
    rows = [("rl", "holds", "L1"), ("merging", "fails", "L5"), ("two_stage", "undecided", "mean")]
    table = pd.DataFrame(rows, columns=["id", "verdict", "level"]).assign(estimate=-3.0, low=-5.0, high=-1.0)
    table = table.assign(id=table["id"] + "-synergy", against="better parent", benchmarks="trained")
    (line,) = readings.answer(table).splitlines()
    assert (
        "RL is shown to be as good" in line
        and "shown not to be: Model merging (-3.0 [-5.0, -1.0] points at L5)" in line
    )
    assert "points in the mean over levels)" in line
    assert "no combination is shown" in readings.answer(table[table["verdict"] != "holds"])
