"""A judge for what the rules leave unparsed: any OpenAI-compatible endpoint, its verdicts marked as its
own."""

import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studylib.errors import StudyError
from studylib.grading.choices import letter_of
from studylib.grading.clean import clean
from studylib.grading.extract import objects
from studylib.grading.rules import CORRECT, UNPARSED, WRONG, Grade

PROMPT = Path(__file__).with_name("judge_prompt.txt")
MAX_RESPONSE = 6000
MAX_TOKENS = 1024  # of a reply: one line of JSON, with room for a model that thinks aloud first
TRIES = 3
_OUTCOMES = {"correct": CORRECT, "wrong": WRONG, "none": UNPARSED}


@dataclass(frozen=True)
class Judge:
    """An endpoint (`base_url` up to and with `/v1`), the model asked there, and the folder that keeps its
    replies. The key is read from the environment variable JUDGE_API_KEY, if there is one."""

    base_url: str
    model: str
    cache: Path
    seconds: float = 60.0

    def grade(self, row: Mapping[str, Any], response: str) -> Grade:
        """Ask about one response. A reply is kept under the hash of the model and the whole prompt, so that
        the same content is asked once. Raises `StudyError` where the endpoint does not answer."""
        prompt = _prompt(row, response)
        place = self.cache / (hashlib.sha256(f"{self.model}\n{prompt}".encode()).hexdigest() + ".json")
        if place.exists():
            return _read(json.loads(place.read_text(encoding="utf-8"))["reply"])
        reply = self._ask(prompt)
        self.cache.mkdir(parents=True, exist_ok=True)
        part = place.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps({"model": self.model, "prompt": prompt, "reply": reply}), encoding="utf-8")
        part.replace(place)
        return _read(reply)

    def _ask(self, prompt: str) -> str:
        import httpx

        key = os.environ.get("JUDGE_API_KEY")
        messages = [{"role": "user", "content": prompt}]
        body = {"model": self.model, "temperature": 0, "max_tokens": MAX_TOKENS, "messages": messages}
        problem: Exception | None = None
        for attempt in range(TRIES):
            try:
                answer = httpx.post(
                    f"{self.base_url.rstrip('/')}/chat/completions",
                    json=body,
                    headers={"Authorization": f"Bearer {key}"} if key else {},
                    timeout=self.seconds,
                )
                answer.raise_for_status()
                return str(answer.json()["choices"][0]["message"]["content"])
            except (httpx.HTTPError, ValueError, KeyError, IndexError, TypeError) as reason:
                problem = reason
                if attempt + 1 < TRIES:
                    time.sleep(0.5 * 2**attempt)
        raise StudyError(
            f"The judge at {self.base_url} gave no answer ({type(problem).__name__}: {problem}): "
            "start it, or grade without a judge."
        ) from problem


def _prompt(row: Mapping[str, Any], response: str) -> str:
    choices = row.get("choices")
    options = [f"({letter_of(i)}) {choice}" for i, choice in enumerate(choices if choices is not None else [])]
    return PROMPT.read_text(encoding="utf-8").format(
        question=clean(str(row.get("question") or "(not given)")),
        choices="\n".join(options) or "(none)",
        answer=clean(str(row["answer"])),
        response=clean(response)[-MAX_RESPONSE:],
    )


def _read(reply: str) -> Grade:
    """The last JSON object of a reply that holds a verdict, as a grade; without one the response stays unparsed."""
    for fields in reversed(objects(reply)):
        outcome = _OUTCOMES.get(str(fields.get("verdict", "")).lower())
        if outcome:
            extracted = fields.get("extracted")
            return Grade(None if outcome == UNPARSED or extracted is None else clean(str(extracted)), outcome, "judge")
    return Grade(None, UNPARSED, "judge")
