import pytest


def test_it_falls_from_the_whole_trace_to_nothing(exercise):
    shares = [exercise.prefix_share(step, 100, 0.6) for step in range(100)]
    assert shares[0] == 1 and shares[60:] == [0] * 40
    assert all(a > b for a, b in zip(shares[:60], shares[1:61], strict=True))


def test_half_way_a_half_is_given(exercise):
    assert exercise.prefix_share(30, 100, 0.6) == pytest.approx(0.5)
    assert exercise.prefix_share(15, 100, 0.6) == pytest.approx(0.8536, abs=1e-4)
