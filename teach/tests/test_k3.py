import numpy as np
import pytest

P, Q = np.array([0.7, 0.2, 0.1]), np.array([0.1, 0.6, 0.3])


def test_it_is_the_divergence_in_the_mean(exercise):
    tokens = np.random.default_rng(0).choice(3, size=400_000, p=P)
    exact = float((P * np.log(P / Q)).sum())
    assert exercise.k3(np.log(P)[tokens], np.log(Q)[tokens]) == pytest.approx(exact, rel=0.02)


def test_no_token_counts_less_than_nothing(exercise):
    for token in range(3):
        assert exercise.k3(np.log(P)[[token]], np.log(Q)[[token]]) > 0
    assert exercise.k3(np.log(P), np.log(P)) == 0
