"""Where a trained model departs from the base: pivotal tokens by per-token KL (paper, section 2.3)."""

import pandas as pd

from studylib.errors import StudyError

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
    if kept.empty:
        raise StudyError(f"No token occurs {least_count} times in the KL table; give it more responses.")
    return kept.nlargest(top, "kl").reset_index()


def kl_by_place(tokens: pd.DataFrame) -> pd.DataFrame:
    """Mean KL in nats of sentence openings and of all later tokens: place, kl, se, count."""
    place = tokens["in_sentence"].eq(0).map({True: "opens a sentence", False: "inside a sentence"})
    grouped = tokens.assign(place=place).groupby("place")["kl"]
    return grouped.agg(kl="mean", se="sem", count="size").reset_index()
