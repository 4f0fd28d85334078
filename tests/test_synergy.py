"""Combinations against their parents, models along the merge, and the figures that show both."""

import pandas as pd
import pytest
from synthetic import arm_scores

from studylib.analysis import difficulty, synergy
from studylib.analysis.checkpoints import checkpoint_scores
from studylib.analysis.printed import published_gains
from studylib.analysis.verdicts import claims_of, judge
from studylib.figures import dilemma as figures

PARENTS = ["sft_eureka", "rl"]
TRAINING = ["MiniVision", "MiniVerse", "MiniVista"]


@pytest.fixture(scope="module")
def scores() -> pd.DataFrame:
    pulls = {"sft_eureka": 0.35, "rl": 0.1, "merging": 0.2}
    return pd.concat([arm_scores(arm, 4, questions=30, pull=pull) for arm, pull in pulls.items()])


@pytest.fixture(scope="module")
def base() -> tuple[pd.DataFrame, pd.DataFrame]:
    return arm_scores("base", 16, 1, questions=30), arm_scores("base", 16, 2, questions=30)


@pytest.fixture(scope="module")
def levels(base) -> pd.DataFrame:
    return difficulty.with_parts(difficulty.tag_levels(base[0]), TRAINING)


@pytest.fixture(scope="module")
def contrasts(scores, levels) -> pd.DataFrame:
    return synergy.against_parents(scores, levels)


@pytest.fixture(scope="module")
def against_better(scores, levels) -> pd.DataFrame:
    validation = scores[scores["arm"].isin(PARENTS)]
    return synergy.against_better(scores, levels, synergy.better_parents(validation, levels), ["merging"])


