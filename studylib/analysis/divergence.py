"""Where a trained model departs from the base: pivotal tokens by per-token KL (paper, section 2.3)."""

import pandas as pd

from studylib.analysis.difficulty import ALL
from studylib.analysis.stats import crossed_mean, log_ratio, paired

SENTENCE_ENDS = (".", "?", "!", "\n", ":", "<think>", "</think>")


def with_sentence_position(tokens: pd.DataFrame) -> pd.DataFrame:
    """The table plus `in_sentence`: 0 for the token that opens a sentence, 1 for the next, and so on.

    tokens: columns response, position, token, kl, in order. Blank tokens belong to the sentence before them.
    """
    positions, response, place = [], None, 0
    for row in tokens.itertuples(index=False):
        if row.response != response:
            response, place = row.response, 0
        positions.append(place)
        if row.token.strip(" ").endswith(SENTENCE_ENDS):
            place = 0
        elif row.token.strip():
            place += 1
    return tokens.assign(in_sentence=positions)


def pivotal_tokens(tokens: pd.DataFrame, top: int = 15, least_count: int = 5) -> pd.DataFrame:
    """Tokens of the highest mean KL: token, kl (nats), se, count, opening (share that opens a sentence).

    Tokens seen fewer than `least_count` times are left out. Case and leading blanks are folded.
    """
    word = tokens["token"].str.strip().str.lower()
    table = tokens.assign(token=word, opening=tokens["in_sentence"] == 0)[word != ""]
    grouped = table.groupby("token").agg(
        kl=("kl", "mean"), se=("kl", "sem"), count=("kl", "size"), opening=("opening", "mean")
    )
    kept = grouped[grouped["count"] >= least_count]
    return kept.nlargest(top, "kl").reset_index()


def kl_by_place(tokens: pd.DataFrame) -> pd.DataFrame:
    """Mean KL in nats of sentence openings and of all later tokens: place, kl, se, count."""
    place = tokens["in_sentence"].eq(0).map({True: "opens a sentence", False: "inside a sentence"})
    grouped = tokens.assign(place=place).groupby("place")["kl"]
    return grouped.agg(kl="mean", se="sem", count="size").reset_index()


def kl_contrasts(tokens: dict[str, pd.DataFrame], questions: pd.DataFrame) -> pd.DataFrame:
    """How far arms are from the base, as ratios: rows as of difficulty.contrast, over all benchmarks.

    "log_kl_opening": the KL of tokens that open a sentence over that of the tokens inside; "log_kl": the KL per token
    of an arm over that of another, on the same questions. Means over responses, benchmarks alike; logs.
    tokens: by arm, with_sentence_position, with question_id. questions: id, benchmark, problem.
    """
    known = questions.set_index("id")[["benchmark", "problem"]]

    def rates(table: pd.DataFrame, arm: str) -> pd.DataFrame:
        means = table.groupby("question_id")["kl"].mean().rename("value").reset_index()
        return means.join(known, on="question_id").assign(arm=arm, seed=0)

    whole = {arm: rates(table, arm) for arm, table in tokens.items()}
    pairs = [(a, b, "log_kl", whole[a], whole[b]) for a in tokens for b in tokens if a != b]
    for arm, table in tokens.items():
        opening, inside = rates(table[table["in_sentence"] == 0], arm), rates(table[table["in_sentence"] > 0], arm)
        both = set(opening["question_id"]) & set(inside["question_id"])
        parts = [part[part["question_id"].isin(both)] for part in (opening, inside)]
        pairs.append((arm, "inside a sentence", "log_kl_opening", *parts))
    rows = [
        {"arm": arm, "against": other, "measure": measure, **vars(crossed_mean(log_ratio(paired(a, b))))}
        for arm, other, measure, a, b in pairs
    ]
    return pd.DataFrame(rows).assign(benchmark=ALL, level=ALL)
