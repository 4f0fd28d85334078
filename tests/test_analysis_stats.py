"""Intervals and tests, against known answers and by simulation."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.regression.linear_model import OLS
from statsmodels.regression.mixed_linear_model import MixedLM

from studylib.analysis import stats
from studylib.errors import StudyError


def rates(values: np.ndarray, versions: int = 1, arm: str = "rl") -> pd.DataFrame:
    """A rates table from values (seeds, questions), in two benchmarks by turns."""
    rows = [
        {
            "arm": arm,
            "seed": seed,
            "benchmark": ("MiniVision", "MiniVerse")[question // versions % 2],
            "problem": f"p{question // versions}",
            "question_id": f"q{question}",
            "value": value,
            "samples": 4,
        }
        for seed, row in enumerate(values)
        for question, value in enumerate(row)
    ]
    return pd.DataFrame(rows)


def test_wilson_stays_inside_zero_and_one_and_matches_a_published_value():
    assert stats.wilson(0, 10)[0] == 0
    assert stats.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)  # Newcombe 1998, table I


def test_missing_problem_id_is_refused_and_not_counted_as_a_cluster():
    table = rates(np.zeros((1, 8)))
    table.loc[3, "problem"] = None
    with pytest.raises(StudyError, match="Row 3 has no problem id"):
        stats.crossed_mean(table)


def test_versions_of_one_problem_widen_the_interval():
    problem_values = np.random.default_rng(1).normal(size=60)
    independent = stats.crossed_mean(rates(np.random.default_rng(1).normal(size=(1, 240))))
    repeated = stats.crossed_mean(rates(np.repeat(problem_values, 4)[None], versions=4))
    assert repeated.problems == 60 and independent.problems == 240
    assert repeated.se > 1.6 * independent.se


def test_one_seed_has_the_cluster_robust_variance():
    table = rates(np.random.default_rng(2).normal(size=(1, 300)), versions=3).assign(benchmark="MiniVision")
    groups = pd.factorize(table["problem"])[0]
    fit = OLS(table["value"], np.ones(len(table))).fit(cov_type="cluster", cov_kwds={"groups": groups})
    assert stats.crossed_mean(table).se == pytest.approx(fit.bse.iloc[0], rel=1e-9)


def test_crossed_variance_is_the_mixed_models_on_a_balanced_table():
    rng = np.random.default_rng(8)
    values = rng.normal(size=(4, 1)) + 2 * rng.normal(size=(1, 40)) + 3 * rng.normal(size=(4, 40))
    table = rates(values).assign(benchmark="MiniVision", whole=1)
    factors = {"question": "0 + C(question_id)", "seed": "0 + C(seed)"}
    fit = MixedLM.from_formula("value ~ 1", table, groups="whole", vc_formula=factors).fit(reml=True)
    told = stats.crossed_mean(table)
    assert told.estimate == pytest.approx(fit.fe_params.iloc[0])
    assert told.se == pytest.approx(fit.bse_fe.iloc[0], rel=1e-3)


def test_degrees_of_freedom_are_satterthwaites_on_a_worked_example():
    # Two questions by two seeds, problem means 1 and 3, seed means 1.5 and 2.5, nothing left: V_q = 1, V_s = 0.25.
    told = stats.crossed_mean(rates(np.array([[0.5, 2.5], [1.5, 3.5]])).assign(benchmark="MiniVision"))
    assert (told.estimate, told.se**2) == pytest.approx((2, 1.25))
    assert told.df == pytest.approx(1.25**2 / (1**2 + 0.25**2))


def test_groups_weigh_alike_within_groups_that_weigh_alike():
    table = rates(np.arange(8.0)[None]).assign(level=["L1"] * 2 + ["L5"] * 6)
    by_hand = (np.mean([0, 1]) + np.mean([np.mean([2, 4, 6]), np.mean([3, 5, 7])])) / 2
    assert stats.crossed_mean(table, ("level", "benchmark")).estimate == pytest.approx(by_hand)


def test_a_question_that_lacks_a_seed_is_refused():
    with pytest.raises(StudyError, match="lack one of the seeds"):
        stats.crossed_mean(rates(np.zeros((2, 8))).iloc[1:])


def test_seeds_that_differ_widen_the_interval_and_are_named_as_its_source():
    noise = np.random.default_rng(3).normal(size=(1, 200))
    one = stats.crossed_mean(rates(noise))
    three = stats.crossed_mean(rates(noise + np.array([[-1.0], [0.0], [1.0]])))
    assert one.source == stats.QUESTIONS and three.source == stats.QUESTIONS_AND_SEEDS
    assert three.high - three.low > 10 * (one.high - one.low)
    assert three.df < 3  # three seeds are two degrees of freedom, however many questions


@pytest.mark.parametrize("seed_sd", [0.0, 0.3, 2.0])
def test_interval_covers_the_truth_as_often_as_it_says(seed_sd):
    rng, hits = np.random.default_rng(4), 0
    for _ in range(400):
        seeds, problems = seed_sd * rng.normal(size=(3, 1)), rng.normal(size=(1, 40)) * 2
        told = stats.crossed_mean(rates(seeds + problems + rng.normal(size=(3, 40))))
        hits += told.low < 0 < told.high
    assert 0.92 <= hits / 400 <= 0.985


def test_paired_difference_removes_what_the_arms_share():
    hard = np.random.default_rng(5).normal(size=(1, 100)) * 50
    change = np.random.default_rng(6).normal(loc=1, size=(3, 100))
    arm, base = rates(hard + change), rates(hard, arm="base")
    gain = stats.crossed_mean(stats.paired_differences(arm, base))
    assert gain.estimate == pytest.approx(change.mean(), abs=1e-9) and gain.se < 0.2


def test_unpaired_questions_are_refused():
    with pytest.raises(StudyError, match="answered by only one of rl and base"):
        stats.paired_differences(rates(np.zeros((1, 9))), rates(np.zeros((1, 8)), arm="base"))


def test_holm_on_a_worked_family():
    # 0.01 x 4; 0.02 x 3; 0.03 x 2 lifted to the one before it; 0.04 lifted likewise.
    assert stats.holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])


def test_detectable_difference_is_found_with_the_power_it_names():
    size = stats.detectable_difference(300, samples=4, reference_samples=16, change_sd=0.2)
    rng, found = np.random.default_rng(7), 0
    for _ in range(400):
        change = rng.normal(size, 0.2, 300)
        observed = change + rng.normal(0, np.sqrt(0.25 * (1 / 4 + 1 / 16)), 300)
        t = observed.mean() / (observed.std(ddof=1) / np.sqrt(300))
        found += abs(t) > 1.968
    assert 0.74 <= found / 400 <= 0.86


@pytest.mark.parametrize("by", [["arm"], ["arm", "level"]])
def test_a_table_of_cells_has_in_each_what_its_rows_alone_give(by):
    rng = np.random.default_rng(3)
    keys = [(a, f"L{q % 3}", f"b{q % 2}", f"p{q // 2}", f"q{q}", s) for a in "xy" for q in range(40) for s in (1, 2)]
    rows = pd.DataFrame(keys, columns=["arm", "level", "benchmark", "problem", "question_id", "seed"])
    rows = rows.assign(value=rng.normal(size=len(rows))).sample(frac=1, random_state=1)
    alone = [vars(stats.crossed_mean(group)) for _, group in rows.groupby(by)]
    pd.testing.assert_frame_equal(stats.estimates_by(rows, by).drop(columns=by), pd.DataFrame(alone))
