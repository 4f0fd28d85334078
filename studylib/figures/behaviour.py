"""What the responses look like: words, flows between right and wrong, pivotal tokens."""

import pandas as pd
import plotly.graph_objects as go

from studylib.figures.levels import panel_order
from studylib.figures.palette import FAINT, colour_of, dress, in_order, name_of

GAINED, LOST = "#b8c400", "#d0006f"  # of no arm


def reflection_words(counts: pd.DataFrame) -> go.Figure:
    """Reflection words by arm. counts: style.word_counts; drawn per 1000 responses."""
    fig = go.Figure()
    for arm in in_order(list(counts["arm"].unique())):
        cells = counts[counts["arm"] == arm]
        fig.add_bar(
            x=cells["word"],
            y=cells["per_1000_responses"].round(1),
            name=name_of(arm),
            marker_color=colour_of(arm),
            customdata=cells["count"],
            hovertemplate="%{x}: %{y:.0f} per 1000 responses (%{customdata} in all)",
        )
    fig.update_layout(barmode="group", bargap=0.2)
    fig.update_yaxes(title_text="per 1000 responses")
    return dress(fig, "Reflection words", 360)


def flows(table: pd.DataFrame, before: str, after: str) -> go.Figure:
    """Share of questions that go wrong (to the left) and right (to the right) from one arm to another.

    table: style.flows. The black bars mark what two samples of the first arm would show by chance.
    """
    panels = panel_order(table["benchmark"])[::-1]
    names = ["All" if panel == "all" else panel for panel in panels]
    fig = go.Figure()
    for flow, side, colour in (("right to wrong", -1, LOST), ("wrong to right", 1, GAINED)):
        cells = table[table["flow"] == flow].set_index("benchmark").loc[panels]
        fig.add_bar(
            y=names,
            x=(side * cells["share"]).round(2),
            name=flow,
            orientation="h",
            marker_color=colour,
            text=cells["share"].map("{:.1f}".format),
            textposition="inside",
            insidetextanchor="start",
            textangle=0,
        )
        fig.add_scatter(
            y=names,
            x=(side * cells["share_by_chance"]).round(2),
            name="by chance",
            mode="markers",
            marker={"symbol": "line-ns", "size": 20, "line": {"width": 2, "color": "black"}},
            legendgroup="chance",
            showlegend=side > 0,
        )
    fig.add_vline(x=0, line={"color": FAINT, "width": 1})
    fig.update_layout(barmode="relative", bargap=0.35)
    fig.update_xaxes(title_text="share of questions (%)", labelalias={f"−{tick}": f"{tick}" for tick in range(101)})
    title = f"From {name_of(before)} to {name_of(after)}"
    return dress(fig, title, 45 * len(panels) + 140)


def pivotal_tokens(tables: dict[str, pd.DataFrame], top: int = 12) -> go.Figure:
    """Tokens where an arm departs most from the base: mean KL with 95 % intervals over tokens.

    tables: divergence.pivotal_tokens by arm. The tokens are those of the first arm's table, largest on top.
    """
    arms = list(tables)
    tokens = tables[arms[0]]["token"].head(top).tolist()[::-1]
    fig = go.Figure()
    for arm in arms[::-1]:
        cells = tables[arm].set_index("token").reindex(tokens)
        fig.add_bar(
            y=[f"“{token}”" for token in tokens],
            x=cells["kl"].round(4),
            name=name_of(arm),
            orientation="h",
            marker_color=colour_of(arm),
            error_x={"type": "data", "array": (1.96 * cells["se"]).round(4), "thickness": 1, "width": 2},
        )
    fig.update_layout(barmode="group", bargap=0.25)
    fig.update_xaxes(title_text="KL to the base (nats a token)")
    fig.update_legends(traceorder="reversed")
    return dress(fig, "Pivotal tokens", 26 * len(tokens) + 130)
