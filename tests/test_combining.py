"""What the logs of the combinations say, and their figures."""

import pandas as pd
import pytest
from synthetic import arm_scores

from studylib.analysis import curves, difficulty
from studylib.analysis.printed import published_arms
from studylib.analysis.synergy import PARENTS, against_parents
from studylib.analysis.verdicts import claims_of, contrasts_for, judge
from studylib.figures import combining as figures
from studylib.figures import palette


def log(arm: str, **columns: list[float]) -> pd.DataFrame:
    steps = range(1, len(next(iter(columns.values()))) + 1)
    return pd.DataFrame({"arm": arm, "step": steps, **columns})


@pytest.fixture(scope="module")
def scores() -> pd.DataFrame:
    pulls = {"sft_eureka": 0.35, "rl": 0.1, "interleaved": 0.2, "progressive": 0.1}
    arms = [arm_scores(arm, 4, pull=pull) for arm, pull in pulls.items()]
    return pd.concat([arm_scores("base", 16, 2), *arms])


@pytest.fixture(scope="module")
def levels() -> pd.DataFrame:
    return difficulty.tag_levels(arm_scores("base", 16, 1))


def test_stretches_show_a_rise_and_the_collapse_after_it():
    rewards = [0.5] * 10 + [0.9] * 10 + [0.1] * 20
    found = curves.stretches(pd.concat([log("rl", reward=rewards), log("two_stage", reward=[0.5, 0.6])]))
    assert found.loc["rl", ["first", "highest", "highest_at", "last"]].tolist() == pytest.approx([0.5, 0.9, 14, 0.1])
    assert found.loc["two_stage", ["first", "last", "steps"]].tolist() == [0.5, 0.6, 2]


def test_every_question_has_one_loss_or_both():
    run = pd.concat(
        [
            log("interleaved", taught=[0.25, 0.0], reinforced=[0.75, 1.0]),
            log("interleaved_all", taught=[1.0, 1.0], reinforced=[0.75, 1.0]),
        ]
    )
    shares = curves.loss_shares(run).pivot(index=["arm", "step"], columns="loss", values="share")
    assert shares.loc[("interleaved", 1)].to_dict() == {"SFT alone": 0.25, "SFT and RL": 0.0, "RL alone": 0.75}
    assert shares.loc[("interleaved_all", 1)].to_dict() == {"SFT alone": 0.25, "SFT and RL": 0.75, "RL alone": 0.0}
    assert (shares.sum(axis=1) == 1).all()


def test_losses_are_drawn_as_areas_that_fill_the_panel():
    shares = curves.loss_shares(log("interleaved", taught=[0.25, 0.0], reinforced=[0.75, 1.0]))
    areas = {trace.name: list(trace.y) for trace in figures.losses_by_step(shares, window=1).data}
    assert areas == {"SFT alone": [25.0, 0.0], "SFT and RL": [0.0, 0.0], "RL alone": [75.0, 100.0]}


def test_the_schedule_is_drawn_beside_what_was_logged():
    run = log("progressive", prefix_share=[1.0, 0.5, 0.0], taught=[0.2, 0.1, 0.0], prefix_length=[40.0, 20.0, None])
    schedule = pd.DataFrame({"step": [1, 2, 3], "prefix_share": [1.0, 0.5, 0.0]})
    fig = figures.prefixes(schedule, run)
    assert list(fig.data[0].y) == list(fig.data[1].y) == [1.0, 0.5, 0.0] and len(fig.data) == 4
    assert fig.data[1].marker.color == palette.colour_of("progressive")


def test_a_combination_is_paired_with_either_parent_and_the_parents_with_none(scores, levels):
    table = against_parents(scores, levels)
    assert set(zip(table["arm"], table["against"], strict=True)) == {
        (arm, parent) for arm in ("interleaved", "progressive") for parent in PARENTS
    }
    whole = table.query("arm == 'interleaved' and against == 'rl' and benchmark == 'all' and level == 'all'")
    accuracy = difficulty.accuracy(scores).query("benchmark == 'all'").set_index("arm")["estimate"]
    assert whole["estimate"].item() == pytest.approx(accuracy["interleaved"] - accuracy["rl"])


def test_the_claims_of_each_chapter_find_their_contrasts(scores, levels):
    claims = [claim for chapter in (6, 7, 8) for claim in claims_of(chapter)]
    assert {claim.chapter for claim in claims} == {6, 7, 8}
    ready = [claim for claim in claims if claim.arm in set(scores["arm"])]
    assert set(judge(ready, contrasts_for(ready, scores, levels))["verdict"]) <= {"holds", "fails", "undecided"}


def test_the_papers_row_of_an_arm_has_its_accuracy_and_its_mean_gains():
    told = published_arms("rl", "two_stage")
    assert told.index.tolist() == ["RL", "Two-stage"]
    assert told.loc["Two-stage", "accuracy, %"] == 51.4
    assert told.loc["RL", "L1"] == pytest.approx((-2.4 - 1.0 + 1.3 - 3.7 - 4.5) / 5)
