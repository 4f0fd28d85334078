"""The page on which models answer in the reader's browser: each as two ONNX graphs, with what runs them there.

npm hands over the runtime and the tokenizer while the book is built; where it cannot, the book has no such page.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from book.chunks import write_chunk, write_json
from studylib.engine.decode import stop_ids
from studylib.engine.models import load_model, load_processor, local_model, never_sampled
from studylib.engine.prompts import render
from studylib.errors import StudyError
from studylib.figures.answers import data_uri
from studylib.figures.palette import colour_of, name_of
from studylib.study.notebook import Study
from studylib.world.scenes import GRID, SIZE, draw

ARMS = ("sft_eureka", "rl")  # beside the base
QUESTIONS = 8  # of each benchmark
HOLE = "{question}"  # where a prompt takes the reader's question
PACKAGES = {  # the SHA-256 of each archive
    "onnxruntime-web@1.30.0": "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71",
    "@huggingface/tokenizers@0.2.0": "2800014c83b8186b2e4210c20672f1fb65a12cef85d7e95e0f2003e022611b4a",
}
RUNTIME, TOKENIZERS = PACKAGES
LIBRARIES = {  # chunk -> package, file in its archive
    "runtime": (RUNTIME, "package/dist/ort.wasm.bundle.min.mjs"),
    "wasm": (RUNTIME, "package/dist/ort-wasm-simd-threaded.wasm"),
    "tokenizers": (TOKENIZERS, "package/dist/tokenizers.min.mjs"),
}


class Eye(nn.Module):
    """Vision tower and merger: a picture's bytes as a canvas holds them (SIZE, SIZE, 4) to its tokens (16, hidden)."""

    def __init__(self, model, processor):
        super().__init__()
        images = processor.image_processor
        self.tower, self.patch, self.merge = model.model.visual, images.patch_size, images.merge_size
        self.mean, self.deviation = torch.tensor(images.image_mean), torch.tensor(images.image_std)
        self.grid = torch.tensor([[1, SIZE // self.patch, SIZE // self.patch]])

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        values = (picture[:, :, :3].float() / 255 - self.mean) / self.deviation
        blocks = SIZE // self.patch // self.merge
        cut = values.reshape(blocks, self.merge, self.patch, blocks, self.merge, self.patch, 3)
        patches = cut.permute(0, 3, 1, 4, 6, 2, 5).reshape(-1, 3, 1, self.patch**2)
        both = torch.cat([patches, patches], 2)  # a picture is a film of two equal frames
        return self.tower(both.flatten(1), self.grid).pooler_output


class Speaker(nn.Module):
    """The language model: what it would say after `ids` (new,), and its memory grown by them.

    An id from the vocabulary's size on is a token of the picture, a row of `seen`. `places` (3, new) is where each
    stands in time, height and width; `memory` (layers, 2, key heads, past, head size) holds keys and values.
    """

    def __init__(self, model, processor):
        super().__init__()
        self.text, self.head = model.model.language_model, model.lm_head
        self.bias = torch.zeros(self.head.out_features)
        self.bias[never_sampled(processor)] = -1e9

    def forward(self, ids, seen, places, memory):
        table = torch.cat([self.text.embed_tokens.weight, seen])
        hidden = nn.functional.embedding(ids, table)[None]
        rope = self.text.rotary_emb(hidden, places[:, None])
        new, past = ids.shape[0], memory.shape[3]
        later = torch.arange(past + new)[None] > torch.arange(new)[:, None] + past
        mask = torch.zeros(later.shape).masked_fill(later, -1e9)[None, None]
        grown = Grown(memory)
        for layer in self.text.layers:
            hidden = layer(hidden, attention_mask=mask, position_embeddings=rope, past_key_values=grown)
        return (self.head(self.text.norm(hidden[:, -1:])) + self.bias).flatten(), torch.stack(grown.layers)


class Grown:
    """The cache that the layers see: it keeps what each adds to the memory."""

    def __init__(self, memory: torch.Tensor):
        self.memory, self.layers = memory, []

    def update(self, key, value, layer: int, *args, **kwargs):
        both = torch.cat([self.memory[layer], torch.cat([key, value])], 2)
        self.layers.append(both)
        return both[:1], both[1:]


def graphs(model_path: Path | str) -> tuple[dict[str, bytes], dict[str, Any]]:
    """A saved model's two graphs as ONNX, and what the page must know of it."""
    model, processor = load_model(model_path), load_processor(model_path)
    model.set_attn_implementation("eager")
    text = model.config.text_config
    shape = [text.num_hidden_layers, 2, text.num_key_value_heads, 0, text.hidden_size // text.num_attention_heads]
    ids = torch.zeros(3, dtype=torch.int32)
    inputs = {
        "ids": ids,
        "seen": torch.zeros(GRID**2, text.hidden_size),
        "places": ids.expand(3, 3).contiguous(),
        "memory": torch.zeros(*shape[:3], 2, shape[4]),
    }
    axes = {"ids": [0], "seen": [0], "places": [1], "memory": [3], "grown": [3]}
    picture = {"picture": torch.zeros(SIZE, SIZE, 4, dtype=torch.uint8)}
    made = {
        "eye": _onnx(Eye(model, processor), picture, ["seen"], {}),
        "speaker": _onnx(Speaker(model, processor), inputs, ["logits", "grown"], axes),
    }
    return made, {"ends": stop_ids(model), "memory": shape, "hidden": text.hidden_size}


def _onnx(module: nn.Module, inputs: dict[str, torch.Tensor], outputs: list[str], axes: dict[str, list[int]]) -> bytes:
    """Traced: torch's newer exporter needs three packages more and half a minute a graph."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # a trace holds the picture's size, as it should
        file = Path(folder, "graph.onnx")
        torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            file,
            dynamo=False,
            opset_version=17,
            input_names=list(inputs),
            output_names=outputs,
            dynamic_axes=axes,
        )
        return file.read_bytes()


def write_models(folder: Path, scale: str, tools: Path) -> int:
    """Writes what the page loads; gives its size in bytes. Raises StudyError if npm, onnx or the base is missing.

    tools: where npm's archives are kept.
    """
    if not find_spec("onnx"):
        raise StudyError("onnx is not installed: pip install -e '.[book]'.")
    weights, models = _weights(scale), []
    for name, data in libraries(tools).items():
        write_chunk(folder, name, data)
    for arm, path in weights.items():
        made, about = graphs(path)
        for name, data in made.items():
            write_chunk(folder, f"{name}-{arm}", data)
        # The base is asked as it is evaluated, without the instruction.
        about |= {"id": arm, "name": name_of(arm), "colour": colour_of(arm), "prompts": prompts(path, arm != "base")}
        models.append(about)
    write_json(folder, "index", {**page(Study(scale), weights["base"]), "models": models})
    return sum(file.stat().st_size for file in folder.iterdir())


def _weights(scale: str) -> dict[str, Path | str]:
    """The base, and the chosen checkpoints of the arms that were trained here, in runs/."""
    study = Study(scale, train=True)
    if not local_model(study.params.model).is_dir():
        raise StudyError(f"the base of {scale} is no model of this project, and too large for a page.")
    trained = [arm for arm in study.planned(*ARMS) if study.has(arm) and study.has(f"{arm}.select")]
    return {arm: study.model(arm) for arm in ("base", *trained)}


def prompts(model_path: Path | str, instruct: bool) -> list[str]:
    """What a model reads, with a hole for the question: without a picture, and with one."""
    processor = load_processor(model_path)
    return [render(processor, {"question": HOLE, "images": seen}, instruct) for seen in ([], [None])]


def page(study: Study, base: Path | str) -> dict[str, Any]:
    """Questions, the base's tokenizer, which all its arms keep, and settings."""
    processor = load_processor(base)
    questions = study.table("questions.test")
    program = questions["scene"].map(json.loads)
    questions = questions.assign(program=program, kind=program.map(lambda task: task["kind"]))
    turn = questions.groupby(["benchmark", "kind"]).cumcount()  # so that every kind has its turn
    chosen = questions.assign(turn=turn).sort_values("turn", kind="stable").groupby("benchmark").head(QUESTIONS)
    sampling = study.params.sampling
    return {
        "stamp": study.stamp,
        "questions": [_question(row) for row in chosen.sort_index().itertuples()],
        "tokenizer": json.loads(Path(base, "tokenizer.json").read_text()),
        "vocabulary": len(processor.tokenizer),
        "cell": processor.image_token_id,
        "grid": GRID,
        "size": SIZE,
        **{name: getattr(sampling, name) for name in ("temperature", "top_p", "top_k", "max_new_tokens")},
    }


def _question(row: pd.Series) -> dict[str, str]:
    picture = data_uri(draw(row.program["scene"]))
    return {"id": row.id, "kind": row.kind, "question": row.question, "answer": row.answer, "picture": picture}


def libraries(tools: Path) -> dict[str, bytes]:
    """The files of LIBRARIES, fetched by npm once. Raises StudyError where they are not to be had as pinned."""
    tools.mkdir(parents=True, exist_ok=True)
    return {name: _member(tools, *wanted) for name, wanted in LIBRARIES.items()}


def _member(tools: Path, package: str, member: str) -> bytes:
    archive = tools / f"{package.lstrip('@').replace('/', '-').replace('@', '-')}.tgz"
    if not archive.exists():
        if not shutil.which("npm"):
            raise StudyError(f"npm, which fetches {package}, is not installed.")
        command = ["npm", "pack", package, "--silent", "--pack-destination", str(tools)]
        if subprocess.run(command, capture_output=True).returncode or not archive.exists():
            raise StudyError(f"npm does not reach {package}.")
    if hashlib.sha256(archive.read_bytes()).hexdigest() != PACKAGES[package]:
        raise StudyError(f"{archive} is not the {package} that was pinned: remove it.")
    with tarfile.open(archive) as files:
        return files.extractfile(member).read()
