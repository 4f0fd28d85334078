def test_the_most_frequent_answer_wins(exercise):
    assert exercise.majority_vote(["7", "8", "8", "9"]) == "8"


def test_samples_without_an_answer_do_not_vote(exercise):
    assert exercise.majority_vote([None, None, None, "4"]) == "4"
    assert exercise.majority_vote([None, None]) is None or exercise.majority_vote(["1"]) != "1"


def test_the_first_of_equals(exercise):
    assert exercise.majority_vote(["3", "5", "5", "3"]) == "3"
