"""What an arm cost is counted from manifests: with all that it needs, by the stated formula."""

import numpy as np
import pandas as pd
import pytest
from synthetic import BENCHMARKS

from studylib.analysis import compute

N = 10  # parameters
RL = {"beta": 0.005, "mini_batches": 2, "prompts_per_step": 2, "rollouts": 4}


def manifest(name: str, kind: str, facts: dict, seconds: float = 1.0, **params) -> dict:
    return {"name": name, "kind": kind, "params": params, "facts": facts, "seconds": seconds}


QUESTIONS = manifest("questions.train", "questions", {})
DATA = manifest("eureka.responses", "sample", {"tokens": 700})
TRAINED = manifest("rl", "grpo", {"trained_tokens": 1000, "generated_tokens": 480,
                                  "checkpoints": ["step-1", "step-2", "step-3"]}, 60.0, rl=RL)  # fmt: skip
CHOSEN = manifest("rl.select", "select", {"tokens": 90}, 5.0)
HISTORY = [QUESTIONS, DATA, TRAINED, CHOSEN]
LOG = pd.DataFrame({"step": [1, 2, 3], "tokens": [400, 700, 1000], "length": [30.0, 20.0, 10.0]})


def test_an_arm_pays_for_itself_and_for_all_that_it_needs():
    mixing = manifest("data_mixing", "sft", {"trained_tokens": 50, "checkpoints": ["epoch-1"]}, sft={})
    costs = compute.arm_costs({"rl": HISTORY, "data_mixing": [*HISTORY, mixing]}, N).set_index("arm")
    # Two passes score: beta > 0, and two mini-batches of one generation.
    own = N * (6 * 1000 + 2 * 2 * 1000 + 2 * (480 + 90))
    assert costs.loc["rl", "own_flops"] == own and costs.loc["rl", "flops"] == own + N * 2 * 700
    assert costs.loc["data_mixing", "flops"] == costs.loc["rl", "flops"] + N * 6 * 50
    assert costs.loc["data_mixing", "own_flops"] == N * 6 * 50
    assert costs.loc["rl", compute.TOKENS].tolist() == [1000, 2000, 1270] and costs.loc["rl", "seconds"] == 67


@pytest.mark.parametrize(("change", "passes"), [({"beta": 0}, 1), ({"mini_batches": 1}, 1),
                                                ({"beta": 0, "mini_batches": 1}, 0)])  # fmt: skip
def test_rl_scores_only_what_its_objective_needs(change, passes):
    stage = {**TRAINED, "params": {"rl": RL | change}}
    assert compute.stage_costs([stage], N)["scored_tokens"].iloc[0] == passes * 1000


def test_the_last_checkpoint_costs_what_the_arm_costs_and_earlier_ones_less():
    curve = compute.checkpoint_costs("rl", HISTORY, N, LOG)
    assert curve["flops"].iloc[-1] == pytest.approx(compute.arm_costs({"rl": HISTORY}, N)["flops"].iloc[0])
    # Step 1: 400 tokens trained and scored twice, 30 x 8 generated; a third of the validation; the data whole.
    assert curve["flops"].iloc[0] == pytest.approx(N * (400 * 10 + 2 * 240 + 2 * 30 + 2 * 700))


def test_at_a_budget_the_best_that_was_there_counts():
    rows = [("base", "base", 0, 40), ("rl", "step-1", 10, 44), ("rl", "step-2", 20, 43), ("sft", "epoch-1", 30, 50)]
    curves = pd.DataFrame(rows, columns=["arm", "checkpoint", "flops", "estimate"])
    table = compute.at_budget(curves, {"small": 5, "rl": 20, "all": 30}).set_index(["budget", "arm"])["checkpoint"]
    assert table["small"].to_dict() == {"base": "base"}
    assert table["rl"].to_dict() == {"base": "base", "rl": "step-1"}
    assert table["all"].to_dict() == {"base": "base", "rl": "step-1", "sft": "epoch-1"}


def test_a_difference_at_matched_compute_is_that_of_the_two_checkpoints():
    ids = [f"{name}-{i}" for name in BENCHMARKS for i in range(4)]
    questions = pd.DataFrame({"id": ids, "problem": ids})
    rng, tables = np.random.default_rng(0), []
    for arm, checkpoint, share in (("rl", "step-1", 0.2), ("merging", "linear-0.5", 0.9)):
        told = np.where(rng.random(len(ids)) < share, "correct", "wrong")
        rows = {"arm": arm, "checkpoint": checkpoint, "seed": 1, "question_id": ids, "outcome": told}
        tables.append(pd.DataFrame(rows).assign(benchmark=[name.split("-")[0] for name in ids]))
    matched = pd.DataFrame(
        {"budget": ["merging", "merging"], "arm": ["rl", "merging"], "checkpoint": ["step-1", "linear-0.5"]}
    )
    found = compute.matched_differences(matched, pd.concat(tables), questions, ["sft_eureka", "rl"])
    right = [100 * (table["outcome"] == "correct").mean() for table in tables]
    assert found[["arm", "against", "checkpoint"]].values.tolist() == [["merging", "rl", "step-1"]]
    assert found["estimate"].iloc[0] == pytest.approx(right[1] - right[0])
