"""Agreement with published verdicts: the bars, the tables, and that every disagreement has been read."""

import os
from pathlib import Path

import pandas as pd
import pytest

from studylib.analysis import agreement

OUT = Path(__file__).parents[1] / "outputs" / "grading"


@pytest.fixture(scope="module")
def data() -> Path:
    if "STUDY_DATA" not in os.environ:
        pytest.skip("STUDY_DATA is not set: it names the folder that holds grading/dev.jsonl.")
    return Path(os.environ["STUDY_DATA"])


@pytest.fixture(scope="module")
def graded(data):
    return agreement.grade_dev(data, jobs=2)


@pytest.fixture(scope="module")
def read():
    return pd.read_csv(OUT / "disagreements.csv", keep_default_na=False)


def test_verdicts_agree_on_the_development_rows(graded, read):
    table = agreement.agreement(graded, read, ["source", "question_type"]).set_index(["source", "question_type"])
    assert table.loc[("all", "all"), "agreement"] >= 0.975
    assert (table["agreement_without"] >= 0.96).all()
    assert (table["grader error"] == 0).all()
    shown = agreement.committed("agreement").set_index(["source", "question_type"])
    pd.testing.assert_frame_equal(table, shown, check_dtype=False, atol=1e-4)  # what chapter 02 reads is up to date
    short = table[table["agreement"] < 0.96]
    assert list(short.index) == [("mathvista", "multi_choice")]  # verdicts on empty responses: see the chapter


def test_the_committed_classes_cover_every_disagreement(graded, read):
    now = agreement.disagreements(graded, read)
    assert set(now["class"]) <= {"ours wrong", "theirs wrong", "ambiguous"}
    assert set(now["row"]) == set(read["row"])
    assert "response" not in read.columns and read["why"].str.len().between(5, 120).all()


def test_pairs_of_other_suites_agree(data):
    pairs = agreement.grade_pairs(data, jobs=2)
    read = pd.read_csv(OUT / "pair_disagreements.csv", keep_default_na=False)
    assert pairs["agrees"].mean() >= 0.95
    assert set(agreement.disagreements(pairs, read)["class"]) <= {
        "ours wrong",
        "theirs wrong",
        "ambiguous",
        "contradiction",
    }


def test_shares_leave_out_what_was_read_as_plainly_wrong():
    graded = pd.DataFrame(
        {"source": ["a", "a", "b"], "row": [0, 1, 2], "outcome": ["correct", "unparsed", "wrong"]}
    ).assign(agrees=[True, False, False])
    read = pd.DataFrame({"row": [1, 2], "class": ["theirs wrong", "ours wrong"]})
    table = agreement.agreement(graded, read, ["source"]).set_index("source")
    assert table.loc["a", ["agreement", "agreement_without", "theirs_wrong"]].tolist() == [0.5, 1.0, 1]
    assert table.loc["b", "agreement_without"] == 0.0
    assert table.loc["all", "unparsed"] == pytest.approx(1 / 3)


def test_a_new_disagreement_is_unread_until_somebody_reads_it():
    graded = pd.DataFrame({"row": [0, 1], "outcome": ["wrong", "wrong"], "agrees": [False, False]})
    read = pd.DataFrame({"row": [0], "outcome": ["wrong"], "class": ["ambiguous"], "why": ["two answers"]})
    assert agreement.disagreements(graded, read)["class"].tolist() == ["ambiguous", "unread"]


def test_habits_of_grading_move_the_same_responses():
    row = {"question_type": "multi_choice", "choices": ["x", "y"], "answer": "A", "question": ""}
    says = ["\\boxed{A}", "The answer is A.", "I cannot say.", "<think> The answer is A."]
    table = agreement.policies([row | {"response": text} for text in says])
    assert table["ours"].tolist() == [1, 1, 0, 0]
    assert table["box_only"].tolist() == [1, 0, 0, 0]
    assert table["cut_as_answer"].tolist() == [1, 1, 0, 1]
    assert table["random_option"].tolist() == [1, 1, 0.5, 0]
    assert table["judge_at_best"].tolist() == [1, 1, 1, 0]
    assert table["unparsed_dropped"].isna().tolist() == [False, False, True, True]


def test_the_habits_of_an_arm_come_from_its_own_responses():
    questions = pd.DataFrame([{"id": "q", "question": "", "question_type": "free_form", "choices": [], "answer": "5"}])
    questions = questions.assign(answer_type="integer", precision=float("nan"), unit=None)
    said = [("sft", "\\boxed{5}", "stop"), ("sft", "<think> 5", "length"), ("base", "The answer is 5.", "stop")]
    responses = pd.DataFrame(said, columns=["arm", "text", "finish_reason"]).assign(question_id="q")
    table = agreement.study_habits(responses, questions)
    assert table.loc["sft", ["ours", "box_only", "cut_as_answer"]].tolist() == [50, 50, 100]
    assert table.loc["base", ["ours", "box_only"]].tolist() == [100, 0]
