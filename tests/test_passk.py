"""pass@k against every way of drawing k samples, and its figure."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from synthetic import arm_scores

from studylib.analysis.difficulty import tag_levels, with_parts
from studylib.analysis.passk import pass_at, pass_at_k
from studylib.figures.levels import pass_at_k as figure


def test_pass_at_k_is_the_share_of_all_draws_that_hold_a_right_one():
    for n in range(1, 7):
        for c in range(n + 1):
            for k in range(1, n + 1):
                draws = [max(draw) for draw in combinations([1] * c + [0] * (n - c), k)]
                assert pass_at(np.array([c]), np.array([n]), k)[0] == pytest.approx(np.mean(draws))
    assert np.isnan(pass_at(np.array([1]), np.array([4]), 8)[0])


def test_it_is_unbiased_for_fresh_samples():
    correct = np.random.default_rng(0).binomial(16, 0.2, 20_000)
    assert pass_at(correct, np.full(20_000, 16), 8).mean() == pytest.approx(1 - 0.8**8, abs=0.005)


def test_arms_have_as_many_k_as_samples_and_are_drawn_by_level():
    base, arm = arm_scores("base", 16, 2), arm_scores("rl", 4, pull=0.3)
    levels = with_parts(tag_levels(arm_scores("base", 16, 1)), ["MiniVision"])
    table = pass_at_k(pd.concat([base, arm]), levels)
    assert table.groupby("arm")["k"].max().to_dict() == {"base": 16, "rl": 4}
    rates = table.query("arm == 'base' and benchmark == 'held out' and level == 'L5'").set_index("k")["estimate"]
    assert rates.is_monotonic_increasing and rates[16] > 2 * rates[1]
    fig = figure(table, "held out")
    drawn = next(trace for trace in fig.data if trace.name == "Base" and trace.xaxis == "x5")
    assert list(drawn.x) == [1, 2, 4, 8, 16] and list(drawn.y) == rates.round(2).tolist()
