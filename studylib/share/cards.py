"""A card for every trained arm: data, parameters, results, manifests; and the folder that goes to the hub with it."""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from studylib.analysis import difficulty, length
from studylib.engine.prompts import INSTRUCTION
from studylib.errors import StudyError
from studylib.figures.palette import name_of
from studylib.params.schema import Arm
from studylib.share.export import model_name
from studylib.study.notebook import Study

TEMPLATE = Path(__file__).with_name("model_card.md")
WARNING = """
**Scale `{}`: a model of a few million parameters that answers questions of a small generated world. Its results are
not the paper's, and it is of no use outside of this study.**
"""
METHODS = {"sft": "long-CoT SFT", "grpo": "GRPO", "merging": "model merging"}


def assemble(study: Study, arm: str, out: Path, owner: str) -> Path:
    """A folder `out/<model>` as the hub takes it: the chosen weights, a card, the manifests of all that made them."""
    if arm not in study.params.arms or arm not in study.plan:
        trained = ", ".join(name for name in study.params.arms if name in study.plan)
        raise StudyError(f"{arm!r} is no arm that seed {study.seed} trains; there are: {trained}.")
    if not study.train:
        raise StudyError("The committed reference holds no weights: publish what make study left in runs/.")
    history = study.history(f"{arm}.select")
    name = model_name(study, arm)
    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "training").mkdir(parents=True)
    for file in Path(study.model(arm)).iterdir():
        _link(file, folder / file.name)
    for manifest in history:
        public = {key: value for key, value in manifest.items() if key != "files"}
        (folder / "training" / f"{manifest['name']}.json").write_text(json.dumps(public, indent=1))
    (folder / "README.md").write_text(card(study, arm, f"{owner}/{name}", history))
    return folder


def _link(source: Path, target: Path) -> None:
    """Weights by another name, a copy where the disk cannot do that. What one may edit is always a copy: an editor
    that writes in place would change the run."""
    try:
        (os.link if source.suffix == ".safetensors" else shutil.copy)(source.resolve(), target)
    except OSError:
        shutil.copy(source, target)


def card(study: Study, arm: str, repo: str, history: list[dict[str, Any]]) -> str:
    """The README of a published model: YAML for the hub, then words, tables and the manifest's facts."""
    scores, levels = study.scores("base", arm), study.levels()
    accuracy = difficulty.accuracy(scores)
    trained = next(manifest for manifest in history if manifest["name"] == arm)
    return TEMPLATE.read_text().format(
        metadata=_metadata(study, arm, accuracy),
        name=name_of(arm),
        scale=study.scale,
        method=_method(study, arm),
        warning="" if study.scale == "paper" else WARNING.format(study.scale),
        repo=repo,
        instruction=INSTRUCTION,
        data=_data(study, arm, history),
        parameters=_parameters(study.params.arms[arm]),
        chosen=Path(study.model(arm)).name,
        checkpoints=len(trained["facts"]["checkpoints"]),
        results=_results(scores, levels, accuracy, arm),
        stamp=study.stamp,
        samples=study.params.sampling.arm,
        base_samples=study.params.sampling.base,
        temperature=study.params.sampling.temperature,
        source=accuracy["source"].iloc[0],
        facts=_facts(trained),
    )


def _metadata(study: Study, arm: str, accuracy: pd.DataFrame) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    own = accuracy[(accuracy["arm"] == arm) & (accuracy["benchmark"] != difficulty.ALL)]
    results = [
        EvalResult(
            task_type="visual-question-answering",
            dataset_type=row.benchmark,
            dataset_name=row.benchmark,
            dataset_split="test",
            metric_type="accuracy",
            metric_value=round(row.estimate, 2),
        )
        for row in own.itertuples()
    ]
    return ModelCardData(
        license="apache-2.0",
        library_name="transformers",
        pipeline_tag="image-text-to-text",
        base_model=study.params.model.path if study.params.model.revision else None,
        tags=["reasoning", "synergy-dilemma", study.params.arms[arm].method],
        model_name=model_name(study, arm),
        eval_results=results,
    ).to_yaml()


def _method(study: Study, arm: str) -> str:
    trained = study.params.arms[arm]
    method = METHODS.get(trained.method, f"{trained.method} SFT and GRPO")
    return method[0].upper() + method[1:] + ("" if trained.start == "base" else f" from {name_of(trained.start)}")


