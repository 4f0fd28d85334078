"""How much SFT is in a combination: counted up to the checkpoint that is tested."""

import numpy as np
import pandas as pd
import pytest

from studylib.analysis import doses

SFT = pd.DataFrame(
    {"step": [1, 3, 5, 7], "epoch": [0.5, 1.0, 1.5, 2.0], "loss": [2.0, 1.0, 0.5, 0.25], "tokens": [100, 200, 300, 400]}
)
RL = pd.DataFrame({"step": [1, 2, 3], "loss": 0.0, "tokens": [50, 100, 150]})
INTERLEAVED = RL.assign(
    demonstrations=[3, 1, 9],
    demonstration_tokens=[30, 10, 90],
    sft_loss=[2.0, 1.0, 0.1],
    sft_gradient=[4.0, np.nan, 1.0],
    rl_gradient=[2.0, np.nan, 1.0],
)
MIXED = SFT.assign(
    demonstrations=[0, 1, 0, 1], demonstration_tokens=[0, 20, 0, 20], demonstration_loss=[np.nan, 3, np.nan, 1]
)


def rows() -> pd.DataFrame:
    logs = {"sft_eureka": SFT, "two_stage": RL, "interleaved": INTERLEAVED, "data_mixing": MIXED}
    chosen = {"sft_eureka": "epoch-1", "two_stage": "step-2", "interleaved": "step-2", "data_mixing": "epoch-2"}
    return doses.of_combinations(logs, chosen | {"merging": "linear-0.5"}, traces=8).set_index("arm")


def test_only_what_comes_before_the_chosen_checkpoint_counts():
    table = rows()
    assert table.loc["interleaved", ["demonstrations", "demonstration_tokens", "share"]].tolist() == [4, 40, 40]
    assert table.loc["interleaved", ["sft_loss", "gradient_ratio"]].tolist() == [1.0, 2.0]
    assert table.loc["data_mixing", ["demonstrations", "demonstration_tokens", "share"]].tolist() == [4, 80, 20]
    assert table.loc["data_mixing", "sft_loss"] == 1.0 and np.isnan(table.loc["data_mixing", "gradient_ratio"])


def test_all_that_sft_reads_are_demonstrations_and_its_children_have_its_dose():
    table = rows()
    assert table.loc["sft_eureka", ["demonstrations", "demonstration_tokens", "share", "sft_loss"]].tolist() == [
        8,
        200,
        100,
        1,
    ]
    assert table.loc["two_stage", "share"] == pytest.approx(100 * 200 / 300)
    assert table.loc["merging", "demonstrations"] == 8 and np.isnan(table.loc["merging", "share"])
