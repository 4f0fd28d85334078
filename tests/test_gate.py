"""The gate: each precondition on answers whose measure is known, then the whole table on the mini world's own."""

import dataclasses
import json
import random

import numpy as np
import pandas as pd
import pytest

from studylib.analysis import gate, steps
from studylib.analysis.difficulty import tag_levels
from studylib.figures.tables import preconditions
from studylib.params.schema import Gate
from studylib.world.questions import draw_task, row
from studylib.world.tasks import steps_needed
from studylib.world.teachers import boxed, careful, short

WANTED = Gate(
    prompts=["Line by line."], strategy=10, strategy_share=0.01, prompt=5, instructed=2, short_steps=90,
    pass_hardest=(20, 60), pass_more=30, groups=50, letters=95, levels=-0.4, skill=0.1, skill_gain=5, converged=1,
    traces_right=97, steps_right=90, rl_gain=(2, 12), rl_length=(0.7, 1.5), dilemma=2, benchmarks=3, router=5,
)  # fmt: skip
BENCHMARKS = ("MiniVision", "MiniVerse", "MiniVista", "MiniMMMU", "MiniStar")


def answers(correct: np.ndarray, arm: str = "base", texts: str = "", **columns) -> pd.DataFrame:
    """Scores from (questions, samples) of 0 and 1, questions alternating between two benchmarks."""
    q, s = (index.ravel() for index in np.indices(correct.shape))
    table = {"benchmark": np.array(["MiniVision", "MiniStar"])[q % 2], "question_id": [f"q{i}" for i in q]}
    table |= {"problem": table["question_id"], "arm": arm, "seed": 0, "sample": s, "correct": correct.ravel() * 1.0}
    return pd.DataFrame(table | {"text": texts, "tokens": 10, "finish_reason": "stop"} | columns)


def verdicts(rows: list[list]) -> list[str]:
    return [told[-1] for told in rows]


def test_another_strategy_is_held_against_the_usual_one_within_a_question():
    train = answers(np.tile([1, 1, 0, 0, 0, 0, 1, 0], (20, 1)))
    train["strategy"] = np.where(train["sample"] < 2, "all items", "what counts")
    told = gate.strategies(train, WANTED)[0]
    assert told[2] == pytest.approx(100 - 100 / 6) and told[-1] == "fails" and "all items (25.0 %)" in told[1]
    assert verdicts(gate.strategies(train.assign(strategy="what counts"), WANTED)) == ["holds"]
    assert verdicts(gate.strategies(train.assign(strategy=None), WANTED)) == ["not measured"]


def test_the_best_prompt_counts():
    plain = answers(np.tile([1, 0], (20, 1)))
    better = answers(np.tile([1, 1], (20, 1)))
    told = gate.prompts(plain, {"Shortly.": plain, "Line by line.": better}, WANTED)[0]
    assert told[2] == 50 and "Line by line." in told[1] and told[-1] == "fails"
    assert verdicts(gate.prompts(plain, {"Shortly.": plain}, WANTED)) == ["holds"]


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("That gives 21. The answer is C.", ("C", "D")),
        ("<think>12+9=21. The answer is 21 (D).</think>\\boxed{D}", ("D", "D")),
        ("The answer is 4. It is B.", ("B", "A")),
        ("That gives 99. The answer is C.", None),
        ("It is row 2. \\boxed{C}", None),
        ("That gives 21.", None),
    ],
)
def test_the_letter_is_held_against_the_value_said_last(text, pair):
    assert gate.letter_of_value(text, ["4", "12", "17", "21"]) == pair


def test_options_in_words_are_values_too():
    assert gate.letter_of_value("It is row 2. The answer is row 2 (B). \\boxed{C}", ["row 1", "row 2", "row 3"]) == (
        "C",
        "B",
    )


