import pytest


def test_a_group_of_two_misses_a_way_of_one_half_in_a_quarter(exercise):
    assert exercise.groups_with(0.5, rollouts=2) == 0.75
    assert exercise.groups_with(0.01, rollouts=8) == pytest.approx(0.0773, abs=1e-4)
    assert exercise.groups_with(0.0, rollouts=8) == 0 and exercise.groups_with(1.0, rollouts=8) == 1


def test_the_share_for_half_of_the_groups(exercise):
    assert exercise.share_for(0.75, rollouts=2) == 0.5
    assert exercise.share_for(0.5, rollouts=8) == pytest.approx(0.0830, abs=1e-4)
    assert exercise.groups_with(exercise.share_for(0.3, rollouts=5), rollouts=5) == pytest.approx(0.3)
