"""Joins, lengths, words, flows and divergence on tables small enough to check by hand."""

import json
import math

import pandas as pd
import pytest
import scipy.stats

from studylib.analysis import curves, divergence, length, steps, style
from studylib.analysis.difficulty import tag_levels
from studylib.analysis.printed import in_paper_order, published, published_gains
from studylib.analysis.scores import join_scores, question_rates
from studylib.errors import StudyError


def responses(texts: list[str], arm: str = "sft_eureka", tokens: int = 10, cut: int = 0) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "benchmark": "MiniVision",
            "question_id": [f"q{i // 2}" for i in range(len(texts))],
            "arm": arm,
            "seed": 0,
            "sample": [i % 2 for i in range(len(texts))],
            "prompt_hash": "h",
            "text": texts,
            "tokens": tokens,
            "finish_reason": ["length"] * cut + ["stop"] * (len(texts) - cut),
        }
    )


def graded(table: pd.DataFrame, outcomes: list[str]) -> pd.DataFrame:
    keys = ["benchmark", "question_id", "arm", "seed", "sample"]
    return table[keys].assign(extracted="7", outcome=outcomes)


QUESTIONS = pd.DataFrame({"id": ["q0", "q1"], "problem": ["p0", "p1"]})


def joined(outcomes: list[str], **options) -> pd.DataFrame:
    table = responses(options.pop("texts", ["7"] * len(outcomes)), **options)
    return join_scores(table, graded(table, outcomes), QUESTIONS)


def test_only_the_outcome_correct_counts_as_correct():
    rates = question_rates(joined(["correct", "truncated", "unparsed", "grader error"]))
    assert rates["value"].tolist() == [0.5, 0.0] and rates["samples"].tolist() == [2, 2]


def test_join_names_the_row_that_does_not_fit():
    table = responses(["7"] * 4)
    grades = graded(table, ["correct"] * 4)
    with pytest.raises(StudyError, match=r"Sample 1 of sft_eureka \(seed 0\) on q1 has a response or"):
        join_scores(table, grades.iloc[:3], QUESTIONS)
    with pytest.raises(pd.errors.MergeError):
        join_scores(table, pd.concat([grades, grades]), QUESTIONS)


def test_truncation_share_counts_the_limit_and_not_the_grade():
    table = length.truncation_share(joined(["wrong"] * 4, cut=1))
    cell = table.set_index("benchmark").loc["MiniVision"]
    assert cell["share"] == 0.25 and cell["low"] < 0.25 < cell["high"] and "Wilson" in cell["source"]


def test_response_length_by_level():
    scores = joined(["correct", "correct", "wrong", "wrong"]).assign(tokens=[10, 30, 100, 300])
    cells = length.response_length(scores, tag_levels(scores)).set_index(["benchmark", "level"])["estimate"]
    assert cells["MiniVision", "L1"] == 20 and cells["MiniVision", "L5"] == 200 and cells["all", "all"] == 110


def test_times_as_long_is_the_ratio_of_mean_tokens_with_its_delta_method_interval():
    base = joined(["wrong"] * 4, arm="base").assign(tokens=[10, 10, 30, 30])
    arm = joined(["wrong"] * 4, arm="rl").assign(tokens=[40, 40, 40, 40])
    told = length.times_as_long(pd.concat([base, arm])).set_index("arm")
    assert told["estimate"].to_dict() == pytest.approx({"base": 1.0, "rl": 2.0})
    # log(40 / 20): the reference moves it by -(10 - 20) / 20 and -(30 - 20) / 20, so by 0.5 a question, df 1.
    half = scipy.stats.t.ppf(0.975, 1) * 0.5
    assert told.loc["rl", "high"] == pytest.approx(2 * math.exp(half))


def test_answers_that_grow_and_gain_correlate():
    base = joined(["wrong", "wrong", "wrong", "wrong"], arm="base")
    arm = joined(["correct", "correct", "wrong", "wrong"]).assign(tokens=[40, 40, 10, 10])
    row = length.gain_with_length(arm, base).iloc[0]
    assert row["estimate"] == pytest.approx(1) and row["measure"] == "correlation" and row["against"] == "base"


def test_kl_is_told_as_ratios_of_openings_to_the_rest_and_of_arms():
    tokens = pd.DataFrame({"question_id": ["q0"] * 3 + ["q1"] * 3, "in_sentence": [0, 1, 2] * 2, "kl": [4, 1, 1] * 2})
    table = divergence.kl_contrasts(
        {"sft_eureka": tokens, "rl": tokens.assign(kl=tokens["kl"] / 8)}, QUESTIONS.assign(benchmark="MiniVision")
    ).set_index(["arm", "against"])["estimate"]
    assert table["sft_eureka", "inside a sentence"] == pytest.approx(math.log(4))
    assert table["rl", "sft_eureka"] == pytest.approx(-math.log(8))


def test_a_run_is_held_against_its_own_start():
    log = pd.DataFrame(
        {"arm": "two_stage_half", "step": [1, 2, 3], "reward": [0.5, 0.6, 0.2], "truncated": [0.1, 0.4, 0]}
    )
    told = curves.log_contrasts(log).set_index("measure")
    assert told["estimate"].to_dict() == pytest.approx({"reward": -0.3, "truncated": 0.3})
    assert (told["source"] == curves.RULE).all() and told["se"].isna().all()


