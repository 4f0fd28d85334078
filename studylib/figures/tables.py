"""Small HTML tables: ours beside the paper's, and the verdicts."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
from IPython.display import HTML

from studylib.analysis.difficulty import ALL, PARTS
from studylib.analysis.printed import in_paper_order, paper_name
from studylib.figures.palette import in_order, name_of

MARKS = {"holds": "✔ holds", "fails": "✘ fails", "undecided": "? undecided"}


def beside_paper(accuracy: pd.DataFrame, paper: pd.DataFrame, rows: dict[str, str | None]) -> pd.DataFrame:
    """Accuracy in %: our arm with half of its interval, and under it the paper's row.

    accuracy: difficulty.accuracy. paper: a published table whose first column names its rows. rows: our arm
    and the paper's row, None for an arm that the paper has not. The columns are our benchmarks, named with those
    of the paper that they mirror or are; a benchmark that the paper has not is left out. Where there is the base with
    the best prompt, which the paper has not, it has its row too.
    """
    label = paper.columns[0]
    lines, index = [], []
    cells = accuracy.set_index(["arm", "benchmark"])
    benchmarks = {b: paper_name(b) for b in in_paper_order(accuracy["benchmark"]) if paper_name(b) in paper}
    rows = rows | {arm: None for arm in ("base_prompted",) if arm in set(accuracy["arm"])}
    for arm in in_order(list(rows)):
        lines += [[_interval(cells.loc[(arm, ours)]) for ours in (*benchmarks, ALL)]]
        index += [(name_of(arm), "ours")]
        if rows[arm]:
            theirs = paper[paper[label] == rows[arm]].iloc[0]
            lines += [[f"{theirs[name]:.1f}" for name in (*benchmarks.values(), "avg")]]
            index += [(rows[arm], "paper (7B)")]
    columns = [ours if ours == theirs else f"{ours} / {theirs}" for ours, theirs in benchmarks.items()] + ["average"]
    return pd.DataFrame(lines, columns=columns, index=pd.MultiIndex.from_tuples(index, names=["arm", "accuracy, %"]))


def _interval(cell: pd.Series) -> str:
    return f"{cell['estimate']:.1f} ± {(cell['high'] - cell['low']) / 2:.1f}"


def plain(table: pd.DataFrame, decimals: int = 1) -> HTML:
    """A table as small HTML without styles or scripts."""
    return HTML(table.to_html(border=0, float_format=lambda x: f"{x:.{decimals}f}", na_rep="", justify="left"))


def settings(columns: dict[str, dict]) -> HTML:
    """Params side by side, one column per name, and whether all have the same; empty where one has no such key."""
    shown = pd.DataFrame({name: {key: str(value) for key, value in part.items()} for name, part in columns.items()})
    same = {"same for all": shown.nunique(axis=1, dropna=False) == 1} if len(columns) > 1 else {}
    return plain(shown.fillna("").assign(**same))


def exclusions(facts: Iterable[dict[str, Any]]) -> HTML:
    """The rows that could not be read: how many of each dataset for each reason, and the first of them.

    facts: of the stages that read datasets (Study.facts); a dataset that two of them read counts once."""
    read = {name: rows for stage in facts for name, rows in stage.get("unreadable", {}).items()}
    if not read:
        return HTML("<p>Every row of the data could be read: none is left out.</p>")
    cells = [(name, *reversed(row.split(": ", 1))) for name, rows in read.items() for row in rows]
    table = pd.DataFrame(cells, columns=["dataset", "reason", "row"])
    return plain(table.groupby(["dataset", "reason"], sort=False)["row"].agg(rows="size", first="first"))


def whole(table: pd.DataFrame, *arms: str) -> pd.DataFrame:
    """The rows over all benchmarks, those trained on and those held out; with arms, of these and of the base alone."""
    rows = table[table["benchmark"].isin([*PARTS, ALL])]
    return rows[rows["arm"].isin(["base", *arms])] if arms else rows


def each(table: pd.DataFrame, *arms: str) -> pd.DataFrame:
    """The rows of single benchmarks, of these arms and of the base alone."""
    rows = table[~table["benchmark"].isin([*PARTS, ALL])]
    return rows[rows["arm"].isin(["base", *arms])]


def over_all(table: pd.DataFrame) -> HTML:
    """The rows over all benchmarks and levels: estimate with its interval, of each arm, or of each against another."""
    rows = table[(table["benchmark"] == ALL) & (table.get("level", ALL) == ALL)]
    names = [name for name in ("arm", "against") if name in rows]
    return plain(rows.set_index(names).rename(index=name_of)[["estimate", "low", "high", "questions", "source"]])


def verdicts(table: pd.DataFrame) -> HTML:
    """A row a claim, a column a part of the benchmarks: the weakest part, corrected p and verdict.

    table: verdicts.judge. Measures that begin with log_ are shown as ratios, times; all else in its unit.
    """
    rows = table.to_dict("records")
    cells = [f"{measured_against(row)}<br>{MARKS[row['verdict']]}, p {_p(row['p_holm'])}" for row in rows]
    wide = table.assign(cell=cells).pivot(index="id", columns="benchmarks", values="cell")
    columns = [panel for panel in (*PARTS, ALL) if panel in wide]
    first = table.drop_duplicates("id").set_index("id")
    shown = wide.loc[first.index, columns].fillna("").set_index(first["claim"])
    return HTML(shown.to_html(border=0, justify="left", escape=False))


def preconditions(gate: pd.DataFrame) -> HTML:
    """Rows of the gate with intervals, between which bounds it should lie, and verdict. gate: gate.gate_table."""
    shown = pd.DataFrame({"precondition": gate["precondition"]})
    ends = zip(gate["measured"], gate["low"], gate["high"], strict=True)
    shown["measured"] = [f"{m:.2f}" + ("" if pd.isna(low) else f" [{low:.2f}, {high:.2f}]") for m, low, high in ends]
    shown["wanted"] = [_between(*ends) for ends in zip(gate["at_least"], gate["at_most"], strict=True)]
    return plain(shown.assign(verdict=gate["verdict"]).set_index(gate["row"]))


def _between(least: float, most: float) -> str:
    above = "more than 0" if 0 < least < 1e-6 else f"at least {least:g}" if math.isfinite(least) else ""
    return " and ".join(part for part in (above, f"at most {most:g}" if math.isfinite(most) else "") if part)


def _p(p: float) -> str:
    return "not tested" if p != p else "&lt; 0.001" if p < 0.001 else f"{p:.3f}"


def measured_against(row: Mapping[Any, Any]) -> str:
    """A row of verdicts.judge in words: what was measured, with its interval, against what and at which margin."""
    at = "" if row["level"] == ALL else f" at {row['level']}"
    estimate, low, high, margin = (_in_unit(row[name], row) for name in ("estimate", "low", "high", "margin"))
    interval = "" if pd.isna(row["low"]) else f" [{low}, {high}]"
    return f"{estimate}{interval} against {name_of(row['against'])}{at}, margin {margin}"


def _in_unit(value: float, row: Mapping[Any, Any]) -> str:
    small = row["measure"] in ("correlation", "reward", "truncated")
    return f"{math.exp(value):.1f} times" if row["measure"].startswith("log_") else f"{value:.{2 if small else 1}f}"
