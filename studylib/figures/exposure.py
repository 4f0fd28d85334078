"""The dial: accuracy, synergy and the long way against what the base has seen of it. Bases stand side by side."""

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from studylib.analysis.dial import BASES, COMBINATIONS, PARENTS
from studylib.analysis.difficulty import ALL, LEVELS, PARTS
from studylib.figures.palette import FAINT, INK, arm_line, dress, error_bars, in_order

# The trunk's bases in their order, and apart from them, since it is no fourth dose, the base from another seed.
PLACES = {base.name: place for base, place in zip(BASES, (0.0, 1.0, 2.0, 3.4), strict=True)}
OTHER = BASES[-1].name
ACCURACY = {
    "The base and its parents": ("base", "base_prompted", *PARENTS),
    "The parents and their combinations": (*PARENTS, *COMBINATIONS),
}
AT = {ALL: "all levels", LEVELS[0]: LEVELS[0], LEVELS[-1]: LEVELS[-1]}


def accuracy_by_dose(accuracy: pd.DataFrame) -> go.Figure:
    """Accuracy in % of every arm on each base, over all benchmarks. accuracy: difficulty.accuracy by base."""
    cells = accuracy[accuracy["benchmark"] == ALL]
    fig = make_subplots(2, 1, subplot_titles=list(ACCURACY), shared_yaxes="all", vertical_spacing=0.14)
    names: set[str] = set()
    for row, arms in enumerate(ACCURACY.values(), 1):
        for i, arm in enumerate(arm for arm in arms if arm in set(cells["arm"])):
            _add(fig, cells[cells["arm"] == arm], arm, 0.1 * (i - 1.5), arm not in names, row, 1)
            names.add(arm)
    fig.update_yaxes(title_text="accuracy (%)", title_standoff=4)
    _bases(fig, cells["base"], row=2)
    return dress(fig, "Accuracy by what the base has seen", 620, 1)


def synergy_by_dose(differences: pd.DataFrame) -> go.Figure:
    """Each combination minus the better parent on each base: a row a part of the benchmarks, a column a level.

    differences: synergy.against_better by base, in points. Two seeds that disagree give an interval that would leave
    nothing else to be seen: the axis has room for twice the median half width around the estimates, and cuts it there.
    """
    cells = differences[differences["level"].isin(list(AT))]
    panels = [panel for panel in (*PARTS, ALL) if panel in set(cells["benchmark"])]
    titles = [f"{panel},<br>{level}" for panel in panels for level in AT.values()]
    fig = make_subplots(len(panels), 3, subplot_titles=titles, shared_yaxes="all", vertical_spacing=0.1)
    for row, panel in enumerate(panels, 1):
        for col, level in enumerate(AT, 1):
            here = cells[(cells["benchmark"] == panel) & (cells["level"] == level)]
            for i, arm in enumerate(in_order(list(cells["arm"].unique()))):
                _add(fig, here[here["arm"] == arm], arm, 0.3 * (i - 0.5), row == col == 1, row, col)
    fig.add_hline(y=0, line={"color": FAINT, "width": 1}, layer="below")
    room = cells["estimate"].abs().max() + (cells["high"] - cells["low"]).median()
    fig.update_yaxes(range=[-room, room])
    fig.update_yaxes(title_text="points", title_standoff=4, col=1)
    _bases(fig, cells["base"], row=len(panels))
    return dress(fig, "Combination minus the better parent", 210 * len(panels) + 110, 2)


def long_way(ways: pd.DataFrame, groups: pd.DataFrame) -> go.Figure:
    """How often the long way is gone on each base. Above, answers; below, groups of rollouts, and the prediction.

    ways: dial.long_way by base. groups: dial.groups by base, where there are any.
    """
    titles = ["Answers to test questions of two hops", "Groups of rollouts with one or more"]
    fig = make_subplots(2, 1, subplot_titles=titles, vertical_spacing=0.14)
    for i, (arm, cells) in enumerate(ways.groupby("arm")):
        _add(fig, cells, arm, 0.2 * (i - 0.5), True, 1, 1)
    if len(groups):
        x = groups["base"].map(PLACES).astype(float)
        bars = go.Bar(
            x=x, y=groups["prediction"].round(2), name="groups, by the formula", marker_color="#dddddd", width=0.5
        )
        points = go.Scatter(x=x, y=groups["estimate"].round(2), name="groups, counted", mode="markers")
        points.update(marker={"color": INK, "size": 8, "symbol": "circle"}, **error_bars(groups, INK))
        fig.add_trace(bars, row=2, col=1).add_trace(points, row=2, col=1)
    fig.update_traces(cliponaxis=False)  # many stand on the axis
    fig.update_yaxes(title_standoff=4, rangemode="tozero")
    for row, unit in enumerate(("answers (%)", "groups (%)"), 1):
        fig.update_yaxes(title_text=unit, row=row)
    _bases(fig, ways["base"], row=2)
    return dress(fig, "How often the long way is gone", 600, 1)


def _add(fig: go.Figure, cells: pd.DataFrame, arm: str, shift: float, show: bool, row: int, col: int) -> None:
    """One arm: a line along the trunk's bases, and hollow and apart from it the base from another seed."""
    other = cells["base"] == OTHER
    for rows, apart in ((cells[~other], False), (cells[other], True)):
        line = arm_line(rows, arm, rows["base"].map(PLACES).astype(float) + shift).update(showlegend=show and not apart)
        if apart:
            line.update(mode="markers", marker_symbol=f"{line.marker.symbol}-open")
        fig.add_trace(line, row=row, col=col)


def _bases(fig: go.Figure, bases: pd.Series, row: int) -> None:
    """The bases that a table has under the panels; what their percentages are of stands under the last row."""
    places = {name: place for name, place in PLACES.items() if name in set(bases)}
    names = [name.replace(" %", "").replace(", ", ",<br>") for name in places]  # three panels fit a phone
    ends = [-0.5, max(places.values()) + 0.5]
    fig.update_xaxes(tickvals=list(places.values()), ticktext=names, tickangle=0, range=ends, showticklabels=False)
    fig.update_xaxes(title_text="long way seen (%)", title_standoff=4, showticklabels=True, row=row)
