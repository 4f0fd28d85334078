"""Results for other tools, cards, and what may go to the hub."""

import json

import pandas as pd
import pytest
import yaml
from synthetic import BENCHMARKS, arm_scores

from studylib.analysis.difficulty import tag_levels
from studylib.analysis.scores import KEY
from studylib.errors import StudyError
from studylib.share import cards
from studylib.share.cards import assemble
from studylib.share.export import export
from studylib.store.store import Run
from studylib.study.notebook import Study

FACTS = {"checkpoints": ["step-2", "step-4"], "distributed": "NO", "trained_tokens": 1234}


def manifest(name: str, params: dict, facts: dict) -> dict:
    return {
        "name": name,
        "kind": "sample",
        "identity": "1234567890abcdef",
        "params": params,
        "seed": 1,
        "git_commit": "c0ffee",
        "packages": {"torch": "2.13.0"},
        "machine": {"cores": 2},
        "seconds": 3.5,
        "facts": facts,
        "files": {
            "model.safetensors": {"bytes": 1},
            "responses.parquet": {"bytes": 1, "written": 1_790_000_000 * 10**9},
        },
    }


@pytest.fixture
def study(monkeypatch, tmp_path):
    """A study with results for base and rl, as if they had been run."""
    scores = {arm: arm_scores(arm, 4, questions=6) for arm in ("base", "rl")}
    scores["base_a"] = arm_scores("base", 16, seed=7, questions=6)
    questions = scores["base"].drop_duplicates("question_id")
    questions = pd.DataFrame(
        {
            "id": questions["question_id"],
            "benchmark": questions["benchmark"],
            "split": "test",
            "question": "Which?\twhat\n(A) 4\n(B) 7",
            "choices": [["4", "7"]] * len(questions),
            "answer": "B",
            "question_type": "multi_choice",
            "answer_type": "text",
        }
    )
    sampling = {"temperature": 0.6, "top_p": 0.95, "top_k": 20, "max_new_tokens": 64}
    asked = {"sampling": sampling, "instruct": True, "engine": {"name": "hf"}}

    def table(_, name: str) -> pd.DataFrame:
        if name == "levels":
            return tag_levels(scores["base_a"])
        if name == "questions.test":
            return questions
        told = scores[name.partition(".")[0]]
        if name.endswith(".responses"):
            return told.drop(columns=["correct", "problem"]).assign(prompt_hash="p")
        return told[KEY].assign(outcome=told["correct"].map({1.0: "correct", 0.0: "wrong"}), extracted="7")

    weights = tmp_path / "run" / "step-4"
    weights.mkdir(parents=True)
    (weights / "model.safetensors").write_bytes(b"weights")
    (weights / "config.json").write_text("{}")
    monkeypatch.setattr(Study, "scores", lambda _, *arms: pd.concat([scores[arm] for arm in arms]))
    monkeypatch.setattr(Study, "table", table)
    monkeypatch.setattr(Study, "get", lambda _, name: Run(weights.parent, manifest(name, asked, FACTS)))
    monkeypatch.setattr(Study, "model", lambda _, arm: weights)
    kept = {"queries": 90, "kept": 60}
    history = [manifest("eureka", {}, kept), manifest("rl", asked, FACTS), manifest("rl.select", asked, {})]
    monkeypatch.setattr(Study, "history", lambda _, name: history)
    return Study("mini", 1, train=True)


def test_vlmevalkit_gets_a_prediction_file_a_sample_with_choices_in_columns(study, tmp_path):
    export(study, "rl", tmp_path)
    name = "synergy-mini-rl-s1"
    folder = tmp_path / "vlmevalkit" / "sample-3" / name
    table = pd.read_csv(folder / f"{name}_MiniVision.tsv", sep="\t")
    assert table.loc[0, ["question", "A", "B", "answer"]].tolist() == ["Which?\twhat", 4, 7, "B"]
    assert table.loc[0, "prediction"].startswith("<think>") and len(table) == 6
    accuracy = pd.read_csv(folder / f"{name}_MiniVision_acc.csv")["Overall"][0]
    assert accuracy == table["hit"].mean()


