from typing import NamedTuple

from studylib.train.mixing import mix


class Sample(NamedTuple):
    text: str
    outcome: str


def test_correct_answers_are_kept_and_a_question_without_one_gets_every_trace_it_has():
    rows = [{"id": "a"}, {"id": "b"}, {"id": "c"}]
    samples = [
        [Sample("a1", "correct"), Sample("a2", "wrong"), Sample("a3", "correct")],
        [Sample("b1", "wrong"), Sample("b2", "truncated")],
        [Sample("c1", "unparsed")],
    ]
    mixed = mix(rows, samples, samples, {"a": ["long a"], "b": ["long b", "longer b"]})
    assert [(row["id"], row["trace"], row["source"]) for row in mixed] == [
        ("a", "a1", "rl"),
        ("a", "a3", "rl"),
        ("b", "long b", "trace"),
        ("b", "longer b", "trace"),
    ]
