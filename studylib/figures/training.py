"""Training curves."""

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from studylib.figures.palette import arm_line, colour_of, dress, in_order, name_of

# Column of the training log -> panel title with its unit.
TITLES = {
    "reward": "reward (0 to 1)",
    "accuracy": "accuracy reward (0 to 1)",
    "length": "length (tokens)",
    "entropy": "entropy (nats)",
    "kl": "KL to the base (nats)",
    "clipped": "clipped tokens (share)",
    "truncated": "truncated (share)",
    "zero_variance": "equal-reward groups (share)",
    "sft_loss": "SFT loss (nats a token)",
}


def panels(columns: str, **titles: str) -> dict[str, str]:
    """Panel titles of these columns of the log, in this order; `titles` that differ from TITLES or are not there."""
    return {column: titles.get(column) or TITLES[column] for column in columns.split()}


RL_PANELS = panels("reward accuracy length entropy kl clipped truncated zero_variance")


def training_curves(log: pd.DataFrame, panels: dict[str, str], title: str, window: int = 5) -> go.Figure:
    """One panel a column of the log: the logged values thin, their running mean of `window` logs thick.

    log: columns arm, step, and those of the panels; a column that no arm logged has no panel.
    """
    shown = {column: label for column, label in panels.items() if column in log and log[column].notna().any()}
    rows = -(-len(shown) // 2)
    fig = make_subplots(
        rows, 2, subplot_titles=list(shown.values()), vertical_spacing=0.3 / rows, horizontal_spacing=0.14
    )
    arms = in_order(list(log["arm"].unique()))
    for i, column in enumerate(shown):
        place = {"row": i // 2 + 1, "col": i % 2 + 1}
        for arm in arms:
            values = log[log["arm"] == arm].sort_values("step")[["step", column]].dropna()
            for trace in _raw_and_mean(values, column, arm, window, show=i == 0):
                fig.add_trace(trace, **place)
    fig.update_xaxes(title_standoff=2)
    fig.update_xaxes(title_text="step", row=rows)
    fig.update_yaxes(nticks=5, rangemode="nonnegative", exponentformat="none")
    return dress(fig, title, 170 * rows + 110, True)


def _raw_and_mean(values: pd.DataFrame, column: str, arm: str, window: int, show: bool) -> list[go.Scatter]:
    smooth = values[column].rolling(window, center=True, min_periods=1).mean()
    common = {"x": values["step"], "mode": "lines", "legendgroup": arm, "name": name_of(arm)}
    thin, thick = ({"color": colour_of(arm), "width": width} for width in (0.8, 2))
    return [
        go.Scatter(y=values[column].round(4), line=thin, opacity=0.4, showlegend=False, hoverinfo="skip", **common),
        go.Scatter(y=smooth.round(4), line=thick, showlegend=show, **common),
    ]


def rl_curves(log: pd.DataFrame) -> go.Figure:
    """Reward, length, entropy, KL, clipped and truncated shares and groups of equal reward, by step."""
    return training_curves(log, RL_PANELS, "RL training")


def sft_curves(log: pd.DataFrame) -> go.Figure:
    """Loss and token accuracy by step."""
    panels = {"loss": "loss (nats a token)", "token_accuracy": "token accuracy (share)"}
    return training_curves(log, panels, "Long-CoT SFT", window=9)


def checkpoint_scores(scores: pd.DataFrame) -> go.Figure:
    """Validation accuracy of every checkpoint with its interval, the chosen one ringed.

    scores: checkpoints.checkpoint_scores.
    """
    fig = go.Figure()
    for arm in in_order(list(scores["arm"].unique())):
        cells = scores[scores["arm"] == arm].sort_values("number")
        ring = {"color": "black", "width": cells["chosen"].map({True: 2, False: 0})}
        line = arm_line(cells, arm, cells["number"])
        fig.add_trace(line.update(marker={"size": cells["chosen"].map({True: 12, False: 6}), "line": ring}))
    unit = scores["unit"].iloc[0]
    fig.update_xaxes(title_text=f"{unit} of the checkpoint", tickvals=sorted(scores["number"].unique()))
    fig.update_yaxes(title_text="validation accuracy (%)")
    return dress(fig, "Checkpoints, the chosen one ringed", 340)
