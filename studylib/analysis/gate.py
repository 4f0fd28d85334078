"""The gate: can the paper's question be put to this base and these parents? Measured before any combination is.

Every function gives rows (`_row`): what was measured with its interval, between which bounds it should lie, and
whether it does. The estimate is held against the bounds, not its interval, except where a row says "Holm".
Thresholds: params, section `gate`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats as scipy_stats

from studylib.analysis import steps
from studylib.analysis.checkpoints import with_problems
from studylib.analysis.difficulty import ALL, LEVELS, POINTS, contrast
from studylib.analysis.length import times_as_long
from studylib.analysis.passk import pass_at
from studylib.analysis.scores import question_rates
from studylib.analysis.stats import Estimate, crossed_mean, holm, paired_differences, wilson
from studylib.params.schema import Gate
from studylib.world.checker import first_answer

COLUMNS = ["row", "precondition", "measured", "low", "high", "at_least", "at_most", "verdict"]
HOLDS, FAILS, NOT_MEASURED = "holds", "fails", "not measured"


@dataclass(frozen=True)
class Measured:
    """What the gate reads: scores (scores.join_scores) of the base and the parents, first seed; questions by split.

    `train`: the base at T 1, instructed, on training queries. `plain` and `prompts`: the base on validation, without a
    prompt and with each known one. `sft_validation`, `rl_validation`: every checkpoint's responses. `traces`: what SFT
    is trained on.
    """

    questions: Mapping[str, pd.DataFrame]
    levels: pd.DataFrame
    base: pd.DataFrame
    instructed: pd.DataFrame
    train: pd.DataFrame
    plain: pd.DataFrame
    prompts: Mapping[str, pd.DataFrame]
    sft: pd.DataFrame
    rl: pd.DataFrame
    sft_validation: pd.DataFrame
    rl_validation: pd.DataFrame
    traces: pd.DataFrame


def gate_table(measured: Measured, wanted: Gate) -> pd.DataFrame:
    """Every row of the gate: COLUMNS."""
    programs = steps.programs(pd.concat(measured.questions.values()))
    m = measured
    rows = [
        *strategies(steps.with_strategy(m.train, programs), wanted),
        *prompts(m.plain, m.prompts, wanted),
        *instructed(*(steps.with_strategy(first(table), programs) for table in (m.base, m.instructed)), wanted),
        *headroom(m.base, m.levels, m.train, wanted),
        *letters(pd.concat([first(m.base), m.instructed]), m.questions["test"], wanted),
        *steps_and_rates(m.base, programs, wanted),
        *skill([steps.with_strategy(table, programs) for table in (m.train, first(m.base), m.rl)], wanted),
        *skill_pays(m.sft, m.base, m.levels, m.questions["test"], programs, wanted),
        *sft_converged(m.sft, m.sft_validation, m.traces, m.questions, wanted),
        *rl_converged(m.rl_validation, m.questions["validation"], wanted),
        *as_in_the_paper(m.rl, m.base, m.levels, wanted),
        *dilemma(m.sft, m.rl, m.levels, wanted),
        *something_to_win(m.sft, m.rl, wanted),
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def posed(table: pd.DataFrame) -> str:
    """ "posed" where every row of a gate table holds, else "not posed" and the rows that do not."""
    left = [
        f"{verdict}: {', '.join(dict.fromkeys(table.loc[table['verdict'] == verdict, 'row']))}"
        for verdict in (FAILS, NOT_MEASURED)
        if (table["verdict"] == verdict).any()
    ]
    return f"not posed ({'; '.join(left)})" if left else "posed"


def first(scores: pd.DataFrame, samples: int = 4) -> pd.DataFrame:
    """As many samples of a question as an arm has: reading all sixteen says no more."""
    return scores[scores["sample"] < samples]


def _row(
    row: str,
    precondition: str,
    measured: Estimate | tuple[float, float, float] | float | None,
    at_least: float = -np.inf,
    at_most: float = np.inf,
    shown: bool = True,
) -> list[Any]:
    """One row. `shown`: what Holm's test said, where the estimate alone does not decide."""
    if isinstance(measured, Estimate):
        measured = (measured.estimate, measured.low, measured.high)
    value, low, high = measured if isinstance(measured, tuple) else (measured, np.nan, np.nan)
    if value is None or np.isnan(value):
        return [row, precondition, np.nan, np.nan, np.nan, at_least, at_most, NOT_MEASURED]
    inside = at_least <= value <= at_most and shown
    return [row, precondition, value, low, high, at_least, at_most, HOLDS if inside else FAILS]