def test_headroom_is_what_sixteen_samples_have_over_one():
    rates = np.repeat([[1] * 15 + [0], [1] * 9 + [0] * 7, [1] * 6 + [0] * 10, [1] * 3 + [0] * 13, [0] * 16], 8, axis=0)
    base = answers(rates)
    rows = gate.headroom(base, tag_levels(base), base[base["sample"] < 8], WANTED)
    assert [told[2] for told in rows] == pytest.approx([0, 100 * (1 - 9 / 16), 100 * 2 / 5])
    assert verdicts(rows) == ["fails", "holds", "fails"]


def test_a_router_gains_only_what_holds_on_other_samples():
    rng = np.random.default_rng(0)
    truth = np.repeat([[0.9, 0.1], [0.1, 0.9]], 50, axis=0)
    draw = lambda parent: answers((rng.random((100, 4)) < truth[:, [parent]]).astype(int))  # noqa: E731
    assert gate.something_to_win(draw(0), draw(1), WANTED)[0][2] > 25
    truth = np.full((100, 2), 0.5)
    told = gate.something_to_win(draw(0), draw(1), WANTED)[0]
    assert abs(told[2]) < 5 and told[-1] == "fails"


def test_the_dilemma_needs_both_ends_beyond_the_margin():
    levels = pd.DataFrame({"question_id": [f"q{i}" for i in range(80)], "level": ["L1"] * 40 + ["L5"] * 40})
    easy, hard = np.tile([1, 1, 1, 0], (40, 1)), np.tile([1, 0, 0, 0], (40, 1))
    noise = np.random.default_rng(1).random((80, 4)) < 0.1
    one, other = (np.abs(np.concatenate(parts) - noise) for parts in ((hard, easy), (easy, hard)))
    posed = gate.dilemma(answers(one, "sft_eureka"), answers(other, "rl"), levels, WANTED)
    assert verdicts(posed)[:2] == ["holds", "holds"] and posed[2][2] == 2
    assert verdicts(gate.dilemma(answers(other, "sft_eureka"), answers(one, "rl"), levels, WANTED))[:2] == ["fails"] * 2


def test_rl_is_converged_if_its_second_half_adds_nothing():
    def at(step: int, right: int) -> pd.DataFrame:
        table = answers(np.repeat([[1], [0]], [right, 40 - right], axis=0), "rl")
        return table.assign(checkpoint=f"step-{step}", outcome=np.where(table["correct"] > 0, "correct", "wrong"))

    questions = pd.DataFrame({"id": [f"q{i}" for i in range(40)], "problem": [f"q{i}" for i in range(40)]})
    rising = pd.concat([at(10, 10), at(20, 20), at(30, 25), at(40, 30)])
    assert gate.rl_converged(rising, questions, WANTED)[0][2] == pytest.approx(25)
    assert verdicts(gate.rl_converged(pd.concat([at(10, 10), at(20, 30), at(40, 30)]), questions, WANTED)) == ["holds"]
    assert verdicts(gate.rl_converged(at(10, 10), questions, WANTED)) == ["not measured"]


def test_posed_names_the_rows_that_do_not_hold():
    table = pd.DataFrame({"row": ["G1", "G2", "G4", "G4"], "verdict": ["holds", "not measured", "fails", "fails"]})
    assert gate.posed(table) == "not posed (fails: G4; not measured: G2)"
    assert gate.posed(table.assign(verdict="holds")) == "posed"


def split(name: str, each: int) -> tuple[pd.DataFrame, dict]:
    rng, rows, tasks = random.Random(name), [], {}
    for benchmark in BENCHMARKS:
        for number in range(each):
            task = dataclasses.replace(draw_task(benchmark, rng), version="")
            asked = row(benchmark, name, number, f"{benchmark}-{number}", task)
            rows.append({key: value for key, value in asked.items() if key != "images"})
            tasks[asked["id"]] = task
    return pd.DataFrame(rows), tasks


