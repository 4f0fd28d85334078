"""Combinations against their parents: paired tests by level, and models merged along the way from one to the other."""

import pandas as pd

from studylib.analysis.checkpoints import with_problems
from studylib.analysis.difficulty import ALL, LEVELS, MEAN, PARTS, POINTS, contrast, margins, with_levels
from studylib.analysis.scores import question_rates
from studylib.analysis.stats import crossed_mean, estimates_by, holm, paired, paired_differences, two_sided_p


def better_parents(parents: pd.DataFrame, levels: pd.DataFrame) -> pd.DataFrame:
    """Which parent validation calls better in a panel (difficulty.margins) at a level: panel, level, parent.

    parents: validation scores of the parents' chosen checkpoints (checkpoints.chosen_responses); levels: those of the
    validation questions. A level without validation questions in a panel has no row.
    """
    cells = pd.concat(margins(with_levels(question_rates(parents), levels)))
    rates = cells.groupby(["panel", "level", "benchmark", "arm"])["value"].mean()
    rates = rates.groupby(["panel", "level", "arm"]).mean().unstack()
    return rates.idxmax(axis=1).rename("parent").reset_index()


def against_better(scores: pd.DataFrame, levels: pd.DataFrame, better: pd.DataFrame, arms: list[str]) -> pd.DataFrame:
    """Each arm minus the better parent: at every level, and their mean ("mean", each level weighs alike), in points.

    better: better_parents; where it has no row for a panel and level, that over all levels counts, and where validation
    has no question of a panel (at the paper's scale it is a part of the training data), that over all benchmarks. Rows
    as of difficulty.contrast, against "better parent", with the column parent that names it.
    """
    rates = {arm: group.assign(value=POINTS * group["value"]) for arm, group in question_rates(scores).groupby("arm")}
    choice = dict(zip(zip(better["panel"], better["level"], strict=True), better["parent"], strict=True))
    tables = []
    for arm in arms:
        cells = []
        for parent in set(choice.values()):
            rows = with_levels(paired_differences(rates[arm], rates[parent]), levels)
            cells += [cell.assign(parent=parent) for cell in margins(rows)]
        cells = pd.concat(cells, ignore_index=True)
        places = zip(cells["panel"], cells["level"], strict=True)
        cells = cells[cells["parent"] == [_better_at(choice, *place) for place in places]]
        by_level = cells[cells["level"] != ALL]
        means = estimates_by(by_level.assign(at=by_level["level"], level=MEAN), ["panel", "level"], ("at", "benchmark"))
        tables.append(pd.concat([estimates_by(cells, ["panel", "level"]), means]).assign(arm=arm))
    table = pd.concat(tables, ignore_index=True)
    places = zip(table["panel"], table["level"], strict=True)
    table["parent"] = [None if level == MEAN else _better_at(choice, panel, level) for panel, level in places]
    return table.rename(columns={"panel": "benchmark"}).assign(against="better parent", measure="accuracy")


def _better_at(choice: dict[tuple[str, str], str], panel: str, level: str) -> str:
    """The better parent at a place, by the nearest place that validation has."""
    places = ((panel, level), (panel, ALL), (ALL, level), (ALL, ALL))
    return next(choice[place] for place in places if place in choice)


def paired_tests(contrasts: pd.DataFrame) -> pd.DataFrame:
    """Every difference by part of the benchmarks with its two-sided p, alone and corrected by Holm over that part.

    contrasts: verdicts.contrasts_for or against_better; of the panels trained, held out and all count.
    """
    tables = []
    for panel in (*PARTS, ALL):
        rows = contrasts[contrasts["benchmark"] == panel]
        p = [two_sided_p(row.estimate, row.se, row.df) for row in rows.itertuples()]
        tables.append(rows.assign(p=p, p_holm=holm(p)))
    return pd.concat(tables, ignore_index=True)


