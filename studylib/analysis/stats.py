"""Intervals and tests. Every interval names, in the column `source`, what it lets vary."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.proportion import proportion_confint

from studylib.errors import StudyError

QUESTIONS = "questions, by problem"
QUESTIONS_AND_SEEDS = "questions, by problem, and training seeds"
SAMPLES = "samples alone (Wilson)"


@dataclass(frozen=True)
class Estimate:
    """A mean with its standard error, degrees of freedom and 95 % interval, in the unit of the values."""

    estimate: float
    se: float
    df: float
    low: float
    high: float
    questions: int
    problems: int
    seeds: int
    source: str


def wilson(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson score interval of a share, for cells too small for a bootstrap. Both ends in [0, 1]."""
    if not 0 <= successes <= n or n == 0:
        raise StudyError(f"A Wilson interval needs 0 <= successes <= n and n > 0; it got {successes} of {n}.")
    low, high = proportion_confint(successes, n, alpha=1 - confidence, method="wilson")
    return float(low), float(high)


def clustered_se(values: pd.Series, clusters: pd.Series) -> float:
    """Cluster-robust standard error of the mean of the values, in their unit."""
    refuse_missing_clusters(clusters)
    codes = pd.factorize(clusters)[0]
    fit = OLS(values.to_numpy(float), np.ones(len(values))).fit(cov_type="cluster", cov_kwds={"groups": codes})
    return float(fit.bse[0])


def refuse_missing_clusters(clusters: pd.Series) -> None:
    """StudyError where a row has no cluster id: left in, it would count as a problem of its own."""
    missing = clusters.isna() | (clusters.astype(str).str.strip() == "")
    if missing.any():
        raise StudyError(
            f"Row {missing.idxmax()} has no problem id, so versions of one problem would count as "
            "independent; fill the column `problem` of the questions."
        )


def bootstrap_mean(values: pd.DataFrame, draws: int = 1000, random_state: int = 0) -> Estimate:
    """Mean of `value` over benchmarks (each weighs the same), with a stratified cluster bootstrap.

    values: one row a question and seed, with columns value, benchmark (stratum), problem (cluster), seed.
    The same problems are asked under every seed, so a draw resamples problems once for all seeds, and the
    seeds themselves. Each resample holds n - 1 of n units: with three seeds the plain bootstrap would give
    only two thirds of the variance (Rao and Wu 1988). The interval is a t interval whose degrees of freedom
    follow Satterthwaite from the two parts, so few seeds widen it.
    """
    refuse_missing_clusters(values["problem"])
    seeds = np.sort(values["seed"].unique())
    strata = [stratum for _, stratum in values.groupby("benchmark", sort=True)]
    cells_of = [_cells(stratum, seeds) for stratum in strata]
    sizes = tuple(sums.shape[1] for sums, _ in cells_of)
    seed_weights, *problem_weights = _weights(random_state, (len(seeds), *sizes), draws)
    drawn, by_seed = np.zeros(draws), np.zeros(len(seeds))
    for (sums, counts), weights in zip(cells_of, problem_weights, strict=True):
        top, bottom = ((weights @ cells.T * seed_weights).sum(1) for cells in (sums, counts))
        drawn += np.divide(top, bottom, out=np.full(draws, np.nan), where=bottom > 0) / len(strata)
        by_seed += sums.sum(1) / counts.sum(1) / len(strata)
    mean = float(np.mean([stratum["value"].mean() for stratum in strata]))
    se = float("nan") if min(sizes) < 2 else float(np.nanstd(drawn, ddof=1))
    problems = sum(sizes)
    df = _satterthwaite(se, by_seed, problems)
    half = stats.t.ppf(0.975, df) * se if df > 0 else float("nan")
    source = QUESTIONS_AND_SEEDS if len(seeds) > 1 else QUESTIONS
    questions = values["question_id"].nunique()
    return Estimate(mean, se, df, mean - half, mean + half, questions, problems, len(seeds), source)


