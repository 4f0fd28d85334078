"""How much SFT a combination contains: what its result is read beside.

One that has seen few demonstrations cannot show what SFT and RL do together, whatever its accuracy.
"""

import pandas as pd

COLUMNS = ["demonstrations", "demonstration_tokens", "share", "sft_loss", "gradient_ratio"]


def dose(log: pd.DataFrame, traces: float = 0) -> dict[str, float]:
    """A training's dose of SFT up to a step: COLUMNS.

    log: of the training, up to the checkpoint that was chosen. traces: how often a trace was read, where all that was
    trained on is traces; else the log counts them. demonstration_tokens: those with a loss (where all is traces, all
    tokens, prompts included); share: in % of the tokens trained on; sft_loss: nats a token, over the last tenth of the
    rows that have one; gradient_ratio: the norm of the SFT term's gradient over that of the RL term's, the median of
    the steps at which both were measured, NaN where there are not two terms.
    """
    trained = float(log["tokens"].iloc[-1])
    if traces:
        return _row(traces, trained, trained, log["loss"], pd.Series(dtype=float))
    steps = log["step"].diff().fillna(log["step"].iloc[0])  # SFT logs the mean over the steps since the line before
    losses = log.get("sft_loss", log.get("demonstration_loss", pd.Series(dtype=float))).dropna()
    ratio = log["sft_gradient"] / log["rl_gradient"] if "sft_gradient" in log else pd.Series(dtype=float)
    read = [float((log[name] * steps).sum()) for name in ("demonstrations", "demonstration_tokens")]
    return _row(*read, trained, losses, ratio)


def _row(demonstrations: float, tokens: float, trained: float, losses: pd.Series, ratio: pd.Series) -> dict[str, float]:
    last = losses.tail(max(1, len(losses) // 10)).mean()
    return dict(zip(COLUMNS, (demonstrations, tokens, 100 * tokens / trained, last, ratio.median()), strict=True))


def up_to(log: pd.DataFrame, checkpoint: str) -> pd.DataFrame:
    """The rows of a log up to a checkpoint: "step-45" or "epoch-2"."""
    unit, number = checkpoint.rsplit("-", 1)
    return log[log[unit] <= float(number) + 1e-6]


def of_combinations(
    logs: dict[str, pd.DataFrame], chosen: dict[str, str], traces: int, sft: str = "sft_eureka"
) -> pd.DataFrame:
    """A row per arm of `chosen`: arm, the checkpoint, and its dose up to there.

    logs: by arm, of those that are trained; chosen: the checkpoint by arm; traces: how many SFT is trained on. An arm
    without demonstrations of its own log has SFT's whole dose: of two-stage, whose second stage has none, `share` is
    over both stages, and of merging, whose weights are mixed, it is not known.
    """
    epochs = float(chosen[sft].rsplit("-", 1)[1])
    whole = dose(up_to(logs[sft], chosen[sft]), traces * epochs)
    rows = []
    for arm, checkpoint in chosen.items():
        if arm == sft:
            row = whole
        elif arm not in logs:
            row = whole | {"share": float("nan")}
        elif "demonstrations" in logs[arm]:
            row = dose(up_to(logs[arm], checkpoint))
        else:
            tokens = whole["demonstration_tokens"]
            row = whole | {"share": 100 * tokens / (tokens + float(up_to(logs[arm], checkpoint)["tokens"].iloc[-1]))}
        rows.append({"arm": arm, "checkpoint": checkpoint, **row})
    return pd.DataFrame(rows)
