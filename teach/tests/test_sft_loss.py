import numpy as np
import pytest

LOG_PROBS = np.array([[-0.5, -1.0, -2.0, -0.3], [-9.0, -9.0, -0.4, -9.0]])
MASK = np.array([[0.0, 1.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.0]])


def test_every_token_counts_the_same(exercise):
    assert exercise.per_token(LOG_PROBS, MASK) == pytest.approx((1.0 + 2.0 + 0.3 + 0.4) / 4)


def test_every_trace_counts_the_same(exercise):
    assert exercise.per_trace(LOG_PROBS, MASK) == pytest.approx(((1.0 + 2.0 + 0.3) / 3 + 0.4) / 2)


def test_they_agree_where_traces_are_equally_long(exercise):
    even = np.ones_like(MASK)
    assert exercise.per_token(LOG_PROBS, even) == pytest.approx(exercise.per_trace(LOG_PROBS, even))