def responses(questions, tasks, arm: str, samples: int, write, right) -> pd.DataFrame:
    rng = np.random.default_rng(len(arm) + samples)
    rows = [
        {"benchmark": asked.benchmark, "question_id": asked.id, "problem": asked.problem, "arm": arm, "seed": 0,
         "sample": s, "correct": float(rng.random() < right(tasks[asked.id])), "tokens": 50, "finish_reason": "stop",
         "text": write(tasks[asked.id])}
        for asked in questions.itertuples() for s in range(samples)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_the_whole_table_on_the_mini_worlds_own_answers():
    questions, tasks = {}, {}
    for name, each in {"train": 4, "validation": 4, "test": 24}.items():
        questions[name], more = split(name, each)
        tasks |= more
    rng = random.Random(0)
    plainly, in_a_box = lambda task: short(task)[0], lambda task: boxed(*short(task))  # noqa: E731
    long = lambda task: careful(task, rng, slips=1.0).text  # noqa: E731
    easy = lambda task: 1 / (1 + np.exp(steps_needed(task) / 6 - 3))  # noqa: E731
    test = [questions["test"], tasks]
    base = responses(*test, "base", 16, plainly, easy)
    select = responses(questions["validation"], tasks, "sft_eureka", 1, long, easy).assign(outcome="correct")
    traces = [{"id": asked, "trace": careful(tasks[asked], rng).text} for asked in questions["train"]["id"]]
    measured = gate.Measured(
        questions=questions,
        levels=tag_levels(responses(*test, "base_a", 16, plainly, easy)),
        base=base,
        instructed=responses(*test, "base_instructed", 4, in_a_box, easy),
        train=responses(questions["train"], tasks, "base", 8, in_a_box, easy),
        plain=responses(questions["validation"], tasks, "base", 1, plainly, easy),
        prompts={"Shortly.": responses(questions["validation"], tasks, "base", 1, plainly, lambda task: 0)},
        sft=responses(*test, "sft_eureka", 4, long, lambda task: 1),
        rl=responses(*test, "rl", 4, in_a_box, easy),
        sft_validation=pd.concat([select.assign(checkpoint=f"epoch-{epoch}") for epoch in (1, 2)]),
        rl_validation=pd.concat([select.assign(checkpoint=f"step-{step}", arm="rl") for step in (10, 20)]),
        traces=pd.DataFrame(traces),
    )
    table = gate.gate_table(measured, WANTED)
    assert list(table.columns) == gate.COLUMNS and set(table["row"]) == {f"G{i}" for i in range(1, 14)}
    of = table.set_index(["row", "precondition"])
    assert not (table["verdict"] == "not measured").any()
    one = {row: rows.iloc[-1] for row, rows in table.groupby("row")}
    assert one["G3"]["measured"] == 100 and one["G7"]["measured"] == 0  # nobody but SFT goes the long way
    assert one["G6"]["measured"] < -0.4 and one["G5"]["measured"] == 100
    assert one["G9"]["measured"] < of["measured"]["G9", "steps of the training traces that are right (%)"] == 100
    assert one["G8"]["measured"] > 0  # every first pass slips, every check mends it
    assert gate.posed(table).startswith("not posed")


def test_where_no_question_has_a_program_its_rows_are_not_measured():
    plain = steps.with_strategy(answers(np.tile([1, 0], (20, 1))), {})
    assert verdicts(gate.instructed(plain, plain, WANTED)) == ["holds", "not measured"]
    assert verdicts(gate.skill([plain], WANTED)) == ["not measured"]
    assert verdicts(gate.steps_and_rates(plain, {}, WANTED)) == ["not measured"]
    scene = json.loads(split("x", 1)[0]["scene"].iloc[0])
    assert steps.needed(scene) > 0


def test_bounds_are_shown_in_words():
    rows = {
        "precondition": list("abc"),
        "measured": [1.0, 2.0, 3.0],
        "low": [0.5, np.nan, 2.0],
        "high": [1.5, np.nan, 4],
    }
    bounds = {"at_least": [1e-9, 2.0, -np.inf], "at_most": [np.inf, 12.0, 3.0]}
    shown = preconditions(pd.DataFrame({"row": ["G8", "G11", "G6"], **rows, **bounds, "verdict": "holds"})).data
    for words in ("1.00 [0.50, 1.50]", "more than 0", "at least 2 and at most 12", ">at most 3<", ">2.00<"):
        assert words in shown