def strategies(train: pd.DataFrame, wanted: Gate) -> list[list]:
    """G1: the largest advantage within a question of a strategy that is taken now and then, over the usual one."""
    text = "G1", "no better strategy in reach (points)"
    if train["strategy"].isna().all():
        return [_row(*text, None, at_most=wanted.strategy)]
    shares = train["strategy"].value_counts(normalize=True)
    usual, others = shares.index[0], shares.index[1:][shares.iloc[1:] >= wanted.strategy_share]
    rates = train.groupby(["question_id", "strategy"])["correct"].mean().unstack()
    gains = {}
    for strategy in others:
        both = (POINTS * (rates[strategy] - rates[usual])).dropna()
        values = train.drop_duplicates("question_id").set_index("question_id").loc[both.index].reset_index()
        if len(values) > 1:  # every question weighs alike: few hold both strategies
            gains[strategy] = crossed_mean(values.assign(value=both.to_numpy(), benchmark=ALL))
    if not gains:
        return [_row("G1", f"no better strategy in reach (points); only {usual}", 0.0, at_most=wanted.strategy)]
    best = max(gains, key=lambda strategy: gains[strategy].estimate)
    name = f"no better strategy in reach (points): {best} ({POINTS * shares[best]:.1f} %) over {usual}"
    return [_row("G1", name, gains[best], at_most=wanted.strategy)]


def prompts(plain: pd.DataFrame, prompted: Mapping[str, pd.DataFrame], wanted: Gate) -> list[list]:
    """G2: the best known prompt minus none, on validation."""
    gains = {prompt: _gain(scores, plain) for prompt, scores in prompted.items()}
    best = max(gains, key=lambda prompt: gains[prompt].estimate)
    return [_row("G2", f"no better prompt in reach (points): {best!r}", gains[best], at_most=wanted.prompt)]


def _gain(arm: pd.DataFrame, reference: pd.DataFrame) -> Estimate:
    rows = paired_differences(question_rates(arm), question_rates(reference))
    return crossed_mean(rows.assign(value=POINTS * rows["value"]))


def instructed(plain: pd.DataFrame, instructed_scores: pd.DataFrame, wanted: Gate) -> list[list]:
    """G3: the instruction changes neither accuracy (on any benchmark) nor the way of answering."""
    by = dict(list(instructed_scores.groupby("benchmark")))
    gains = {name: _gain(by[name], rows) for name, rows in plain.groupby("benchmark")}
    worst = max(gains, key=lambda name: abs(gains[name].estimate))
    name, bound = f"instructed minus plain (points): {worst}", wanted.instructed
    shares = [_share(table["strategy"] == steps.SHORT) for table in (plain, instructed_scores)]
    if plain["strategy"].isna().all():
        shares = [None]
    least = min(shares, key=lambda share: share[0] if share else 0)
    return [
        _row("G3", name, gains[worst], -bound, bound),
        _row("G3", "answers in short steps, the lesser of plain and instructed (%)", least, wanted.short_steps),
    ]


def _share(hits: pd.Series) -> tuple[float, float, float]:
    low, high = wilson(int(hits.sum()), len(hits))
    return POINTS * hits.mean(), POINTS * low, POINTS * high


