import pytest


def test_an_answer_that_is_cut_earns_nothing(exercise):
    assert exercise.budgeted([1.0, 0.1, 1.0], [30, 40, 41], budget=40) == [1.0, 0.1, 0.0]


def test_the_chance_that_a_group_is_cut_whole(exercise):
    assert exercise.all_cut(0.7, rollouts=8) == pytest.approx(0.0576, abs=1e-4)
    assert exercise.all_cut(0.0, rollouts=8) == 0 and exercise.all_cut(1.0, rollouts=8) == 1