def published_contrasts(gains: pd.DataFrame, arms: list[str], against: list[str]) -> pd.DataFrame:
    """Differences between published gains (published.published_gains), mean over benchmarks: arm, against, level."""
    means = gains.groupby(["arm", "level"])["estimate"].mean().unstack().reindex(columns=list(LEVELS))
    tables = [
        (means.loc[arm] - means.loc[other]).rename("estimate").reset_index().assign(arm=arm, against=other)
        for arm in arms
        for other in against
    ]
    return pd.concat(tables, ignore_index=True)


def share_scores(merged: pd.DataFrame, questions: pd.DataFrame) -> pd.DataFrame:
    """Accuracy in % and mean tokens along the SFT share: measure, merge, share, then the columns of stats.Estimate.

    merged: Study.merged, validation responses with "merge" and "share"; questions: those that were asked.
    """
    tables = []
    for measure, rates in (("accuracy", _rates(merged, questions)), ("tokens", _rates(merged, questions, "tokens"))):
        tables.append(estimates_by(rates, ["merge", "share"]).assign(measure=measure))
    return pd.concat(tables, ignore_index=True)


def merge_contrasts(merged: pd.DataFrame, questions: pd.DataFrame) -> pd.DataFrame:
    """Merged models against the straight line between their parents, and against each other, in points.

    Question by question, so that what the parents share cancels. Rows as of difficulty.contrast with measure "merges"
    and the SFT share as level: every model against "the straight line", every other method against "linear" at the
    same share, and "linear" against every other model ("ties-0.5").
    """
    models = {key: group for key, group in _rates(merged, questions).groupby(["merge", "share"], sort=False)}
    ends = next(iter(models))[0]
    line = paired(models[ends, 1.0], models[ends, 0.0])
    inner = {key: group for key, group in models.items() if key[1] not in (0.0, 1.0)}
    pairs = []
    for (merge, share), group in inner.items():
        between = line.assign(value=share * line["value"] + (1 - share) * line["reference"], arm="line", seed=0)
        pairs.append((merge, share, "the straight line", group, between))
        if merge != "linear" and ("linear", share) in inner:
            pairs.append((merge, share, "linear", group, inner["linear", share]))
        if merge == "linear":
            others = [key for key in inner if key != (merge, share)]
            pairs += [(merge, share, f"{name}-{other:g}", group, inner[name, other]) for name, other in others]
    rows = [
        {"arm": merge, "against": against, "level": f"{share:g}", **vars(crossed_mean(paired_differences(a, b)))}
        for merge, share, against, a, b in pairs
    ]
    return pd.DataFrame(rows).assign(measure="merges", benchmark=ALL)


def off_the_line(merged: pd.DataFrame, questions: pd.DataFrame) -> pd.DataFrame:
    """Merged models minus the straight line between their parents: merge, share, those of stats.Estimate, p, p_holm."""
    table = merge_contrasts(merged, questions).query("against == 'the straight line'")
    p = [two_sided_p(row.estimate, row.se, row.df) for row in table.itertuples()]
    table = table.assign(merge=table["arm"], share=table["level"].astype(float), p=p, p_holm=holm(p))
    return table.drop(columns=["arm", "against", "level", "measure", "benchmark"]).reset_index(drop=True)


def _rates(merged: pd.DataFrame, questions: pd.DataFrame, value: str = "correct") -> pd.DataFrame:
    scored, rates = with_problems(merged, questions), []
    for (merge, share), group in scored.groupby(["merge", "share"], sort=False):
        rates.append(question_rates(group, value).assign(merge=merge, share=share))
    table = pd.concat(rates, ignore_index=True)
    return table.assign(value=table["value"] * (POINTS if value == "correct" else 1))


PARENTS = ("sft_eureka", "rl")


def against_parents(scores: pd.DataFrame, levels: pd.DataFrame) -> pd.DataFrame:
    """Paired contrasts (difficulty.contrast) of every arm but the base's and the parents against either parent."""
    arms = dict(list(scores.groupby("arm", sort=False)))
    combinations = [arm for arm in arms if arm not in PARENTS and not arm.startswith("base")]
    tables = [contrast(arms[arm], arms[parent], levels, parent) for arm in combinations for parent in PARENTS]
    return pd.concat(tables, ignore_index=True)
