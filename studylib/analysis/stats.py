"""Intervals and tests. Every interval names, in the column `source`, what it lets vary."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
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


def wilson(successes: int, n: int) -> tuple[float, float]:
    """95 % Wilson score interval of a share, for cells too small for a t interval. Both ends in [0, 1]."""
    low, high = proportion_confint(successes, n, alpha=0.05, method="wilson")
    return float(low), float(high)


def refuse_missing_clusters(clusters: pd.Series) -> None:
    """StudyError where a row has no cluster id: left in, it would count as a problem of its own."""
    missing = clusters.isna() | (clusters.astype(str).str.strip() == "")
    if missing.any():
        raise StudyError(
            f"Row {missing.idxmax()} has no problem id, so versions of one problem would count as "
            "independent; fill the column `problem` of the questions."
        )


def crossed_mean(values: pd.DataFrame, alike: tuple[str, ...] = ("benchmark",)) -> Estimate:
    """Mean of `value` with its variance over two crossed factors, questions and training seeds.

    values: a row a question and seed, with columns value, benchmark, problem (cluster), question_id, seed. The groups
    of the first column of `alike` weigh the same, and those of the next within each of them.

    The problems' differences show V_q, those of the seeds V_s. The noise of single cells, V_e, is in both, so it is
    taken off once: V = V_q + V_s - V_e, with no component below 0. On a balanced table this is what a mixed model
    estimates (REML). The t interval has Satterthwaite's degrees of freedom, so few seeds widen it. With one seed V is
    V_q, the cluster-robust variance. Raises StudyError where a question lacks a seed or a problem id.
    """
    return _crossed_mean(values["value"].to_numpy(float), values["seed"].to_numpy(), _factors(values, alike))


def _factors(values: pd.DataFrame, alike: tuple[str, ...]) -> np.ndarray:
    """Numbers for the outer group, the group, the problem and the question of each row, (4, rows).

    Apart from crossed_mean, since pandas takes longer over them than all the arithmetic: a table of many cells has
    them once.
    """
    refuse_missing_clusters(values["problem"])
    keys = ([alike[0]], list(alike), ["benchmark", "problem"], ["question_id"])
    return np.stack([values.groupby(key, dropna=False).ngroup().to_numpy() for key in keys])


def _crossed_mean(value: np.ndarray, seed: np.ndarray, factors: np.ndarray) -> Estimate:
    """crossed_mean of rows with their _factors, which need not be numbered without gaps."""
    outer, group, problem, question = (np.unique(codes, return_inverse=True)[1] for codes in factors)
    seeds, seed = np.unique(seed, return_inverse=True)
    weights = _weights(outer, group)
    k, n = len(seeds), len(weights)
    counts = np.bincount(group * k + seed, minlength=n * k).reshape(n, k)
    if (counts != counts[:, :1]).any():
        raise StudyError(f"Some questions lack one of the seeds {list(seeds)}; evaluate every arm under each of them.")
    means = np.bincount(group * k + seed, value, minlength=n * k).reshape(n, k) / counts
    by_seed = weights @ means
    clusters = np.bincount(np.unique(np.stack([group, problem]), axis=1)[0], minlength=n)
    lift = np.sqrt(np.divide(clusters, clusters - 1, out=np.full(n, np.nan), where=clusters > 1))
    share = (weights * lift / counts[:, 0])[group] * (value - means[group, seed])
    problems = problem.max() + 1
    cells = np.bincount(problem * k + seed, share, minlength=problems * k).reshape(problems, k)
    v_q, free = float((cells.mean(1) ** 2).sum()), max(int(problems - n), 0)
    v_s = float(by_seed.var(ddof=1)) / k if k > 1 else 0.0
    v_e = float(((cells - cells.mean(1, keepdims=True)) ** 2).sum()) / (k * (k - 1)) if k > 1 else 0.0
    variance = max(v_q - v_e, 0) + max(v_s - v_e, 0) + v_e if v_q == v_q else v_q
    df = _satterthwaite(variance, (v_q, free), (v_s, k - 1), (v_e, free * (k - 1)))
    mean, se = float(by_seed.mean()), float(np.sqrt(variance))
    half = float(stats.t.ppf(0.975, df)) * se if df > 0 else float("nan")
    source = QUESTIONS_AND_SEEDS if k > 1 else QUESTIONS
    return Estimate(mean, se, df, mean - half, mean + half, int(question.max() + 1), int(problems), k, source)


def _weights(outer: np.ndarray, group: np.ndarray) -> np.ndarray:
    """The weight of each group: outer groups weigh the same, and so do the groups within each; they add up to 1."""
    outer = outer[np.unique(group, return_index=True)[1]]
    within = np.bincount(outer)
    return 1 / (len(within) * within[outer])


def _satterthwaite(variance: float, *parts: tuple[float, float]) -> float:
    """Degrees of freedom of a sum of mean squares, each with its own; where nothing varies, the first's."""
    spread = sum(square**2 / df for square, df in parts if df > 0)
    return variance**2 / spread if spread > 0 and variance > 0 else float(parts[0][1])


