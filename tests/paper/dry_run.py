"""The paper's study on small things (make paper-dry-run): every stage of params/paper.yaml, or of another scale for
GPUs, started as it would be, and every chapter on what these published.

Swapped are the model (the mini base, with an output head of its own as the 7B has), the data (the mini world in the
files of the published sets) and the sizes; what a CPU cannot do is swapped too, and said at the end: responses come
from the hf engine, GPUs are two processes under gloo, and accelerate then shards nothing (tests/test_launch.py shards
the model itself). GRPO with vLLM runs in one process where vLLM is installed.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from typing import Any

import yaml

from studylib.errors import StudyError
from studylib.params.load import load_params
from studylib.paths import ROOT
from studylib.stages.kinds import TRAINED
from studylib.store.machine import hide_gpus
from studylib.study.chapters import chapters, run_chapters
from studylib.study.notebook import Study
from tests.paper.untied import untied

FOLDER = ROOT / "runs" / "dry-run"
WORLD = {"data.train": 24, "data.text_traces": 8, "data.validation": 2, "data.test": 4}
SIZES = {
    "data.train": None,
    "data.text_traces": 8,
    "data.validation": 6,
    "sampling.base": 4,
    "sampling.arm": 1,
    "sampling.divergence": 1,
    "sampling.max_new_tokens": 96,
    "engine": {"name": "hf", "batch_size": 128},
    "sft.batch_size": 4,
    "sft.epochs": 1,
    "rl.prompts_per_step": 4,
    "rl.rollouts": 4,
    "rl.max_new_tokens": 32,
    "rl.steps": 2,
    "rl.checkpoint_every": 2,
    "distill.responses": 4,
    "mixing.responses": 2,
    "launch.rollouts": "decoded",
}
ONE_PROCESS = {"hardware.gpus": 1, "launch.sharding": "none", "launch.rollouts": "colocate"}
FIXED = ("method", "data", "start", "everywhere", "beta", "weight", "until")  # what makes an arm what it is


def dry_run(scale: str = "paper") -> None:
    """Runs it and prints what ran how. Raises StudyError where one fails, or a stage ran otherwise than asked."""
    hide_gpus()
    begun = time.monotonic()
    with judge_server() as address:
        write_params(scale, small(scale, address))
        os.environ["STUDY_RUNS"] = str(FOLDER)
        study = Study(scale, 1, train=True)
        study.run(*study.plan)
        made = run_chapters(chapters(), study)
        lines = [report(study, name) for name in study.plan]
        lines += [f"{run.manifest['name']:42} {run.manifest['seconds']:7.1f} s" for run in made]
        if find_spec("vllm"):
            engine = Study(scale, 1, True, ONE_PROCESS)
            engine.run("rl")
            lines.append(report(engine, "rl") + ", rollouts by vLLM")
        else:
            lines.append("NOT RUN: GRPO with vLLM (not installed: make engine)")
    print("\n".join(lines))
    print(f"{len(study.plan)} stages and {len(made)} chapters in {(time.monotonic() - begun) / 60:.1f} min")


def write_params(scale: str, overrides: dict[str, Any]) -> None:
    """The overridden params of the scale as a file, since a chapter knows its study by scale and seed alone."""
    told = yaml.safe_dump(load_params(scale, overrides).model_dump(mode="json"), sort_keys=False)
    (FOLDER / "params").mkdir(parents=True, exist_ok=True)
    (FOLDER / "params" / f"{scale}.yaml").write_text(told)


def small(scale: str, judge: str) -> dict[str, Any]:
    """Overrides of the scale's params: model, data, sizes, and the judge's address."""
    from tests.paper.as_published import write_published

    place, told = FOLDER / "data", FOLDER / "data" / "overrides.json"
    if not told.exists():  # written once: what a file's time of change is to a stage, a commit is on the hub
        told.parent.mkdir(parents=True, exist_ok=True)
        told.write_text(json.dumps(write_published(load_params("smoke", WORLD), place)))
    data = json.loads(told.read_text())
    if not (FOLDER / "untied").exists():
        untied(FOLDER / "untied")
    model = {"path": str(FOLDER / "untied"), "dtype": "float32"}
    asked = {"base_url": judge, "model": "local", "audit": 4, "at_once": 2}
    gpus = min(2, load_params(scale).hardware.gpus)
    arms = {name: _without_sizes(arm.model_dump()) for name, arm in load_params(scale).arms.items()}
    small = {"model": model, **data, **SIZES, "hardware.gpus": gpus, "judge": asked}
    return {**small, "arms": arms, "released": {}}


def _without_sizes(arm: dict[str, Any]) -> dict[str, Any]:
    """An arm without the sizes that it sets for itself."""
    kept = {}
    for key, value in arm.items():
        if not isinstance(value, dict):
            kept[key] = value
        elif own := {name: each for name, each in value.items() if name in FIXED}:
            kept[key] = own
    return kept


def report(study: Study, name: str) -> str:
    """A line on a stage. Raises StudyError where training was not shared out as asked."""
    manifest = study.get(name).manifest
    facts, asked = manifest["facts"], study.params.hardware.gpus
    how = ""
    if manifest["kind"] in TRAINED:
        how = f"{facts['distributed']}, {facts['processes']} processes on {facts['device']}"
        if facts["processes"] != asked:
            raise StudyError(f"{name} ran in {facts['processes']} processes and {asked} were asked for.")
    if "judge" in facts:
        told = facts["judge"]
        how = f"judge asked about {told['share']:.0%}, audited {told['audited']}, agreement {told['agreement']}"
    return f"{name:28} {manifest['kind']:13} {manifest['seconds']:7.1f} s  {how}"


@contextmanager
def judge_server() -> Iterator[str]:
    """The address of an OpenAI-compatible server in a process of its own, which finds every answer wrong."""
    command = [sys.executable, "-m", "tests.paper.dry_run", "judge"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        yield f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
    finally:
        server.terminate()
        server.wait()


class _Judge(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        said = json.dumps({"extracted": None, "verdict": "wrong"})
        body = json.dumps({"choices": [{"message": {"role": "assistant", "content": said}}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Silence: the study says what was asked."""


def serve_judge() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Judge) as serving:
        print(serving.server_port, flush=True)
        serving.serve_forever()


if __name__ == "__main__":
    try:
        serve_judge() if sys.argv[1:] == ["judge"] else dry_run(*sys.argv[1:])
    except StudyError as error:
        sys.exit(f"Error: {error}")
