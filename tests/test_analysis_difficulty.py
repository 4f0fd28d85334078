"""Levels, gains and the control for regression to the mean."""

import numpy as np
import pandas as pd
import pytest

from studylib.analysis import difficulty
from studylib.errors import StudyError


def scores(rates: np.ndarray, arm: str, samples: int, seed: int = 0, benchmarks: int = 2) -> pd.DataFrame:
    """Sampled answers to questions with these pass rates; questions alternate between the benchmarks."""
    rng = np.random.default_rng(seed)
    draws = rng.random((len(rates), samples)) < rates[:, None]
    q, s = (index.ravel() for index in np.indices(draws.shape))
    return pd.DataFrame(
        {
            "benchmark": [("MiniVision", "MiniStar")[i % benchmarks] for i in q],
            "problem": [f"p{i}" for i in q],
            "question_id": [f"q{i}" for i in q],
            "arm": arm,
            "seed": 0,
            "sample": s,
            "correct": draws.ravel().astype(float),
            "tokens": 10,
            "finish_reason": "stop",
        }
    )


def test_level_of_every_count_is_the_papers():
    expected = ["L5"] * 2 + ["L4"] * 3 + ["L3"] * 3 + ["L2"] * 4 + ["L1"] * 5
    assert [difficulty.level_of(correct) for correct in range(17)] == expected
    assert difficulty.level_of(1, n=8) == "L4" and difficulty.level_of(0, n=8) == "L5"


def test_tag_levels_counts_each_question():
    table = scores(np.array([1.0, 0.0, 1.0, 0.0]), "base", 16)
    levels = difficulty.tag_levels(table)
    assert levels.sort_values("question_id")["level"].tolist() == ["L1", "L5", "L1", "L5"]
    assert set(levels["samples"]) == {16}
    assert difficulty.level_counts(levels).loc["MiniVision"].tolist() == [2, 0, 0, 0, 0, 2]


def test_an_arm_that_changes_nothing_gains_nothing_against_b_and_seems_to_against_a():
    truth = np.random.default_rng(0).beta(1.2, 1.2, size=1200)
    base_a, base_b = scores(truth, "base", 16, 1), scores(truth, "base", 16, 2)
    levels = difficulty.tag_levels(base_a)
    table = difficulty.gains(scores(truth, "rl", 4, 3), base_a, base_b, levels)
    cells = table[table["benchmark"] == "all"].set_index(["arm", "against", "level"]).sort_index()
    fair, biased, own = (cells.loc[key] for key in [("rl", "B"), ("rl", "A"), ("base", "A")])
    assert (fair["low"] < 0).all() and (fair["high"] > 0).all()
    assert biased.loc["L1", "high"] < 0 < biased.loc["L5", "low"]
    assert own.loc["L1", "high"] < 0 < own.loc["L5", "low"]


def test_gain_on_a_worked_example():
    base = scores(np.array([1.0, 0.0, 1.0, 0.0]), "base", 16)
    arm = scores(np.array([0.0, 1.0, 1.0, 1.0]), "rl", 4)
    table = difficulty.contrast(arm, base, difficulty.tag_levels(base), "base")
    cells = table.set_index(["benchmark", "level"])["estimate"]
    assert cells["MiniVision", "L1"] == -50 and cells["MiniStar", "L5"] == 100
    assert cells["all", "all"] == 25 and cells["MiniVision", "all"] == -50


def test_question_without_a_level_is_named():
    base = scores(np.array([1.0, 0.0]), "base", 16)
    levels = difficulty.tag_levels(base).query("question_id != 'q1'")
    with pytest.raises(StudyError, match="q1 has no difficulty level"):
        difficulty.contrast(base, base, levels, "base")


def test_length_contrast_is_the_log_of_the_ratio():
    base = scores(np.full(40, 0.5), "base", 16)
    table = difficulty.contrast(base.assign(tokens=120), base, difficulty.tag_levels(base), "base", "log_length")
    assert table["estimate"].to_numpy() == pytest.approx(np.log(12))
