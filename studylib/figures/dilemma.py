"""Combinations: Figure 1 whole, each against its parents, along the SFT share, and what they cost."""

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from studylib.analysis.difficulty import ALL, LEVELS, PARTS
from studylib.analysis.printed import paper_name
from studylib.analysis.verdicts import NON_INFERIORITY_MARGIN
from studylib.figures.levels import OWN, level_axes, level_line, panel_order
from studylib.figures.palette import (
    FAINT,
    INK,
    SPARE_COLOURS,
    arm_line,
    colour_of,
    dress,
    error_bars,
    in_order,
    marker_of,
    name_of,
)

WHOSE = ("ours", "paper (7B)")
# Name, marker, dash, colour and shift along the axis of each merge method.
MERGES = {
    "linear": ("Linear", "circle", "solid", SPARE_COLOURS[0], -0.015),
    "ties": ("TIES", "square", "dash", SPARE_COLOURS[1], 0.0),
    "slerp": ("SLERP", "diamond", "dot", SPARE_COLOURS[2], 0.015),
}


def figure_1(gains: pd.DataFrame, published: pd.DataFrame, training: list[str]) -> go.Figure:
    """Gain of every method by level, a row of panels a benchmark: ours on the left, the paper's on the right.

    A column has one axis; the paper's has its own, since its gains are smaller.
    gains: difficulty.gains (points), of which the fair ones (against "B") and the base's own line are drawn, with
    intervals. published: published.published_gains, digitised and without any. The last rows are means over the
    benchmarks like those of `training`, over the others, and over all.
    """
    trained = published["benchmark"].isin([paper_name(benchmark) for benchmark in training])
    kinds = zip((*PARTS, ALL), (published[trained], published[~trained], published), strict=True)
    means = [rows.groupby(["arm", "level"])["estimate"].mean().reset_index().assign(benchmark=p) for p, rows in kinds]
    cells, theirs = gains[gains["level"] != ALL], pd.concat([published, *means])
    fair, own = cells[cells["against"] == "B"], cells[(cells["arm"] == "base") & (cells["against"] == "A")]
    arms, rows = in_order(list(fair["arm"].unique())), [(b, paper_name(b)) for b in panel_order(gains["benchmark"])]
    titles = [
        f"{name.capitalize() if name in (*PARTS, ALL) else name}, {whose}"
        for row in rows
        for name, whose in zip(row, WHOSE, strict=True)
    ]
    fig = make_subplots(
        len(rows), 2, subplot_titles=titles, shared_yaxes="columns", vertical_spacing=0.045, horizontal_spacing=0.1
    )
    for row, (ours, paper) in enumerate(rows, 1):
        line = level_line(own[own["benchmark"] == ours], "base", row == 1, name=OWN)
        fig.add_trace(line, row=row, col=1)
        for i, arm in enumerate(arms):
            shift = 0.7 * (i / max(len(arms) - 1, 1) - 0.5)
            mine = fair[(fair["arm"] == arm) & (fair["benchmark"] == ours)]
            line = level_line(mine, arm, row == 1, shift).update(error_bars(mine, colour_of(arm)))
            fig.add_trace(line, row=row, col=1)
            other = theirs[(theirs["arm"] == arm) & (theirs["benchmark"] == paper)]
            hollow = level_line(other, arm, False, shift).update(
                line_dash="dot", marker_symbol=f"{marker_of(arm)}-open"
            )
            fig.add_trace(hollow, row=row, col=2)
    fig.add_hline(y=0, line={"color": FAINT, "width": 1}, layer="below")
    level_axes(fig, 0.5)
    fig.update_yaxes(title_text="gain (points)", title_standoff=4, col=1)
    return dress(fig, "Figure 1: gain by level, an axis a column", 225 * len(rows) + 110, True)


def against_parents(
    contrasts: pd.DataFrame, verdicts: pd.DataFrame | None = None, published: pd.DataFrame | None = None
) -> go.Figure:
    """A combination (row) minus each parent by level, on the benchmarks trained on, those held out, and all (columns).

    contrasts: verdicts.contrasts_for or synergy.against_better (points). verdicts: verdicts.judge of the claims of
    synergy, named in the titles. published: synergy.published_contrasts over all, hollow; the paper gives no intervals.
    """
    cells = contrasts[contrasts["level"].isin(LEVELS) & (contrasts["measure"] == "accuracy")]
    arms, parents = in_order(list(cells["arm"].unique())), in_order(list(cells["against"].unique()))
    panels = [panel for panel in (*PARTS, ALL) if panel in set(cells["benchmark"])]
    marks = {} if verdicts is None else verdicts.set_index(["id", "benchmarks"])["verdict"].to_dict()
    titles = [
        _synergy_title(name_of(arm) if panel == panels[0] else "", panel, marks.get((f"{arm}-synergy", panel), ""))
        for arm in arms
        for panel in panels
    ]
    fig = make_subplots(
        len(arms), len(panels), subplot_titles=titles, shared_yaxes="all", vertical_spacing=0.38 / len(arms)
    )
    for row, arm in enumerate(arms, 1):
        for col, panel in enumerate(panels, 1):
            for i, parent in enumerate(parents):
                shift, show = 0.24 * (i - (len(parents) - 1) / 2), row == col == 1
                mine = (cells["arm"] == arm) & (cells["against"] == parent) & (cells["benchmark"] == panel)
                line = level_line(cells[mine], parent, show, shift).update(
                    name=f"minus {name_of(parent)}", mode="markers"
                )
                fig.add_trace(line.update(error_bars(cells[mine], colour_of(parent))), row=row, col=col)
                if published is not None and panel == ALL:
                    theirs = published[(published["arm"] == arm) & (published["against"] == parent)]
                    hollow = level_line(theirs, parent, row == 1, shift + 0.1).update(mode="markers", opacity=0.8)
                    hollow.update(name=f"minus {name_of(parent)}, paper (7B)", legendgroup=f"{parent}, paper")
                    fig.add_trace(hollow.update(marker_symbol=f"{marker_of(parent)}-open"), row=row, col=col)
    fig.add_hline(y=0, line={"color": FAINT, "width": 1}, layer="below")
    level_axes(fig, 0.5)
    fig.add_hline(y=-NON_INFERIORITY_MARGIN, line={"color": INK, "width": 1, "dash": "dash"})
    fig.update_yaxes(title_text="difference (points)", title_standoff=4, col=1)
    title = f"At least as good as the better parent? Dashed: −{NON_INFERIORITY_MARGIN:g} points"
    return dress(fig, title, 260 * len(arms) + 130, 3)


