"""How far a model has moved from the base, token by token."""

import pandas as pd

from studylib.engine.models import base_path
from studylib.params.load import Params
from studylib.store.files import load_rows, model_of, write_table
from studylib.store.store import Work


def divergence(work: Work, params: Params) -> None:
    """`tokens.parquet`: KL to the base, token by token, of some test responses (paper 2.3)."""
    from studylib.engine.token_kl import token_kl

    responses = pd.read_parquet(work.inputs["responses"].path / "responses.parquet")
    first = responses[responses["sample"] == 0]
    chosen = first.groupby("benchmark", sort=False).head(work.stage.params["questions"]).reset_index(drop=True)
    shown = load_rows(work.inputs["questions"])
    place = {name: i for i, name in enumerate(shown["id"])}
    rows = shown.select([place[name] for name in chosen["question_id"]])
    table = token_kl(model_of(work.inputs, params), base_path(params), rows, list(chosen["text"]))
    write_table(table.assign(question_id=table["response"].map(chosen["question_id"])), work.path / "tokens.parquet")