def headroom(base: pd.DataFrame, levels: pd.DataFrame, train: pd.DataFrame, wanted: Gate) -> list[list]:
    """G4: what the base has in 16 samples and not in one; and groups of rollouts that a gradient comes from."""
    keys = ["seed", "benchmark", "problem", "question_id"]
    counts = base.groupby(keys)["correct"].agg(correct="sum", samples="size").reset_index()
    counts["level"] = counts["question_id"].map(levels.set_index("question_id")["level"])
    of = {k: POINTS * pass_at(counts["correct"].to_numpy(), counts["samples"].to_numpy(), k) for k in (1, 16)}
    at = {level: counts["level"] == level for level in LEVELS}
    hardest = crossed_mean(counts.assign(value=of[16])[at["L5"]]) if at["L5"].any() else None
    more = [crossed_mean(counts.assign(value=of[16] - of[1])[at[level]]) for level in LEVELS[1:4] if at[level].any()]
    least = min(more, key=lambda estimate: estimate.estimate) if more else None
    groups = train.groupby("question_id")["correct"].mean()
    low, high = wanted.pass_hardest
    return [
        _row("G4", "pass@16 at L5 (%)", hardest, low, high),
        _row("G4", "pass@16 minus pass@1, the least of L2 to L4 (points)", least, wanted.pass_more),
        _row("G4", "groups with some right and some wrong (%)", _share((groups > 0) & (groups < 1)), wanted.groups),
    ]


_LETTER = re.compile(r"\\boxed\{\(?([A-J])\)?\}|\(([A-J])\)|\b(?i:answer|it) is \(?([A-J])\b")


def letter_of_value(text: str, choices: list[str]) -> tuple[str, str] | None:
    """The letter that a response ends with, and that of the value it says before; None where it says no choice's value.

    "That gives 21. The answer is C." The value is the last number or choice that stands before the last letter.
    """
    letters = list(_LETTER.finditer(text))
    if not letters:
        return None
    options = "|".join(re.escape(choice) for choice in sorted(choices, key=len, reverse=True))
    values = re.findall(rf"(?<![\w.:])(?:{options}|-?\d+(?:[:.]\d+)?)(?![\w:])", text[: letters[-1].start()])
    if not values or values[-1] not in choices:
        return None
    return next(filter(None, letters[-1].groups())), "ABCDEFGHIJ"[list(choices).index(values[-1])]


def letters(scores: pd.DataFrame, questions: pd.DataFrame, wanted: Gate) -> list[list]:
    """G5: the letter is that of the value just said, in the worst kind of question that has choices."""
    name = "the letter is that of the value said, the worst kind (%)"
    known = questions[questions["choices"].map(len) > 0].set_index("id")
    answers = scores[scores["question_id"].isin(known.index)]
    kinds = known["scene"].map(lambda scene: json.loads(scene)["kind"] if scene else "")
    hits: dict[str, list[bool]] = {}
    for benchmark, question, text in zip(answers["benchmark"], answers["question_id"], answers["text"], strict=True):
        pair = letter_of_value(text, list(known["choices"][question]))
        if pair:
            hits.setdefault(f"{benchmark} {kinds[question]}", []).append(pair[0] == pair[1])
    shares = {kind: _share(pd.Series(pairs)) for kind, pairs in hits.items()}
    if not shares:
        return [_row("G5", name, None, wanted.letters)]
    worst = min(shares, key=lambda kind: shares[kind][0])
    return [_row("G5", f"{name}: {worst}", shares[worst], wanted.letters)]


def steps_and_rates(base: pd.DataFrame, programs: Mapping[str, dict], wanted: Gate) -> list[list]:
    """G6: rank correlation of the steps that a question needs with its pass rate, in the worst benchmark."""
    rates = question_rates(base)
    rates["steps"] = rates["question_id"].map({name: steps.needed(program) for name, program in programs.items()})
    correlations = {}
    for benchmark, rows in rates.dropna().groupby("benchmark"):
        rho = scipy_stats.spearmanr(rows["steps"], rows["value"]).statistic
        half = 1.96 * np.sqrt((1 + rho**2 / 2) / max(len(rows) - 3, 1))  # Bonett and Wright 2000
        correlations[benchmark] = rho, *np.tanh(np.arctanh(rho) + half * np.array([-1, 1]))
    name = "rank correlation of steps needed with pass rate, the worst benchmark"
    if not correlations:
        return [_row("G6", name, None, at_most=wanted.levels)]
    worst = max(correlations, key=lambda benchmark: correlations[benchmark][0])
    return [_row("G6", f"{name}: {worst}", correlations[worst], at_most=wanted.levels)]