def test_words_count_with_their_endings():
    scores = joined(["wrong"] * 2, texts=["Wait, some checks. Alternatively so", "await the letter"])
    counts = style.word_counts(scores).set_index("word")["count"]
    assert counts["wait"] == 1 and counts["check"] == 1 and counts["alternative"] == 1


def test_flows_add_up_and_a_model_against_itself_flows_by_chance_only():
    before = joined(["correct", "wrong", "correct", "correct"], arm="base")
    after = joined(["wrong", "wrong", "correct", "correct"])
    table = style.flows(before, after).query("benchmark == 'all'").set_index("flow")
    assert table["share"].sum() == pytest.approx(100) and table["share_by_chance"].sum() == pytest.approx(100)
    assert table.loc["right to wrong", "share"] == 25 and table.loc["wrong to right", "share"] == 0
    # q0 has one right and one wrong sample: a pair drawn without putting back flows this way half the time.
    assert table.loc["right to wrong", "share_by_chance"] == 25


def test_box_after_the_thought_is_needed_and_the_end_too():
    texts = [
        "<think> a </think> \\boxed{7}",
        "\\boxed{7}",
        "<think> \\boxed{7}",
        "<think> a </think> \\boxed{7}",
    ]
    table = style.finish_and_box(joined(["correct"] * 4, texts=texts, cut=1))
    assert table["estimate"].iloc[0] == 25


def test_sentence_position_starts_anew_after_each_sentence_and_response():
    tokens = pd.DataFrame(
        {"response": [0] * 6 + [1], "token": ["Wait", ",", " no", ".", " Then", " 3", "So"], "kl": 0.0}
    )
    assert divergence.with_sentence_position(tokens)["in_sentence"].tolist() == [0, 1, 2, 3, 0, 1, 0]


def test_pivotal_tokens_are_ranked_by_mean_and_rare_ones_left_out():
    tokens = pd.DataFrame(
        {
            "token": ["Wait", " wait", "3", "3", "rare"],
            "kl": [2.0, 4.0, 0.1, 0.3, 9.0],
            "in_sentence": [0, 0, 1, 2, 1],
        }
    )
    table = divergence.pivotal_tokens(tokens, least_count=2)
    assert table["token"].tolist() == ["wait", "3"] and table["kl"].tolist() == pytest.approx([3.0, 0.2])
    assert divergence.kl_by_place(tokens).set_index("place")["count"].tolist() == [3, 2]


def test_ways_have_a_share_and_an_accuracy_of_their_own():
    scene = {"figure": "grid", "style": 0, "cells": {"0": ["red", "digit", 3], "1": ["blue", "digit", 4]}}
    questions = pd.DataFrame({"id": ["q0", "q1"], "scene": json.dumps({"scene": scene})})
    every = "row 1: red 3 blue 4. row 2: none. row 3: none. row 4: none."
    texts = [every, every, "So it is red. row 1: red 3 makes 3 blue 4.", "That gives 7."]
    table = steps.ways(joined(["correct", "wrong", "correct", "wrong"], texts=texts), questions)
    told = table[table["benchmark"] == "all"].set_index("way")
    assert told["estimate"].to_dict() == {"short": 50, "none": 25, "long": 25}
    assert told["right"].to_dict() == {"short": 50, "none": 0, "long": 100}
    assert steps.ways(joined(["wrong"] * 2), questions.assign(scene="")).empty


def test_steps_are_counted_only_where_the_question_has_a_program():
    cells = {"0": ["red", "digit", 3], "5": ["red", "digit", 4]}
    scene = {"figure": "grid", "style": 0, "cells": cells}
    program = json.dumps({"scene": scene, "start": 0, "value": "7", "ops": [[["+", 3]], [["+", 4]], [], []]})
    right, wrong = "row 1: red 3 makes 3.", "row 1: blue 3 makes 3."
    scores = joined(["correct"] * 4, texts=[right, wrong, right, "7"])
    one = steps.steps_right(scores, pd.DataFrame({"id": ["q0", "q1"], "scene": [program, ""]}))
    assert one.to_dict() == {"sft_eureka": 50}
    none = steps.steps_right(scores, pd.DataFrame({"id": ["q0", "q1"], "scene": ["", ""]}))
    assert none.index.tolist() == ["sft_eureka"] and none.isna().all()


def test_benchmarks_stand_in_the_papers_order_by_our_names_and_by_its_own():
    assert in_paper_order(["MiniStar", "MiniVerse", "Another", "MiniStar"]) == ["MiniVerse", "MiniStar", "Another"]
    assert in_paper_order(["MMStar", "MathVision", "MMMU"]) == ["MathVision", "MMMU", "MMStar"]


def test_published_tables_are_whole():
    gains = published_gains()
    assert len(gains) == 5 * 7 * 5 and gains["arm"].notna().all()
    headline = published("headline").set_index("method")
    assert headline.drop(columns="avg").mean(axis=1).round(1).sub(headline["avg"]).abs().max() <= 0.11
