"""What the combinations of SFT and RL do while they train."""

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from studylib.analysis.curves import LOSSES
from studylib.figures.palette import FAINT, colour_of, dress, in_order, marker_of, name_of
from studylib.figures.training import panels

TWO_STAGE_PANELS = panels(
    "reward truncated length budget_used entropy kl zero_variance clipped",
    budget_used="length / budget",
    kl="KL to its start (nats)",
)
INTERLEAVED_PANELS = panels("reward accuracy length truncated sft_loss entropy zero_variance kl")
PROGRESSIVE_PANELS = panels(
    "reward accuracy length truncated entropy sft_loss",
    length="own length (tokens)",
    sft_loss="prefix loss (nats a token)",
)
LOSS_COLOURS = {"SFT alone": "sft_eureka", "SFT and RL": "interleaved_all", "RL alone": "rl"}
HATCHES = {"SFT alone": "", "SFT and RL": "x", "RL alone": "/"}
PREFIX_PANELS = {
    "prefix_share": "share of the trace given",
    "taught": "rollouts with a prefix (share)",
    "prefix_length": "prefix length (tokens)",
}


def losses_by_step(shares: pd.DataFrame, window: int = 5) -> go.Figure:
    """Which share of the questions got which loss, by step: a panel an arm, running means of `window` steps.

    shares: curves.loss_shares. Hatching says the same as the colours.
    """
    arms = in_order(list(shares["arm"].unique()))
    fig = make_subplots(1, len(arms), subplot_titles=[name_of(arm) for arm in arms], shared_yaxes=True)
    for place, arm in enumerate(arms, 1):
        for loss in LOSSES:
            cells = shares[(shares["arm"] == arm) & (shares["loss"] == loss)].sort_values("step")
            area = go.Scatter(
                x=cells["step"],
                y=(100 * cells["share"]).rolling(window, center=True, min_periods=1).mean().round(2),
                name=loss,
                mode="lines",
                line={"color": colour_of(LOSS_COLOURS[loss]), "width": 1},
                fillpattern={"shape": HATCHES[loss], "fillmode": "overlay", "size": 7, "solidity": 0.25},
                stackgroup=arm,
                legendgroup=loss,
                showlegend=place == 1,
            )
            fig.add_trace(area, row=1, col=place)
    fig.update_xaxes(title_text="step", title_standoff=2)
    fig.update_yaxes(range=[0, 100])
    fig.update_yaxes(title_text="questions (%)", col=1)
    return dress(fig, "Which loss the questions of a step got", 320, True)


def prefixes(schedule: pd.DataFrame, log: pd.DataFrame) -> go.Figure:
    """The schedule of the prefixes as planned (line) and as logged (dots), and what came of it.

    schedule: columns step, prefix_share. log: of one arm; where no question ever had a prefix it tells no length.
    """
    log = log.reindex(columns=["arm", "step", *PREFIX_PANELS]).astype(dict.fromkeys(PREFIX_PANELS, float))
    fig = make_subplots(1, len(PREFIX_PANELS), subplot_titles=list(PREFIX_PANELS.values()), horizontal_spacing=0.09)
    planned = go.Scatter(
        x=schedule["step"],
        y=schedule["prefix_share"].round(4),
        name="planned",
        mode="lines",
        line={"color": FAINT, "width": 7},
        opacity=0.5,
    )
    fig.add_trace(planned, row=1, col=1)
    arm = log["arm"].iloc[0]
    for place, column in enumerate(PREFIX_PANELS, 1):
        logged = go.Scatter(
            x=log["step"],
            y=log[column].round(4),
            name=f"{name_of(arm)}, logged",
            mode="markers",
            marker={"symbol": marker_of(arm), "size": 5, "color": colour_of(arm)},
            legendgroup=arm,
            showlegend=place == 1,
        )
        fig.add_trace(logged, row=1, col=place)
    fig.update_xaxes(title_text="step", title_standoff=2, range=[0, len(schedule) + 1])
    fig.update_yaxes(rangemode="tozero")
    return dress(fig, "Prefixes that shrink to nothing", 300, True)
