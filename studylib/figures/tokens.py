"""How long the responses are, and what the length buys."""

import pandas as pd
import plotly.graph_objects as go

from studylib.analysis.difficulty import ALL, LEVELS, PARTS
from studylib.figures.levels import level_axes, panel_grid, panel_order
from studylib.figures.palette import arm_line, colour_of, dress, error_bars, in_order, log_ticks, marker_of, name_of


def length_by_level(lengths: pd.DataFrame) -> go.Figure:
    """Mean response tokens by level on a log axis, a panel a benchmark. lengths: length.response_length."""
    panels = panel_order(lengths["benchmark"])
    fig, places = panel_grid(panels, shared_yaxes="all")
    arms = in_order(list(lengths["arm"].unique()))
    for panel in panels:
        for arm in arms:
            cells = lengths[(lengths["benchmark"] == panel) & (lengths["arm"] == arm) & (lengths["level"] != ALL)]
            line = arm_line(cells, arm, cells["level"].map(LEVELS.index), 6, decimals=1)
            fig.add_trace(line.update(showlegend=panel == panels[0]), **places[panel])
    level_axes(fig)
    log_ticks(fig.update_yaxes)
    fig.update_yaxes(title_text="tokens (log)", title_standoff=4, col=1)
    rows = -(-len(panels) // 2)
    return dress(fig, "Mean response length by level", 210 * rows + 70 + 10 * len(arms), True)


def gain_against_length(gains: pd.DataFrame, lengths: pd.DataFrame) -> go.Figure:
    """Gain in accuracy against the ratio of mean response lengths to the base: a point an arm and benchmark.

    gains: difficulty.gains (points, against set B); lengths: length.response_length. Of both the rows over
    all levels are drawn; the large marker with its interval is all benchmarks: the reading of Table 1.
    """
    tokens = lengths[lengths["level"] == ALL].set_index(["arm", "benchmark"])["estimate"]
    ratio = (tokens / tokens["base"]).rename("ratio").reset_index()
    fair = gains[(gains["level"] == ALL) & (gains["against"] == "B") & ~gains["benchmark"].isin(PARTS)]
    table = fair.merge(ratio, on=["arm", "benchmark"])
    fig = go.Figure()
    fig.add_hline(y=0, line={"color": colour_of("base"), "width": 1, "dash": "dash"})
    for arm in in_order(list(table["arm"].unique())):
        for whole, cells in table[table["arm"] == arm].groupby(table["benchmark"] == ALL):
            fig.add_scatter(
                x=cells["ratio"].round(3),
                y=cells["estimate"].round(2),
                name=name_of(arm),
                mode="markers",
                text=cells["benchmark"].replace(ALL, "all benchmarks"),
                marker={"symbol": marker_of(arm), "color": colour_of(arm), "size": 13 if whole else 7},
                opacity=1.0 if whole else 0.5,
                legendgroup=arm,
                showlegend=bool(whole),
                hovertemplate="%{text}: %{x:.1f} times as long, %{y:.1f} points",
                **(error_bars(cells, colour_of(arm)) if whole else {}),
            )
    fig.update_xaxes(title_text="length, times the base's (log)")
    log_ticks(fig.update_xaxes)
    fig.update_yaxes(title_text="gain in accuracy (points)")
    return dress(fig, "Does length buy accuracy?", 380)


def accuracy_against_length(accuracy: pd.DataFrame, lengths: pd.DataFrame) -> go.Figure:
    """Accuracy over all benchmarks against mean response tokens, both with intervals: a point an arm."""
    scores = accuracy[accuracy["benchmark"] == ALL].set_index("arm")
    tokens = lengths[(lengths["benchmark"] == ALL) & (lengths["level"] == ALL)].set_index("arm")
    fig = go.Figure()
    for arm in in_order(list(scores.index.intersection(tokens.index))):
        point = arm_line(scores.loc[[arm]], arm, tokens.loc[[arm], "estimate"].round(1), 11).update(mode="markers")
        fig.add_trace(point.update(error_bars(tokens.loc[[arm]], colour_of(arm), "x")))
    fig.update_xaxes(title_text="mean response tokens (log)")
    log_ticks(fig.update_xaxes)
    fig.update_yaxes(title_text="accuracy over all (%)")
    return dress(fig, "Accuracy against length", 380 + 6 * len(scores))