def skill(samples: list[pd.DataFrame], wanted: Gate) -> list[list]:
    """G7: how often the long way is gone without SFT: the base at T 1 and at the evaluation's, and RL."""
    name = "the long way among samples of base and RL, the most of them (%)"
    known = [table["strategy"] for table in samples if table["strategy"].notna().any()]
    share = max((_share(strategy == steps.LONG) for strategy in known), default=None)
    return [_row("G7", name, share, at_most=wanted.skill)]


def skill_pays(
    sft: pd.DataFrame,
    base: pd.DataFrame,
    levels: pd.DataFrame,
    questions: pd.DataFrame,
    programs: Mapping[str, dict],
    wanted: Gate,
) -> list[list]:
    """G8: SFT's gain where it is hard, and what its check is worth where it changes the answer."""
    cells = contrast(sft, base, levels, "base").query("benchmark == @ALL").set_index("level")
    gains = [_span(cells.loc[level]) for level in LEVELS[3:] if level in cells.index]
    known = questions.set_index("id")[["answer", "choices"]].to_dict("index")
    changes = [_changed(row, known[row.question_id]) for row in sft.itertuples() if row.question_id in programs]
    better = pd.Series([change for change in changes if change is not None], dtype=float)
    half = 1.96 * better.sem()
    gain = (POINTS * better.mean(), POINTS * (better.mean() - half), POINTS * (better.mean() + half))
    return [
        _row("G8", "SFT minus base, the lesser of L4 and L5 (points)", min(gains, default=None), wanted.skill_gain),
        _row("G8", "where the check changes the answer: right after minus right before (points)", gain, 1e-9),
    ]


def _span(cell: pd.Series) -> tuple[float, float, float]:
    return cell["estimate"], cell["low"], cell["high"]


def _changed(row: Any, question: Mapping[str, Any]) -> float | None:
    """Right at the end minus right after the first pass; None where the answer did not change."""
    before, box = first_answer(row.text), re.search(r"\\boxed\{([^{}]*)\}", row.text)
    if before is None or box is None:
        return None
    choices = list(question["choices"])

    def value(letter: str) -> str:
        return choices["ABCDEFGHIJ".index(letter)] if choices and letter in "ABCDEFGHIJ"[: len(choices)] else letter

    if before == value(box[1].strip()):
        return None
    return row.correct - float(before == value(question["answer"]))


def sft_converged(
    sft: pd.DataFrame,
    validation: pd.DataFrame,
    traces: pd.DataFrame,
    questions: Mapping[str, pd.DataFrame],
    wanted: Gate,
) -> list[list]:
    """G9: no more to gain from another epoch, and the steps of traces and answers are right."""
    names = list(dict.fromkeys(validation["checkpoint"]))
    last = _between(validation, questions["validation"], names[-2], names[-1]) if len(names) > 1 else None
    written = traces.rename(columns={"id": "question_id", "trace": "text"}).assign(arm="traces")
    right = [
        float(steps.steps_right(table, questions[split]).iloc[0])
        for table, split in ((written, "train"), (first(sft, 1), "test"))
    ]
    return [
        _row("G9", "SFT's last epoch minus the one before, on validation (points)", last, at_most=wanted.converged),
        _row("G9", "steps of the training traces that are right (%)", right[0], wanted.traces_right),
        _row("G9", "steps of SFT's answers that are right (%)", right[1], wanted.steps_right),
    ]


def _between(validation: pd.DataFrame, questions: pd.DataFrame, earlier: str, later: str) -> Estimate:
    scored = dict(list(with_problems(validation, questions).groupby("checkpoint")))
    return _gain(scored[later], scored[earlier])