def _data(study: Study, arm: str, history: list[dict[str, Any]]) -> str:
    """What the arm was trained on, and how many rows came from where."""
    trained = study.params.arms[arm]
    if trained.data is None:
        lines = [f"- weights of {name_of(trained.merging.sft)} and {name_of(trained.merging.rl)}, no data"]
    else:
        made = {manifest["name"]: manifest["facts"] for manifest in history}
        facts = made.get(trained.data) or made.get(f"traces.{trained.data}") or {}
        counts = [f"{value:,} {key.replace('_', ' ')}" for key, value in facts.items() if isinstance(value, int)]
        lines = [f"- `{trained.data}`" + (f": {', '.join(counts)}" if counts else "")]
    published = [spec for spec in [*study.params.data.benchmarks.values(), *study.params.data.hub.values()] if spec]
    lines += [f"- {spec.name} at {spec.revision}" for spec in published if not Path(spec.name).exists()]
    return "\n".join(lines)


def _parameters(arm: Arm) -> str:
    sections = arm.model_dump(exclude={"method", "data", "start"}, exclude_none=True)
    rows = {f"{section}.{key}": value for section, keys in sections.items() for key, value in keys.items()}
    return _table(["parameter", "value"], [[f"`{key}`", str(value)] for key, value in rows.items()])


def _results(scores: pd.DataFrame, levels: pd.DataFrame, accuracy: pd.DataFrame, arm: str) -> str:
    """Accuracy by benchmark and by level beside the base's, with the gain and the mean length."""
    of = {name: group for name, group in scores.groupby("arm")}
    gains = difficulty.contrast(of[arm], of["base"], levels, "base").set_index(["benchmark", "level"])
    tokens = length.response_length(scores, levels).set_index(["arm", "benchmark", "level"])["estimate"]
    cells, rows, every = accuracy.set_index(["arm", "benchmark"]), [], difficulty.ALL
    for benchmark in [*scores["benchmark"].unique(), every]:
        both = [_interval(cells.loc[(name, benchmark)]) for name in ("base", arm)]
        gain = _interval(gains.loc[(benchmark, every)], "+.1f")
        rows.append([benchmark, *both, gain, f"{tokens[arm, benchmark, every]:.0f}"])
    for level in sorted(set(levels["level"])):
        gain = _interval(gains.loc[(every, level)], "+.1f")
        rows.append([f"all, {level}", "", "", gain, f"{tokens[arm, every, level]:.0f}"])
    return _table(["benchmark", "base", name_of(arm), "gain (points)", "mean tokens"], rows)


def _interval(cell: pd.Series, form: str = ".1f") -> str:
    return f"{cell['estimate']:{form}} [{cell['low']:{form}}, {cell['high']:{form}}]"


def _facts(manifest: dict[str, Any]) -> str:
    facts = {key: value for key, value in manifest["facts"].items() if key != "checkpoints"}
    rows = {
        "identity": manifest["identity"],
        "git commit": manifest["git_commit"],
        "seed": manifest["seed"],
        "wall time, s": manifest["seconds"],
        **{key.replace("_", " "): value for key, value in facts.items()},
        "packages": ", ".join(f"{name} {version}" for name, version in manifest["packages"].items()),
        "machine": ", ".join(f"{key} {value}" for key, value in manifest["machine"].items()),
    }
    return _table(["", ""], [[key, str(value)] for key, value in rows.items()])


def _table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows])


READ = {".json", ".jsonl", ".md", ".txt", ".jinja"}  # files that could hold a secret


def push(folder: Path, repo: str) -> str:
    """Sends a folder to the hub as a private model, with the login or HF_TOKEN of this machine; gives its address.

    Raises StudyError, which never holds the token, where a file holds what looks like a secret or the hub refuses.
    """
    refuse_secrets(folder)
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    api = HfApi()
    try:
        api.create_repo(repo, private=True, exist_ok=True)
        return api.upload_folder(
            repo_id=repo, folder_path=folder, commit_message="Weights, card and manifests"
        ).repo_url
    except (HfHubHTTPError, LocalTokenNotFoundError, OSError, ValueError) as error:
        reason = _without_secrets((str(error).strip() or type(error).__name__).splitlines()[0])
        raise StudyError(
            f"{repo} could not be published ({reason}): log in with `hf auth login`, and check the name."
        ) from None


def refuse_secrets(folder: Path) -> None:
    """Raises StudyError naming the first text file that holds a token."""
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.suffix in READ:
            text = file.read_text(errors="replace")
            if _without_secrets(text) != text:
                raise StudyError(f"{file} holds what looks like an access token: nothing was sent; take it out first.")


def _without_secrets(text: str) -> str:
    known = [value for key in ("HF_TOKEN", "JUDGE_API_KEY") if len(value := os.environ.get(key, "")) > 7]
    return re.sub("|".join([r"\bhf_[A-Za-z0-9]{20,}", *map(re.escape, known)]), "***", text)
