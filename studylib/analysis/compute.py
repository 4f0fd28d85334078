"""What an arm cost: tokens, wall time and floating-point operations, its own and those of all that it needs.

    FLOPs = N (6 trained + 2 scored + 2 generated)

in tokens, with N the parameters of the language model: two operations a parameter forward, and twice as many
backward (Kaplan et al. 2020, arXiv 2001.08361, section 2.1). Scored are the tokens that GRPO reads once more to know
their probability under the reference (beta > 0) and under the policy before its update (several mini-batches).
Generated are also those of the data that the arm is trained on and of the validation that chooses a checkpoint.
Left out: the frozen vision tower, prompts read in generation, and attention's own term in the context length.
What several arms need, each of them pays in full.
"""

from typing import Any

import pandas as pd

from studylib.analysis.checkpoints import with_problems
from studylib.analysis.difficulty import POINTS
from studylib.analysis.scores import question_rates
from studylib.analysis.stats import crossed_mean, paired_differences

TOKENS = ["trained_tokens", "scored_tokens", "generated_tokens"]
FLOPS = {"trained_tokens": 6, "scored_tokens": 2, "generated_tokens": 2}  # a parameter and token


def stage_costs(manifests: list[dict[str, Any]], parameters: int) -> pd.DataFrame:
    """A row a stage: name, kind, TOKENS, seconds (wall time), flops. parameters: N."""
    rows = [{"name": m["name"], "kind": m["kind"], **_tokens(m), "seconds": m["seconds"]} for m in manifests]
    return _with_flops(pd.DataFrame(rows), parameters)


def _tokens(manifest: dict[str, Any]) -> dict[str, int]:
    """Tokens of one stage, from the facts in its manifest."""
    facts, rl = manifest["facts"], manifest["params"].get("rl")
    trained = facts["trained_tokens"] if manifest["kind"] == "sft" or rl else 0
    passes = (rl["beta"] > 0) + (rl["mini_batches"] > 1) if rl else 0
    generated = facts.get("generated_tokens", 0) if rl else facts.get("tokens", 0)
    return {"trained_tokens": trained, "scored_tokens": passes * trained, "generated_tokens": generated}


def _with_flops(table: pd.DataFrame, parameters: int) -> pd.DataFrame:
    per_parameter = sum(each * table[tokens] for tokens, each in FLOPS.items())
    return table.assign(flops=float(parameters) * per_parameter)


def arm_costs(histories: dict[str, list[dict[str, Any]]], parameters: int) -> pd.DataFrame:
    """A row an arm: TOKENS, seconds, flops of all that it needs, and own_flops, those of its own stages.

    histories: by arm, the manifests of its selection and of all that this needs (Study.history).
    """
    rows = []
    for arm, manifests in histories.items():
        costs = stage_costs(manifests, parameters)
        own = costs["name"].str.split(".").str[0] == arm
        total = costs[[*TOKENS, "seconds", "flops"]].sum()
        rows.append({"arm": arm, **total, "own_flops": costs.loc[own, "flops"].sum()})
    return pd.DataFrame(rows)


def checkpoint_costs(
    arm: str, history: list[dict[str, Any]], parameters: int, log: pd.DataFrame | None = None
) -> pd.DataFrame:
    """FLOPs spent when a checkpoint of an arm is there: arm, checkpoint, flops; all that it needs included.

    Each checkpoint pays for its own validation and for those before it. log: the arm's training log, which only RL
    needs, since its responses change in length; SFT reads all traces once an epoch.
    """
    trained, chosen = (next(m for m in history if m["name"] == name) for name in (arm, f"{arm}.select"))
    before = [m for m in history if m is not trained and m is not chosen]
    inherited = stage_costs(before, parameters)["flops"].sum() if before else 0.0
    names = trained["facts"]["checkpoints"]
    own, validated = (stage_costs([m], parameters).iloc[0] for m in (trained, chosen))
    done = [(i + 1) / len(names) for i in range(len(names))]
    if log is None:
        spent = [share * own["flops"] for share in done]
    else:
        spent = [_until(log, name, trained, own, parameters) for name in names]
    flops = [inherited + cost + share * validated["flops"] for cost, share in zip(spent, done, strict=True)]
    return pd.DataFrame({"arm": arm, "checkpoint": names, "flops": flops})


def _until(log: pd.DataFrame, checkpoint: str, trained: dict, own: pd.Series, parameters: int) -> float:
    """FLOPs of an RL stage up to one of its checkpoints ("step-20")."""
    steps, rl = log[log["step"] <= int(checkpoint.partition("-")[2])], trained["params"]["rl"]
    read = steps["tokens"].iloc[-1]
    generated = steps["length"].sum() * rl["prompts_per_step"] * rl["rollouts"]
    scored = own["scored_tokens"] / own["trained_tokens"] * read
    tokens = {"trained_tokens": read, "scored_tokens": scored, "generated_tokens": generated}
    return float(_with_flops(pd.DataFrame([tokens]), parameters)["flops"].iloc[0])


def at_budget(curves: pd.DataFrame, budgets: dict[str, float]) -> pd.DataFrame:
    """The best checkpoint of every arm that costs no more than a budget, a row a budget and arm that has one.

    curves: arm, checkpoint, flops and a validation accuracy with its interval (estimate, low, high). budgets: FLOPs
    by name. Columns: budget, then those of the curves.
    """
    rows = []
    for name, budget in budgets.items():
        within = curves[curves["flops"] <= budget * (1 + 1e-9)]
        best = within.loc[within.groupby("arm", sort=False)["estimate"].idxmax()]
        rows.append(best.assign(budget=name))
    table = pd.concat(rows, ignore_index=True)
    return table[["budget", *curves.columns]]


def matched_differences(
    matched: pd.DataFrame, validation: pd.DataFrame, questions: pd.DataFrame, against: list[str]
) -> pd.DataFrame:
    """Validation accuracy of each arm at its own price minus that of others at no higher one, in points.

    matched: at_budget, with a budget named after each arm. validation: the responses of all checkpoints; questions:
    those asked. Columns: arm, against, checkpoint (of the other), then those of stats.Estimate; paired.
    """
    scored = dict(list(with_problems(validation, questions).groupby(["arm", "checkpoint"])))
    rows = []
    for arm, within in matched.groupby("budget", sort=False):
        best = within.set_index("arm")["checkpoint"]
        for other in [name for name in against if name in best and name != arm]:
            mine, theirs = (question_rates(scored[name, best[name]]) for name in (arm, other))
            estimate = crossed_mean(paired_differences(mine, theirs).eval(f"value = {POINTS} * value"))
            rows.append({"arm": arm, "against": other, "checkpoint": best[other], **vars(estimate)})
    return pd.DataFrame(rows)