def rl_converged(validation: pd.DataFrame, questions: pd.DataFrame, wanted: Gate) -> list[list]:
    """G10: what the second half of RL's steps added, on validation."""
    at = {int(name.partition("-")[2]): name for name in dict.fromkeys(validation["checkpoint"])}
    half = [step for step in at if 2 * step <= max(at)]
    gain = _between(validation, questions, at[max(half)], at[max(at)]) if half else None
    return [_row("G10", "doubling RL's steps, on validation (points)", gain, at_most=wanted.converged)]


def as_in_the_paper(rl: pd.DataFrame, base: pd.DataFrame, levels: pd.DataFrame, wanted: Gate) -> list[list]:
    """G11: RL's gain and length are of the paper's size."""
    gain = contrast(rl, base, levels, "base").query("benchmark == @ALL and level == @ALL").iloc[0]
    longer = times_as_long(pd.concat([base, rl])).set_index("arm").loc["rl"]
    return [
        _row("G11", "RL minus base (points)", _span(gain), *wanted.rl_gain),
        _row("G11", "RL's answers, times as long as the base's", _span(longer), *wanted.rl_length),
    ]


def dilemma(sft: pd.DataFrame, rl: pd.DataFrame, levels: pd.DataFrame, wanted: Gate) -> list[list]:
    """G12: SFT behind RL on the easiest questions and ahead on the hardest, over all and on most benchmarks."""
    cells = contrast(sft, rl, levels, "rl").set_index(["benchmark", "level"])
    ends = [(level, sign) for level, sign in (("L1", -1), ("L5", 1)) if (ALL, level) in cells.index]
    rows = [cells.loc[(ALL, level)] for level, _ in ends]
    distance = [sign * row["estimate"] - wanted.dilemma for row, (_, sign) in zip(rows, ends, strict=True)]
    p = [
        scipy_stats.t.sf(d / row["se"], row["df"]) if row["se"] > 0 else 1.0
        for d, row in zip(distance, rows, strict=True)
    ]
    lines = []
    for (level, sign), row, corrected in zip(ends, rows, holm(p), strict=True):
        bound = {"at_most": -wanted.dilemma} if sign < 0 else {"at_least": wanted.dilemma}
        name = f"SFT minus RL at {level} (points, Holm)"
        lines.append(_row("G12", name, _span(row), **bound, shown=corrected < 0.05))
    benchmarks = [name for name in set(sft["benchmark"]) if all((name, level) in cells.index for level, _ in ends)]
    both = sum(
        all(sign * cells.loc[(name, level), "estimate"] > wanted.dilemma for level, sign in ends) for name in benchmarks
    )
    return [*lines, _row("G12", "benchmarks with both", float(both), wanted.benchmarks)]


def something_to_win(sft: pd.DataFrame, rl: pd.DataFrame, wanted: Gate) -> list[list]:
    """G13: a router that knows which parent answers a question better, minus the better parent.

    It is chosen on every other sample and scored on the others, then the other way round.
    """
    even = [[table[table["sample"] % 2 == half] for table in (sft, rl)] for half in (0, 1)]
    values = pd.concat([router(even[0], even[1]), router(even[1], even[0])])
    keys = ["benchmark", "problem", "question_id", "seed"]
    estimate = crossed_mean(values.groupby(keys)["value"].mean().reset_index())
    return [_row("G13", "oracle router minus the better parent (points)", estimate, wanted.router)]


def router(chosen: list[pd.DataFrame], scored: list[pd.DataFrame]) -> pd.DataFrame:
    """By question: the parent that `chosen` has ahead, minus the parent that it has ahead over all, both in `scored`.

    chosen, scored: scores of both parents, in the same order; other samples, or other training seeds.
    """
    keys = ["benchmark", "problem", "question_id"]
    a, b = (POINTS * table.groupby(keys)["correct"].mean() for table in chosen)
    left, right = (POINTS * table.groupby(keys)["correct"].mean().reindex(a.index) for table in scored)
    better = left if a.groupby("benchmark").mean().mean() > b.groupby("benchmark").mean().mean() else right
    routed = left.where(a > b, right).where(a != b, better)
    return (routed - better).rename("value").reset_index().assign(seed=0)
