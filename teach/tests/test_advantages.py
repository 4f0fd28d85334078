import numpy as np
import pytest


def test_three_right_of_eight(exercise):
    group = exercise.advantages(np.array([[1.0] * 3 + [0.1] * 5]))[0]
    assert group[0] == pytest.approx(1.2076, abs=1e-3) and group[-1] == pytest.approx(-0.7246, abs=1e-3)
    assert group.sum() == pytest.approx(0)


def test_a_group_of_equal_rewards_teaches_nothing(exercise):
    both = exercise.advantages(np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]]))
    assert both[0].tolist() == [0, 0, 0] and both[1, 0] > 1


def test_pass_at_k_is_the_chance_of_at_least_one(exercise):
    assert exercise.pass_at_k(16, 4, 1) == pytest.approx(0.25)
    assert exercise.pass_at_k(4, 1, 2) == pytest.approx(0.5)
    assert exercise.pass_at_k(16, 0, 8) == 0 and exercise.pass_at_k(16, 12, 8) == 1
