import numpy as np
import pytest


def test_the_weakest_part_decides(exercise):
    luck = np.random.default_rng(0)
    good, bad = luck.normal(20, 10, 50), luck.normal(-10, 10, 50)
    assert exercise.at_least_as_good([good, good], 2.0) < 1e-6
    assert exercise.at_least_as_good([good, bad], 2.0) > 0.99


def test_five_questions_by_hand(exercise):
    part = np.array([0, 25, 0, 25, -25])
    assert exercise.at_least_as_good([part], 2.0) == pytest.approx(0.2479, abs=1e-3)
