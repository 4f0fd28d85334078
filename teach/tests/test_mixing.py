ANSWERS = {
    "a": [("a0", True), ("a1", True)],
    "b": [("b0", False), ("b1", True)],
    "c": [("c0", False), ("c1", False)],
    "d": [("d0", False), ("d1", False)],
}


def test_right_answers_stay_and_traces_stand_in_where_there_are_none(exercise):
    mixed = exercise.mix(ANSWERS, {"a": ["long a"], "c": ["long c", "longer c"]})
    assert mixed == [("a", "a0"), ("a", "a1"), ("b", "b1"), ("c", "long c"), ("c", "longer c")]
