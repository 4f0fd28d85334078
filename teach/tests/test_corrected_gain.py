import numpy as np
import pytest


def test_a_model_that_was_not_trained_gains_nothing_at_any_level(exercise):
    luck = np.random.default_rng(0)
    truth = luck.uniform(size=200_000)
    a, b, same = (luck.binomial(16, truth) / 16 for _ in range(3))
    for low, high in ((0.0, 2 / 16), (5 / 16, 8 / 16), (12 / 16, 1.01)):
        assert abs(exercise.corrected_gain(a, b, same, low, high)) < 0.5


def test_a_true_gain_is_found_whole(exercise):
    luck = np.random.default_rng(1)
    truth = luck.uniform(size=200_000)
    a, b = (luck.binomial(16, truth) / 16 for _ in range(2))
    better = luck.binomial(16, truth + 0.1 * (1 - truth)) / 16
    hard = (a >= 0) & (a < 2 / 16)
    assert exercise.corrected_gain(a, b, better, 0, 2 / 16) == pytest.approx(10 * (1 - truth[hard]).mean(), abs=0.5)
