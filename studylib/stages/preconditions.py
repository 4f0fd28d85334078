"""The gate's table, from what the base and the parents of the first seed have published."""

import pandas as pd

from studylib.params.load import Params
from studylib.params.schema import Gate
from studylib.store.store import Work


def gate(work: Work, params: Params) -> None:
    """`gate.csv`: the rows of analysis.gate, measured and held against the params."""
    from studylib.analysis.difficulty import with_parts
    from studylib.analysis.gate import Measured, gate_table, posed
    from studylib.analysis.scores import join_scores

    def table(role: str, file: str) -> pd.DataFrame:
        return pd.read_parquet(work.inputs[role].path / file)

    splits = {split: table(f"questions.{split}", "questions.parquet") for split in ("train", "validation", "test")}

    def scores(role: str, split: str) -> pd.DataFrame:
        parts = [table(f"{role}.{part}", f"{part}.parquet") for part in ("responses", "grades")]
        return join_scores(*parts, splits[split])

    wanted = Gate(**work.stage.params["gate"])
    measured = Measured(
        questions=splits,
        levels=with_parts(table("levels", "levels.parquet"), params.data.training),
        base=scores("base", "test"),
        instructed=scores("instructed", "test"),
        train=scores("train", "train"),
        plain=scores("plain", "validation"),
        prompts={prompt: scores(f"prompt.{n}", "validation") for n, prompt in enumerate(wanted.prompts)},
        sft=scores("sft", "test"),
        rl=scores("rl", "test"),
        sft_validation=table("sft.select", "validation.parquet"),
        rl_validation=table("rl.select", "validation.parquet"),
        traces=table("traces", "questions.parquet"),
    )
    rows = gate_table(measured, wanted)
    rows.to_csv(work.path / "gate.csv", index=False)
    work.facts |= {"gate": posed(rows)}
