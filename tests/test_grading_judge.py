"""The judge: what it is asked, what it may decide, what it costs."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from studylib.errors import StudyError
from studylib.grading import grade
from studylib.grading.judged import judged as grades_and_facts
from studylib.params import schema

ROW = {"question": "Which month is hottest?", "question_type": "multi_choice", "answer": "B"}
ROW |= {"choices": ["March and April", "July and August"], "response": "It must be some time in July."}


@pytest.fixture
def endpoint():
    """A server that replies from `replies` (the last one again and again) and keeps what it was sent."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.server.asked.append((self.path, body, self.headers.get("Authorization")))
            reply = self.server.replies[0] if len(self.server.replies) == 1 else self.server.replies.pop(0)
            self.send_response(500 if reply is None else 200)
            self.end_headers()
            self.wfile.write(json.dumps({"choices": [{"message": {"content": reply}}]}).encode())

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.replies = [], []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def judged(endpoint, tmp_path, rows):
    settings = schema.Judge(base_url=f"http://127.0.0.1:{endpoint.server_port}/v1", model="a-model", audit=0, at_once=1)
    rows = [{"id": "q", **row} for row in rows]
    return grades_and_facts(rows, [grade(row, row["response"]) for row in rows], settings, tmp_path / "judge")[0]


def test_only_what_the_rules_leave_unparsed_is_asked_and_marked(endpoint, tmp_path):
    endpoint.replies = ['{"extracted": "July", "verdict": "correct"}']
    rows = [ROW | {"response": "The answer is A."}, ROW, ROW | {"response": "<think> July"}]
    grades = judged(endpoint, tmp_path, rows)
    assert [(g.outcome, g.how) for g in grades] == [("wrong", "stated"), ("correct", "judge"), ("truncated", "cut")]
    assert len(endpoint.asked) == 1


def test_the_question_asked_is_deterministic_and_holds_all_that_matters(endpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("JUDGE_API_KEY", "a-key")
    endpoint.replies = ['{"extracted": null, "verdict": "none"}']
    assert judged(endpoint, tmp_path, [ROW])[0] == (None, "unparsed", "judge")
    path, body, key = endpoint.asked[0]
    prompt = body["messages"][0]["content"]
    assert path == "/v1/chat/completions" and body["temperature"] == 0 and body["model"] == "a-model"
    assert key == "Bearer a-key"
    assert all(part in prompt for part in (ROW["question"], "(B) July and August", ROW["response"], "answer: B"))


def test_the_same_content_is_asked_once(endpoint, tmp_path):
    endpoint.replies = ['So: {"extracted": "March", "verdict": "wrong"}']
    first = judged(endpoint, tmp_path, [ROW, ROW])
    assert judged(endpoint, tmp_path, [ROW]) == first[:1]
    assert first[0] == ("March", "wrong", "judge") and len(endpoint.asked) == 1
    judged(endpoint, tmp_path, [ROW | {"answer": "A"}])
    assert len(endpoint.asked) == 2


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (r'{"extracted": "\\frac{1}{2}", "verdict": "correct"}', (r"\frac{1}{2}", "correct")),
        (r'{"extracted": "{1, 2}", "verdict": "wrong"}', ("{1, 2}", "wrong")),
        (r'{"extracted": "\pi", "verdict": "correct"}', (r"\pi", "correct")),
        (r'{"extracted": "\frac{1}{2}", "verdict": "correct"}', (r"\frac{1}{2}", "correct")),
        (r'{"extracted": "\\{1\\}", "verdict": "Wrong"} and then {"a": 1}', (r"\{1\}", "wrong")),
        (r'Is it {"extracted": "4", "verdict": "wrong"}? No: {"extracted": "\\boxed{5}", "verdict": "correct"}',
         (r"\boxed{5}", "correct")),
        ('```json\n{"verdict": "none", "extracted": null}\n```', (None, "unparsed")),
    ],
)  # fmt: skip
def test_a_reply_is_read_as_json_whatever_its_strings_hold(endpoint, tmp_path, reply, expected):
    endpoint.replies = [reply]
    assert judged(endpoint, tmp_path, [ROW])[0][:2] == expected
    assert endpoint.asked[0][1]["max_tokens"] > 0


@pytest.mark.parametrize(
    "reply", ["I think it is right.", '{"a": 1}', '{"verdict": ["correct"]}', '{"verdict": "maybe"}', "{", ""]
)
def test_a_reply_that_cannot_be_read_decides_nothing(endpoint, tmp_path, reply):
    endpoint.replies = [reply]
    assert judged(endpoint, tmp_path, [ROW])[0] == (None, "unparsed", "judge")


def test_a_failing_endpoint_is_tried_again_and_then_told(endpoint, tmp_path, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    endpoint.replies = [None, '{"extracted": "July", "verdict": "correct"}']
    assert judged(endpoint, tmp_path, [ROW])[0].outcome == "correct"
    endpoint.replies = [None]
    with pytest.raises(StudyError, match="gave no answer"):
        judged(endpoint, tmp_path, [ROW | {"answer": "A"}])
    assert not list((tmp_path / "judge").glob("*.part"))
