import numpy as np
import pytest

SFT, RL = np.array([0.4, -0.3, 0.1, 0.0]), np.array([-0.1, -0.2, 0.3, 0.05])


def test_only_the_largest_stay(exercise):
    assert exercise.trim(SFT, 0.5).tolist() == [0.4, -0.3, 0, 0]
    assert exercise.trim(RL, 0.5).tolist() == [0, -0.2, 0.3, 0]


def test_a_weight_that_one_parent_has_left_moves_by_its_whole_move(exercise):
    merged = exercise.ties(SFT, RL, share=0.25, density=0.5)
    assert merged == pytest.approx([0.4, -0.225, 0.3, 0.0])


def test_the_sign_with_the_larger_weighted_sum_is_elected(exercise):
    assert exercise.ties(np.array([0.2]), np.array([-0.1]), share=0.25, density=1.0) == pytest.approx([-0.1])
