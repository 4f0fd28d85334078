"""Figure 1 of the paper, and the base that the levels come from."""

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from studylib.analysis.difficulty import ALL, LEVELS, PARTS, SIXTEENTHS, level_counts
from studylib.analysis.printed import in_paper_order, paper_name
from studylib.figures.palette import FAINT, LEVEL_COLOURS, arm_line, colour_of, dress, in_order, marker_of, name_of

COLUMNS = 2
OWN = "Base, second set (regression to the mean)"
HOVER = (
    "%{y:.1f} [%{customdata[0]:.1f}, %{customdata[1]:.1f}] points, "
    "%{customdata[2]} questions<br>interval: %{customdata[3]}"
)


def panel_grid(names: list[str], columns: int = COLUMNS, **options) -> tuple[go.Figure, dict[str, dict[str, int]]]:
    """A grid of panels, and the place of each by its name."""
    rows = -(-len(names) // columns)
    titles = [panel_name(name) for name in names]
    fig = make_subplots(
        rows, columns, subplot_titles=titles, vertical_spacing=0.27 / rows, horizontal_spacing=0.1, **options
    )
    places = {name: {"row": i // columns + 1, "col": i % columns + 1} for i, name in enumerate(names)}
    return fig, places


def panel_name(panel: str) -> str:
    return f"{panel.capitalize()} benchmarks" if panel in (*PARTS, ALL) else panel


def panel_order(panels: pd.Series) -> list[str]:
    """Benchmarks in the paper's order, then those trained on together, those held out, and all."""
    wider = [panel for panel in (*PARTS, ALL) if panel in set(panels)]
    return in_paper_order(set(panels) - set(wider)) + wider


def level_axes(fig: go.Figure, room: float = 0.4) -> None:
    """The levels from easy to hard on the x axes, with so much room at the ends."""
    ends = [-room, len(LEVELS) - 1 + room]
    fig.update_xaxes(tickvals=list(range(len(LEVELS))), ticktext=list(LEVELS), range=ends)


def gain_by_level(gains: pd.DataFrame, published: pd.DataFrame | None = None) -> go.Figure:
    """Gain over the base by difficulty level, a panel a benchmark (Figure 1).

    gains: difficulty.gains (points). Drawn are the fair gains (against "B") and the base's own regression
    line (set B minus set A). published: published.published_gains, dotted and in the same colours.
    """
    panels = panel_order(gains["benchmark"])
    fair = gains[(gains["against"] == "B") & (gains["level"] != ALL)]
    arms = in_order(list(fair["arm"].unique()))
    columns = COLUMNS if len(arms) <= 4 else 1
    fig, places = panel_grid(panels, columns, shared_yaxes="all")
    for panel in panels:
        own = _at_levels(gains[(gains["arm"] == "base") & (gains["against"] == "A")], panel)
        fig.add_trace(level_line(own, "base", panel == panels[0], name=OWN), **places[panel])
        for i, arm in enumerate(arms):
            cells = _at_levels(fair[fair["arm"] == arm], panel)
            shift = 0.6 * (i - (len(arms) - 1) / 2) / max(len(arms), 4)
            line = arm_line(cells, arm, cells["x"] + shift).update(showlegend=panel == panels[0], hovertemplate=HOVER)
            fig.add_trace(
                line.update(customdata=cells[["low", "high", "questions", "source"]].round(2)), **places[panel]
            )
        if published is not None:
            theirs = published[(published["benchmark"] == paper_name(panel)) & published["arm"].isin(arms)]
            for arm in in_order(list(theirs["arm"].unique())):
                name, cells = f"{name_of(arm)}, paper (7B)", theirs[theirs["arm"] == arm]
                trace = level_line(cells, arm, panel == panels[0], name=name)
                fig.add_trace(trace.update(line_dash="dot", opacity=0.7), **places[panel])
    fig.add_hline(y=0, line={"color": FAINT, "width": 1}, layer="below")
    level_axes(fig)
    fig.update_yaxes(title_text="gain (points)", title_standoff=4, col=1)
    height = 215 * -(-len(panels) // columns) + 24 * (len(arms) + (0 if published is None else 2)) + 40
    return dress(fig, "Gain over the base by difficulty level", height, True)


def paper_gains(published: pd.DataFrame) -> go.Figure:
    """Figure 1 as published: gain of each method by level, without intervals since the paper has none."""
    fig, places = panel_grid(list(dict.fromkeys(published["benchmark"])), shared_yaxes="all")
    for i, (panel, place) in enumerate(places.items()):
        for arm in in_order(list(published["arm"].unique())):
            cells = published[(published["arm"] == arm) & (published["benchmark"] == panel)]
            fig.add_trace(level_line(cells, arm, show=i == 0), **place)
    fig.add_hline(y=0, line={"color": FAINT, "width": 1}, layer="below")
    level_axes(fig)
    fig.update_yaxes(title_text="gain (points)", title_standoff=4, col=1)
    return dress(fig, "The paper's Figure 1 (digitised)", 780, True)


def _at_levels(table: pd.DataFrame, panel: str) -> pd.DataFrame:
    rows = table[(table["benchmark"] == panel) & (table["level"] != ALL)]
    return rows.assign(x=rows["level"].map(LEVELS.index)).sort_values("x")


def level_line(cells: pd.DataFrame, arm: str, show: bool, shift: float = 0.0, name: str | None = None) -> go.Scatter:
    """One arm's estimates by level, without intervals; a line without a marker if it is given a name of its own."""
    return go.Scatter(
        x=cells["level"].map(LEVELS.index).astype(float) + shift,
        y=cells["estimate"].round(2),
        name=name or name_of(arm),
        mode="lines" if name else "lines+markers",
        line={"color": colour_of(arm), "width": 1.2, "dash": "dash" if name else "solid"},
        marker={"symbol": marker_of(arm), "size": 6},
        legendgroup=name or arm,
        showlegend=show,
    )


def pass_at_k(table: pd.DataFrame, panel: str = ALL) -> go.Figure:
    """Is one of k samples right? By k on a log axis, a panel a level, of at most four arms.

    table: passk.pass_at_k; panel: a benchmark, a part, or all.
    """
    arms = in_order(list(table["arm"].unique()))
    cells = table[table["benchmark"] == panel]
    levels = [level for level in (*LEVELS, ALL) if level in set(cells["level"])]
    fig, places = panel_grid(levels, shared_yaxes="all")
    for level in levels:
        for arm in arms:
            mine = cells[(cells["level"] == level) & (cells["arm"] == arm)].sort_values("k")
            fig.add_trace(arm_line(mine, arm, mine["k"]).update(showlegend=level == levels[0]), **places[level])
    for title, level in zip(fig.layout.annotations, levels, strict=True):
        title.text = "All levels" if level == ALL else level
    ks = sorted(table["k"].unique())
    fig.update_xaxes(type="log", tickvals=ks, ticktext=[str(k) for k in ks])
    fig.update_xaxes(title_text="samples k", row=-(-len(levels) // COLUMNS))
    fig.update_yaxes(title_text="pass@k (%)", title_standoff=4, col=1)
    return dress(fig, f"pass@k by level, {panel_name(panel).lower() if panel in (*PARTS, ALL) else panel}", 690, True)


def pass_rates(levels: pd.DataFrame) -> go.Figure:
    """Questions by how many of the base's samples are correct, a panel a benchmark, coloured by level."""
    panels = panel_order(levels["benchmark"])
    fig, places = panel_grid(panels)
    samples = int(levels["samples"].iloc[0])
    for panel in panels:
        for level in LEVELS:
            cell = levels[(levels["benchmark"] == panel) & (levels["level"] == level)]
            counts = cell["correct"].value_counts().sort_index()
            bars = go.Bar(
                x=counts.index,
                y=counts,
                name=f"{level}: {_bounds(level)}",
                marker={"color": LEVEL_COLOURS[level], "line": {"color": "#44617a", "width": 0.5}},
                legendgroup=level,
                showlegend=panel == panels[0],
            )
            fig.add_trace(bars, **places[panel])
    fig.update_layout(barmode="stack", bargap=0.08)
    fig.update_xaxes(range=[-0.7, samples + 0.7], dtick=4, title_standoff=2)
    fig.update_xaxes(title_text=f"correct of {samples} samples", row=-(-len(panels) // COLUMNS))
    fig.update_yaxes(title_text="questions", title_standoff=4, col=1)
    return dress(fig, "Pass rate of the base, set A", 210 * (-(-len(panels) // 2)) + 80, True)


def _bounds(level: str) -> str:
    above = {name: bound for name, bound in SIXTEENTHS.items() if bound > SIXTEENTHS[level]}
    upper = min(above.values(), default=17) - 1
    return f"{SIXTEENTHS[level]}-{upper} of 16"


def level_sizes(levels: pd.DataFrame) -> go.Figure:
    """Questions in each level of each benchmark, as stacked bars with their counts."""
    counts = level_counts(levels)
    panels = panel_order(levels["benchmark"])[::-1]
    fig = go.Figure()
    for level in LEVELS:
        fig.add_bar(
            y=panels,
            x=counts.loc[panels, level],
            name=level,
            orientation="h",
            marker={"color": LEVEL_COLOURS[level], "line": {"color": "white", "width": 1}},
            text=counts.loc[panels, level],
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            textfont={"size": 11, "color": "white" if level in ("L4", "L5") else "#222222"},
        )
    fig.update_layout(barmode="stack", bargap=0.3)
    fig.update_xaxes(title_text="test questions")
    fig.update_legends(traceorder="normal")
    return dress(fig, "Questions in each difficulty level", 60 * len(panels) + 120)


def accuracy_by_benchmark(accuracy: pd.DataFrame, target: tuple[float, float] | None = None) -> go.Figure:
    """Accuracy of each arm on each benchmark with its interval; target: a band in % to be shaded."""
    panels = panel_order(accuracy["benchmark"])
    arms = in_order(list(accuracy["arm"].unique()))
    fig = go.Figure()
    if target is not None:
        fig.add_hrect(*target, fillcolor="#bbbbbb", opacity=0.25, line_width=0)
    for i, arm in enumerate(arms):
        cells = accuracy[accuracy["arm"] == arm].set_index("benchmark").reindex(panels)
        shift = 0.6 * (i - (len(arms) - 1) / 2) / max(len(arms), 3)
        fig.add_trace(arm_line(cells, arm, [place + shift for place in range(len(panels))], 8).update(mode="markers"))
    names = ["All" if panel == ALL else panel.replace("Mini", "Mini<br>") for panel in panels]
    fig.update_xaxes(tickangle=0, tickvals=list(range(len(panels))), ticktext=names)
    fig.update_yaxes(title_text="accuracy (%)")
    return dress(fig, "Accuracy by benchmark", 330 + 8 * len(arms))