def test_lm_eval_gets_results_and_samples_that_agree(study, tmp_path):
    export(study, "rl", tmp_path)
    folder = tmp_path / "lm_eval" / "synergy-mini-rl-s1"
    [results] = [json.loads(path.read_text()) for path in folder.glob("results_*.json")]
    assert set(results["results"]) == set(BENCHMARKS) and results["n-samples"]["MiniStar"]["effective"] == 6
    for task, told in results["results"].items():
        [path] = folder.glob(f"samples_{task}_*.jsonl")
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        assert told["exact_match,none"] == pytest.approx(sum(row["exact_match"] for row in rows) / len(rows), abs=1e-6)
        assert told["exact_match_stderr,none"] >= 0
        assert len(rows[0]["resps"][0]) == 4 and rows[0]["target"] == "B"
        assert rows[0]["arguments"]["gen_args_0"]["arg_0"].endswith("\\boxed{}.")


def test_inspect_reads_its_logs_back_with_every_response_and_its_grade(study, tmp_path):
    library = pytest.importorskip("inspect_ai.log", reason="inspect-ai is not installed: pip install -e '.[inspect]'")
    export(study, "rl", tmp_path)
    logs = [library.read_eval_log(info) for info in library.list_eval_logs(str(tmp_path / "inspect"))]
    assert {log.eval.task for log in logs} == set(BENCHMARKS)
    [path] = (tmp_path / "inspect").glob("*_MiniVision_synergy-mini-rl-s1-*.json")
    log = library.read_eval_log(str(path))
    assert log.status == "success" and log.eval.model.endswith("synergy-mini-rl-s1") and log.eval.config.epochs == 4
    assert len(log.samples) == log.results.completed_samples == 6 * 4
    right = [sample.scores["exact_match"].value == "C" for sample in log.samples]
    assert log.results.scores[0].metrics["accuracy"].value == pytest.approx(sum(right) / len(right), abs=1e-6)
    sample = log.samples[0]
    assert sample.output.completion.startswith("<think>") and sample.messages[0].text.endswith("\\boxed{}.")
    assert sample.choices == ["4", "7"] and sample.target == "B" and sample.scores["exact_match"].answer == "7"


def test_a_card_tells_data_parameters_results_and_manifest_and_that_mini_is_not_the_paper(study, tmp_path):
    folder = assemble(study, "rl", tmp_path / "publish", "me")
    text = (folder / "README.md").read_text()
    metadata = yaml.safe_load(text.split("---")[1])
    assert metadata["pipeline_tag"] == "image-text-to-text" and len(metadata["model-index"][0]["results"]) == 5
    for told in ("not the paper's", "`eureka`: 90 queries, 60 kept", "| `rl.beta` | 0.005 |", "`step-4`, the best of 2",
                 "| MiniVision |", "| all, L5 |", "c0ffee", "torch 2.13.0", "me/synergy-mini-rl-s1"):  # fmt: skip
        assert told in text, told
    assert (folder / "model.safetensors").read_bytes() == b"weights"
    kept = "".join(path.read_text() for path in folder.glob("training/*.json"))
    assert '"identity"' in kept
    run = study.model("rl")
    assert (folder / "model.safetensors").samefile(run / "model.safetensors")
    (folder / "config.json").write_text("edited")
    assert (run / "config.json").read_text() == "{}"
    with pytest.raises(StudyError, match="'base' is no arm that seed 1 trains"):
        assemble(study, "base", tmp_path / "publish", "me")


def test_a_folder_with_a_token_is_not_sent_and_the_token_not_told(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret-of-mine")
    (tmp_path / "config.json").write_text('{"key": "secret-of-mine"}')
    with pytest.raises(StudyError, match="config.json holds what looks like an access token") as refused:
        cards.push(tmp_path, "me/model")
    assert "secret-of-mine" not in str(refused.value)


def test_what_the_hub_refuses_is_told_without_the_token(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret-of-mine")

    def refuses(*_, **__):
        raise ValueError("401 for secret-of-mine and hf_" + "a" * 30)

    monkeypatch.setattr("huggingface_hub.HfApi.create_repo", refuses)
    with pytest.raises(StudyError, match=r"could not be published \(401 for \*\*\* and \*\*\*\)"):
        cards.push(tmp_path, "me/model")