def estimates_by(values: pd.DataFrame, by: list[str], alike: tuple[str, ...] = ("benchmark",)) -> pd.DataFrame:
    """crossed_mean of each group: the columns of `by`, then those of Estimate."""
    factors, value, seed = _factors(values, alike), values["value"].to_numpy(float), values["seed"].to_numpy()
    rows = []
    for key, at in values.groupby(by).indices.items():  # a tuple for several columns only
        names = dict(zip(by, key if len(by) > 1 else [key], strict=True))
        rows.append(names | vars(_crossed_mean(value[at], seed[at], factors[:, at])))
    return pd.DataFrame(rows)


def paired(arm: pd.DataFrame, reference: pd.DataFrame) -> pd.DataFrame:
    """The arm's rows with the reference's value for the same question beside them, as the column `reference`.

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
    joined = arm.merge(other, on=on, how="outer", indicator="side")
    lonely = joined[joined["side"] != "both"]
    if len(lonely):
        raise StudyError(
            f"{lonely['question_id'].iloc[0]} was answered by only one of {arm['arm'].iloc[0]} and "
            f"{reference['arm'].iloc[0]}; evaluate both on the same questions and seeds."
        )
    return joined.drop(columns="side")


def paired_differences(arm: pd.DataFrame, reference: pd.DataFrame) -> pd.DataFrame:
    """Arm minus reference, question by question, as rows for crossed_mean. Both as in `paired`."""
    rows = paired(arm, reference)
    return rows.assign(value=rows["value"] - rows["reference"])


def log_ratio(pairs: pd.DataFrame) -> pd.DataFrame:
    """Rows for crossed_mean whose mean is the log of a ratio of means, `value` over `reference`, benchmarks alike.

    To first order (delta method) the log of a / r moves by da / a - dr / r. pairs: rows of `paired`, both above 0.
    """
    value, reference = pairs.groupby("benchmark")[["value", "reference"]].mean().mean()
    moved = pairs["value"] / value - pairs["reference"] / reference
    return pairs.assign(value=np.log(value / reference) + moved)


def two_sided_p(estimate: float, se: float, df: float) -> float:
    """Two-sided p of `estimate == 0` by the t distribution; 1.0 where there is no standard error."""
    if not se > 0 or not df > 0:
        return 1.0
    return float(2 * stats.t.sf(abs(estimate) / se, df))


def holm(p_values: list[float]) -> list[float]:
    """p values corrected for the whole family by Holm's method, in the order given."""
    return [float(p) for p in multipletests(p_values, method="holm")[1]] if len(p_values) else []


def detectable_difference(
    questions: int, samples: int, reference_samples: int, change_sd: float, pass_rate: float = 0.5
) -> float:
    """Smallest mean change of a share that a paired two-sided 5 % test finds four times in five.

    A question's observed change varies by its true change (standard deviation `change_sd`, a share) and by
    sampling, at most p(1-p)/k for each side. Clustered questions count as the number of their problems.
    """
    sampling = pass_rate * (1 - pass_rate) * (1 / samples + 1 / reference_samples)
    effect = TTestPower().solve_power(nobs=questions, alpha=0.05, power=0.8, alternative="two-sided")
    return float(effect * np.sqrt(change_sd**2 + sampling))
