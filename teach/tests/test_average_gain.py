import pytest


def test_a_small_benchmark_weighs_as_much_as_a_large_one(exercise):
    arm = {"large": [1.0, 0.5, 0.5, 1.0], "small": [0.0]}
    base = {"large": [0.5, 0.5, 0.5, 0.5], "small": [0.5]}
    assert exercise.average_gain(arm, base) == pytest.approx((25 - 50) / 2)


def test_a_model_gains_nothing_on_itself(exercise):
    rates = {"A": [0.25, 1.0], "B": [0.5]}
    assert exercise.average_gain(rates, rates) == 0
