import numpy as np


def test_a_question_that_fails_is_taught_if_it_has_a_trace(exercise):
    right = np.array([[0, 0], [1, 0], [0, 0], [1, 1]])
    sft, rl = exercise.losses(right, np.array([True, True, False, False]))
    assert sft.tolist() == [True, False, False, False]
    assert rl.tolist() == [False, True, True, True]


def test_it_is_what_the_trainer_does(exercise):
    from studylib.train.interleaved import losses

    right = np.random.default_rng(0).integers(0, 2, size=(40, 3))
    has_trace = np.random.default_rng(1).integers(0, 2, size=40).astype(bool)
    import torch

    theirs = losses(torch.tensor(right.ravel(), dtype=torch.float), 3, torch.tensor(has_trace))
    for mine, other in zip(exercise.losses(right, has_trace), theirs, strict=True):
        assert mine.tolist() == other.tolist()