def _synergy_title(name: str, panel: str, verdict: str) -> str:
    """Three short lines, since three panels stand side by side on a phone too; the first of a row names the arm."""
    return f"<b>{name}</b><br>{panel}<br>{verdict}"


def merge_shares(scores: pd.DataFrame) -> go.Figure:
    """Accuracy and mean response length against the SFT share, a line a merge method; the ends are the parents.

    scores: synergy.share_scores. The faint line joins the parents.
    """
    titles = {"accuracy": "validation accuracy (%)", "tokens": "mean response tokens"}
    fig = make_subplots(1, 2, subplot_titles=list(titles.values()), horizontal_spacing=0.12)
    for col, measure in enumerate(titles, 1):
        cells = scores[scores["measure"] == measure].sort_values("share")
        at_end = cells["share"].isin([0, 1])
        ends = cells[at_end].drop_duplicates("share").assign(arm=["rl", "sft_eureka"])
        faint = go.Scatter(x=ends["share"], y=ends["estimate"].round(2), mode="lines", showlegend=False)
        fig.add_trace(faint.update(line={"color": FAINT, "width": 1}, hoverinfo="skip"), row=1, col=col)
        for merge in sorted(cells["merge"].unique(), key=list(MERGES).index):
            trace = _merge_line(cells[~at_end & (cells["merge"] == merge)], merge)
            fig.add_trace(trace.update(showlegend=col == 1), row=1, col=col)
        for arm, end in ends.groupby("arm", sort=False):
            point = arm_line(end, arm, end["share"], 9).update(mode="markers", showlegend=col == 1)
            fig.add_trace(point, row=1, col=col)
    fig.update_xaxes(title_text="SFT share", tickvals=[0, 0.25, 0.5, 0.75, 1])
    return dress(fig, "Merging: along the way from RL to SFT", 380, True)


def _merge_line(cells: pd.DataFrame, merge: str) -> go.Scatter:
    name, symbol, dash, colour, shift = MERGES[merge]
    return go.Scatter(
        x=cells["share"] + shift,
        y=cells["estimate"].round(2),
        name=name,
        mode="lines+markers",
        line={"color": colour, "dash": dash, "width": 1.5},
        marker={"symbol": symbol, "size": 7},
        legendgroup=merge,
        **error_bars(cells, colour),
    )


def accuracy_against_compute(accuracy: pd.DataFrame, curves: pd.DataFrame) -> go.Figure:
    """Accuracy in % against the FLOPs of all that an arm needed: its checkpoints on validation, then the chosen's test.

    accuracy: arm, flops, estimate, low, high, where the base stands at 0; curves: the same on validation, a row a
    checkpoint with its unit.
    """
    titles = ["checkpoints, validation (%)", "the chosen, test (%)"]
    fig = make_subplots(1, 2, subplot_titles=titles, horizontal_spacing=0.1)
    arms = in_order(list(accuracy["arm"].unique()))
    for arm in arms:
        along = curves[curves["arm"] == arm].sort_values("flops")
        grown = along["unit"].isin(["step", "epoch"]).all()  # merged models do not follow on each other
        line = arm_line(along, arm, along["flops"], 5)
        line.update(mode="lines+markers" if grown else "markers", line_width=1.2, showlegend=False)
        line.update(text=along["checkpoint"], hovertemplate="%{text}: %{y:.1f} % at %{x:.2e} FLOPs", error_y=None)
        fig.add_trace(line, row=1, col=1)
        chosen = accuracy[accuracy["arm"] == arm]
        fig.add_trace(arm_line(chosen, arm, chosen["flops"], 9).update(mode="markers"), row=1, col=2)
    most = max(accuracy["flops"].max(), curves["flops"].max())
    fig.update_xaxes(title_text="FLOPs, of all that it needs", range=[-0.05 * most, 1.05 * most], nticks=5)
    fig.update_xaxes(exponentformat="power")
    return dress(fig, "Accuracy against compute", 420 + 6 * len(arms), True)
