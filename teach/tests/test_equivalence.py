def test_only_an_interval_within_the_margin_reproduces_a_number(exercise):
    assert exercise.reproduced(55.0, 1.0, printed=55.1, margin=2.0) == "holds"
    assert exercise.reproduced(55.0, 3.0, printed=55.1, margin=2.0) == "undecided"
    assert exercise.reproduced(51.0, 0.5, printed=55.1, margin=2.0) == "fails"
