"""The objective, worked by hand; tests/test_grpo.py holds TRL's trainer to it."""

import math

import pytest
import torch

from studylib.train.objective import advantages, clipped_gain, grpo_loss, k3


def logs(*probabilities: float) -> torch.Tensor:
    return torch.tensor(probabilities, dtype=torch.float64).log()


def test_five_answers_of_which_two_are_right():
    """Mean 2/5, deviation of the sample sqrt((2 * 0.6^2 + 3 * 0.4^2) / 4) = sqrt(0.3)."""
    found = advantages(torch.tensor([1.0, 0, 0, 1.0, 0], dtype=torch.float64), 5)
    assert found[0].item() == pytest.approx(0.6 / (math.sqrt(0.3) + 1e-4))
    assert found[1].item() == pytest.approx(-0.4 / (math.sqrt(0.3) + 1e-4))
    assert found.sum().item() == pytest.approx(0)


def test_groups_are_apart_and_equal_rewards_teach_nothing():
    found = advantages(torch.tensor([1.0, 0.0, 0.9, 0.9]), 2)
    assert found[2:].tolist() == [0, 0] and found[0] == -found[1] > 0


@pytest.mark.parametrize(
    ("ratio", "advantage", "gain"),
    [(1.5, 1.0, 1.2), (0.5, 1.0, 0.5), (0.5, -1.0, -0.8), (1.5, -1.0, -1.5), (1.1, 2.0, 2.2)],
)
def test_only_a_gain_is_clipped(ratio, advantage, gain):
    found = clipped_gain(logs(0.4 * ratio)[None], logs(0.4)[None], torch.tensor([advantage]), 0.2)
    assert found.item() == pytest.approx(gain)


def test_k3_averages_to_the_divergence_over_the_policys_own_tokens():
    new, ref = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.5, 0.3, 0.2])
    divergence = torch.distributions.kl_divergence(
        torch.distributions.Categorical(new), torch.distributions.Categorical(ref)
    )
    assert (new * k3(new.log(), ref.log())).sum().item() == pytest.approx(divergence.item())
    assert (k3(new.log(), ref.log()) > 0).all() and k3(new.log(), new.log()).abs().max() == 0


def test_each_answer_weighs_the_same_whatever_its_length():
    """Answer 1 of two tokens (ratio 1), answer 2 of one, its second masked: -(1 - 3) / 2 = 1."""
    new = torch.stack([logs(0.5, 0.5), logs(0.5, 0.9)])
    mask = torch.tensor([[1, 1], [1, 0]])
    loss = grpo_loss(new, new, new, torch.tensor([1.0, -3.0]), mask, epsilon=0.2, beta=0.5)
    assert loss.item() == pytest.approx(1.0)