def grid(outcomes: dict[float, list[int]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Merged models' validation responses, one sample a question, and the questions."""
    ids = [f"q{i}" for i in range(len(next(iter(outcomes.values()))))]
    tables = [
        pd.DataFrame({"arm": {0.0: "rl", 1.0: "sft"}.get(share, "merging"), "share": share, "question_id": ids,
                      "outcome": ["correct" if r else "wrong" for r in right], "tokens": 10 + 100 * share})
        for share, right in outcomes.items()
    ]  # fmt: skip
    merged = pd.concat(tables).assign(merge="linear", seed=1, benchmark="MiniVision")
    return merged.assign(checkpoint="linear-" + merged["share"].map("{:g}".format)), pd.DataFrame(
        {"id": ids, "problem": ids}
    )


def test_off_the_line_is_measured_from_the_parents_weighted_mean():
    merged, questions = grid({0.0: [1, 1, 0, 0], 0.25: [1, 1, 1, 0], 1.0: [0, 0, 1, 0]})
    off = synergy.off_the_line(merged, questions).iloc[0]
    # The line: 0.75 * 50 + 0.25 * 25 = 43.75; the model: 75.
    assert off["estimate"] == pytest.approx(31.25) and off["share"] == 0.25 and off["p_holm"] == off["p"]


def test_shares_hold_accuracy_and_length_with_the_parents_at_the_ends():
    merged, questions = grid({0.0: [1, 1, 0, 0], 0.5: [1, 1, 1, 0], 1.0: [0, 0, 1, 0]})
    table = synergy.share_scores(merged, questions).set_index(["measure", "share"])["estimate"]
    assert table["accuracy"].tolist() == [50, 75, 25] and table["tokens"].tolist() == [10, 60, 110]
    fig = figures.merge_shares(synergy.share_scores(merged, questions))
    drawn = {trace.name: list(trace.y) for trace in fig.data if trace.xaxis == "x" and trace.name}
    assert drawn == {"Linear": [75], "RL": [50], "SFT (Eureka-Distill)": [25]}


def test_merged_models_stand_against_the_line_the_plain_mean_and_each_other():
    linear, questions = grid({0.0: [1, 1, 0, 0], 0.25: [1, 1, 1, 0], 1.0: [0, 0, 1, 0]})
    ties, _ = grid({0.0: [1, 1, 0, 0], 0.25: [0, 0, 0, 0], 1.0: [0, 0, 1, 0]})
    table = synergy.merge_contrasts(pd.concat([linear, ties.assign(merge="ties")]), questions)
    told = table.set_index(["arm", "against", "level"])["estimate"].to_dict()
    assert told == pytest.approx(
        {
            ("linear", "the straight line", "0.25"): 31.25,
            ("linear", "ties-0.25", "0.25"): 75,
            ("ties", "the straight line", "0.25"): -43.75,
            ("ties", "linear", "0.25"): -75,
        }
    )


def test_of_merged_models_the_first_of_equals_is_chosen():
    merged, questions = grid({0.75: [1, 1, 0, 0], 0.25: [1, 1, 0, 0], 0.5: [1, 0, 0, 0]})
    scored = checkpoint_scores(merged, questions)
    assert scored.loc[scored["chosen"], "checkpoint"].tolist() == ["linear-0.75"]


def test_the_paper_itself_has_no_combination_as_good_as_the_better_parent_at_every_level():
    arms = ["two_stage", "interleaved", "progressive", "data_mixing", "merging"]
    table = synergy.published_contrasts(published_gains(), arms, PARENTS)
    assert len(table) == 5 * 2 * 5 and (table.groupby("arm")["estimate"].min() < -2).all()
    hard = table.query("arm == 'merging' and against == 'sft_eureka' and level == 'L5'")["estimate"].item()
    assert hard == pytest.approx((4.4 + 7.7 + 6.6 + 6.6 + 18.1) / 5 - (9.0 + 9.8 + 12.0 + 14.4 + 24.2) / 5)


def test_the_better_parent_is_the_one_of_validation_at_each_level_and_part(levels):
    parents = pd.concat([arm_scores(arm, 2, questions=30) for arm in PARENTS])
    at_l5 = set(levels.query("level == 'L5' and part == 'held out'")["question_id"])
    wins = (parents["arm"] == "sft_eureka") == parents["question_id"].isin(at_l5)
    better = synergy.better_parents(parents.assign(correct=wins.astype(float)), levels)
    choice = better.set_index(["panel", "level"])["parent"]
    assert choice["held out", "L5"] == "sft_eureka" and choice["MiniStar", "L5"] == "sft_eureka"
    assert choice["held out", "L4"] == choice["trained", "L5"] == choice["all", "all"] == "rl"


def test_against_the_better_parent_takes_another_reference_at_each_level(scores, levels):
    better = pd.DataFrame(
        [("all", level, "sft_eureka" if level == "L5" else "rl") for level in (*difficulty.LEVELS, "all")],
        columns=["panel", "level", "parent"],
    )
    whole = levels.drop(columns="part")
    panels = pd.concat([better.assign(panel=panel) for panel in {*levels["benchmark"], "all"}])
    told = synergy.against_better(scores, whole, panels, ["merging"])
    # Where validation has no question of a benchmark, as at the paper's scale, what it says over all of them counts.
    pd.testing.assert_frame_equal(synergy.against_better(scores, whole, better, ["merging"]), told)
    told = told.query("benchmark == 'all'").set_index("level")
    single = synergy.against_parents(scores, whole).query("benchmark == 'all'").set_index(["against", "level"])
    columns = ["estimate", "se", "df"]
    for level, parent in told["parent"].dropna().items():
        assert told.loc[level, columns].tolist() == pytest.approx(single.loc[(parent, level), columns].tolist())
    by_level = told.loc[list(difficulty.LEVELS)]
    assert told.loc["mean", "estimate"] == pytest.approx(by_level["estimate"].mean())
    assert told.loc["mean", "se"] == pytest.approx((by_level["se"] ** 2).sum() ** 0.5 / 5)  # no question is in two


def test_paired_tests_cover_each_level_and_parent_once_and_are_corrected_together(contrasts):
    tests = synergy.paired_tests(contrasts)
    assert len(tests) == 3 * 2 * 6 and not tests.duplicated(["arm", "against", "level", "benchmark"]).any()
    held_out = tests[tests["benchmark"] == "held out"]
    assert held_out["p_holm"].min() == pytest.approx(min(12 * held_out["p"].min(), 1))


def test_the_question_is_drawn_with_its_intervals_verdict_margin_and_the_papers_numbers(contrasts, against_better):
    claims = claims_of(11, ["merging"])
    theirs = synergy.published_contrasts(published_gains(), ["merging"], PARENTS)
    verdicts = judge(claims, against_better)
    assert verdicts["benchmarks"].tolist() == ["trained", "held out", "all"]
    fig = figures.against_parents(contrasts, verdicts, theirs)
    drawn = [trace for trace in fig.data if trace.name == "minus RL"]
    for panel, trace in zip(verdicts["benchmarks"], drawn, strict=True):
        mine = (contrasts["benchmark"] == panel) & (contrasts["level"] != "all") & (contrasts["against"] == "rl")
        ours = contrasts[mine]
        assert list(trace.y) == ours["estimate"].round(2).tolist()
        assert list(trace.error_y.array) == pytest.approx((ours["high"] - ours["estimate"]).tolist())
    assert [trace.xaxis for trace in fig.data if trace.name == "minus RL, paper (7B)"] == ["x3"]
    titles = [note.text for note in fig.layout.annotations]
    assert titles[0].startswith("<b>Model merging</b><br>trained<br>")
    assert titles[1] == f"<b></b><br>held out<br>{verdicts['verdict'].iloc[1]}"
    assert -2 in [shape.y0 for shape in fig.layout.shapes]


def test_figure_1_keeps_ours_on_the_left_and_the_papers_hollow_on_the_right(scores, base, levels):
    gains = difficulty.gains(scores, *base, levels)
    fig = figures.figure_1(gains, published_gains(), TRAINING)
    rl = [trace for trace in fig.data if trace.name == "RL"]
    assert [trace.xaxis for trace in rl[:2]] == ["x", "x2"] and list(rl[1].y) == [-2.4, 3.8, 2.3, 5.3, 3.6]
    fair = gains.query("arm == 'rl' and against == 'B' and benchmark == 'MiniVision' and level != 'all'")
    assert list(rl[0].y) == fair["estimate"].round(2).tolist() and rl[0].error_y.array is not None
    assert rl[11].y[0] == round((-2.4 - 1.0 + 1.3) / 3, 2)  # their three benchmarks that are like those trained on
    assert all(trace.marker.symbol.endswith("-open") for trace in fig.data if int(trace.xaxis[1:] or 1) % 2 == 0)


def test_compute_is_drawn_from_the_base_at_zero():
    rows = [
        ("base", "base", "base", 0.0, 40.0),
        ("rl", "step-1", "step", 1e12, 42.0),
        ("rl", "step-2", "step", 2e12, 44.0),
        ("merging", "linear-0.5", "linear", 3e12, 45.0),
    ]
    curves = pd.DataFrame(rows, columns=["arm", "checkpoint", "unit", "flops", "estimate"])
    curves = curves.assign(low=curves["estimate"] - 1, high=curves["estimate"] + 1)
    fig = figures.accuracy_against_compute(curves.drop_duplicates("arm", keep="last"), curves)
    along = {trace.name: trace for trace in fig.data if trace.xaxis == "x"}
    assert list(along["Base"].x) == [0] and list(along["RL"].y) == [42, 44]
    assert along["RL"].mode == "lines+markers" and along["Model merging"].mode == "markers"
    assert fig.layout.xaxis.range[0] < 0