def _cells(stratum: pd.DataFrame, seeds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum and count of the values, each (seeds, problems)."""
    problem, names = pd.factorize(stratum["problem"])
    place, shape = np.searchsorted(seeds, stratum["seed"]) * len(names) + problem, (len(seeds), len(names))
    sums, counts = (
        np.bincount(place, weights, minlength=len(seeds) * len(names)).reshape(shape).astype(float)
        for weights in (stratum["value"].to_numpy(float), None)
    )
    if (counts.sum(axis=1) == 0).any():
        raise StudyError(f"{stratum['benchmark'].iloc[0]} lacks one of the seeds {seeds.tolist()}; evaluate it too.")
    return sums, counts


@lru_cache(maxsize=64)  # every arm is asked the same questions, so its cells have the sizes of the last one's
def _weights(random_state: int, units: tuple[int, ...], draws: int) -> list[np.ndarray]:
    """How often each seed, then each problem of each stratum is drawn: (draws, units) each. A lone seed is kept."""
    rng = np.random.default_rng(random_state)
    seeds, *strata = units
    of_seeds = _resample(rng, seeds, draws) if seeds > 1 else np.ones((draws, 1))
    return [of_seeds, *(_resample(rng, problems, draws) for problems in strata)]


def _resample(rng: np.random.Generator, units: int, draws: int) -> np.ndarray:
    """How often each unit is drawn, (draws, units): units - 1 draws with replacement."""
    drawn = rng.integers(units, size=(draws, max(units - 1, 1))) + units * np.arange(draws)[:, None]
    return np.bincount(drawn.ravel(), minlength=draws * units).reshape(draws, units).astype(float)


def _satterthwaite(se: float, by_seed: np.ndarray, problems: int) -> float:
    if problems < 2 or len(by_seed) < 2 or not se > 0:
        return float(max(problems - 1, 0))
    of_seeds = min(by_seed.var(ddof=1) / len(by_seed), se**2)
    of_problems = se**2 - of_seeds
    return float(se**4 / (of_problems**2 / (problems - 1) + of_seeds**2 / (len(by_seed) - 1)))


def estimates_by(values: pd.DataFrame, by: list[str], draws: int = 1000) -> pd.DataFrame:
    """bootstrap_mean of each group: the columns of `by`, then those of Estimate."""
    rows = [
        dict(zip(by, key, strict=True)) | vars(bootstrap_mean(group, draws))
        for key, group in values.groupby(by, sort=True)
    ]
    return pd.DataFrame(rows)


def paired_differences(arm: pd.DataFrame, reference: pd.DataFrame) -> pd.DataFrame:
    """Arm minus reference, question by question, as rows for bootstrap_mean.

    Both: tables of scores.question_rates. A reference with one seed stands beside every seed of the arm;
    one with several is paired seed by seed, on the seeds that both have. Questions that only one side
    answered raise StudyError.
    """
    on = ["benchmark", "problem", "question_id"]
    if reference["seed"].nunique() > 1:
        on.append("seed")
        shared = set(arm["seed"]) & set(reference["seed"])
        arm, reference = (table[table["seed"].isin(shared)] for table in (arm, reference))
    other = reference[[*on, "value"]].rename(columns={"value": "reference"})
    if arm.empty:
        raise StudyError("The two arms have no training seed in common; evaluate both on the same seeds.")
    joined = arm.merge(other, on=on, how="outer", indicator="found")
    lonely = joined[joined["found"] != "both"]
    if len(lonely):
        raise StudyError(
            f"{lonely['question_id'].iloc[0]} was answered by only one of {arm['arm'].iloc[0]} and "
            f"{reference['arm'].iloc[0]}; evaluate both on the same questions and seeds."
        )
    return joined.assign(value=joined["value"] - joined["reference"]).drop(columns=["reference", "found"])


def two_sided_p(estimate: float, se: float, df: float, null: float = 0.0) -> float:
    """Two-sided p of `estimate == null` by the t distribution; 1.0 where there is no standard error."""
    if not se > 0 or not df > 0:
        return 1.0
    return float(2 * stats.t.sf(abs(estimate - null) / se, df))


def holm(p_values: list[float]) -> list[float]:
    """p values corrected for the whole family by Holm's method, in the order given."""
    return [float(p) for p in multipletests(p_values, method="holm")[1]] if len(p_values) else []


def detectable_difference(
    questions: int,
    samples: int,
    reference_samples: int,
    change_sd: float,
    pass_rate: float = 0.5,
    power: float = 0.8,
) -> float:
    """Smallest mean change of a share that a paired two-sided 5 % test finds with this power.

    A question's observed change varies by its true change (standard deviation `change_sd`, a share) and by
    sampling, at most p(1-p)/k for each side. Clustered questions count as the number of their problems.
    """
    if questions < 2:
        raise StudyError(f"A difference on {questions} question cannot be tested; give at least two.")
    sampling = pass_rate * (1 - pass_rate) * (1 / samples + 1 / reference_samples)
    effect = TTestPower().solve_power(nobs=questions, alpha=0.05, power=power, alternative="two-sided")
    return float(effect * np.sqrt(change_sd**2 + sampling))
