"""Figures of chapter 02: agreement with published verdicts, and what habits of grading do to an accuracy."""

import pandas as pd
import plotly.graph_objects as go

from studylib.figures.palette import FAINT, INK, dress, error_bars

HABITS = {
    "published": "published verdicts",
    "ours": "this grader",
    "box_only": "only a box counts",
    "explicit_only": "only an explicit statement counts",
    "unparsed_dropped": "unparsed left out",
    "random_option": "unparsed choice guessed",
    "judge_at_best": "unparsed all right (a judge's ceiling)",
}
_COLOURS = ("#56b4e9", "#0072b2", "#d55e00", "#e69f00", "#009e73", "#cc79a7", "#999999")


def agreement(table: pd.DataFrame, bar: float) -> go.Figure:
    """Agreement in % of each cell with its interval (filled), and without plainly wrong verdicts (open).

    table: agreement.agreement by source and question_type. bar: the agreement asked for, as a share.
    """
    names = [f"{row.source}, {row.question_type}".replace("all, all", "all") for row in table.itertuples()]
    fig = go.Figure()
    cells = 100 * table[["agreement", "low", "high"]].rename(columns={"agreement": "estimate"})
    fig.add_scatter(
        x=cells["estimate"].tolist(), y=names, mode="markers", name="all rows",
        marker={"size": 9, "color": _COLOURS[1]}, **error_bars(cells, INK, "x"),
    )  # fmt: skip
    fig.add_scatter(
        x=(100 * table["agreement_without"]).tolist(), y=names, mode="markers", name="without plainly wrong verdicts",
        marker={"size": 11, "color": _COLOURS[2], "symbol": "circle-open", "line_width": 2},
    )  # fmt: skip
    fig.add_scatter(
        x=[100 * bar, 100 * bar], y=[names[0], names[-1]], mode="lines", name="bar",
        line={"color": FAINT, "dash": "dash"},
    )  # fmt: skip
    fig.update_yaxes(autorange="reversed", automargin=True)
    fig.update_xaxes(title="agreement, %")
    return dress(fig, "Agreement with published verdicts", height=400)


def habits(table: pd.DataFrame) -> go.Figure:
    """Accuracy in % that each habit of grading reports for the same responses, a colour a source.

    table: columns source, habit, accuracy (a share).
    """
    fig = go.Figure()
    wide = table.pivot(index="source", columns="habit", values="accuracy").reindex(columns=list(HABITS))
    for (source, shares), colour in zip(wide.iterrows(), _COLOURS, strict=False):
        fig.add_scatter(
            x=(100 * shares).tolist(), y=list(HABITS.values()), mode="markers", name=str(source),
            marker={"size": 10, "color": colour, "opacity": 0.8},
        )  # fmt: skip
    fig.update_yaxes(autorange="reversed", automargin=True)
    fig.update_xaxes(title="accuracy, %", range=[-2, 102])
    return dress(fig, "The same responses, other habits of grading", height=420)
