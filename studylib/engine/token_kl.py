"""Token-level KL of a trained model to the base along its own responses (paper, section 2.3)."""

import multiprocessing
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd

from studylib.engine.models import load_model, load_processor
from studylib.engine.prompts import encode
from studylib.engine.vllm import visible_gpus

MAX_BATCH_CHARACTERS = 2**17  # of completions read together: one of 24,000 tokens fills it
LOGITS_CHUNK = 1024  # whose probabilities over the vocabulary are held at once


def token_kl(
    model_path: str | Path,
    reference_path: str | Path,
    rows: Sequence[Mapping[str, Any]],
    completions: Sequence[str],
    *,
    batch_size: int = 32,
) -> pd.DataFrame:
    """KL(model || reference) in nats at T = 1, exact over the vocabulary, for each token of each completion.

    completions: one text a row, as the model wrote it after the instructed prompt; its end token is scored
    too. Both models read the same tokens. Columns: response (index into rows), position, token, kl. On GPUs the rows
    are shared out, a process each, and the models are held in bfloat16.
    """
    # Alike in length, so that little is padding, and each process gets as many long ones.
    order = sorted(range(len(rows)), key=lambda i: len(completions[i]))
    gpus = visible_gpus()
    shares = [share for place in range(len(gpus)) if (share := order[place :: len(gpus)])]
    tasks = [(model_path, reference_path, rows, completions, share, batch_size) for share in shares]
    if gpus == [None]:
        tables = [_scored(*tasks[0])]
    else:  # fresh interpreters, whose memory on the GPU goes with them
        with ProcessPoolExecutor(len(shares), mp_context=multiprocessing.get_context("spawn")) as children:
            tables = list(children.map(_on_gpu, gpus[: len(shares)], *zip(*tasks, strict=True)))
    return pd.concat(tables).sort_values(["response", "position"], ignore_index=True)


def _on_gpu(gpu: str, *task) -> pd.DataFrame:
    os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    return _scored(*task)


def _scored(model_path, reference_path, rows, completions, share: Sequence[int], batch_size: int) -> pd.DataFrame:
    """The table of a share of the rows, in order of length, on this process's GPU where it has one."""
    import torch

    device, dtype = ("cuda", "bfloat16") if torch.cuda.is_available() else ("cpu", "float32")
    processor = load_processor(model_path)
    model, reference = (load_model(path, dtype).to(device) for path in (model_path, reference_path))
    tables = []
    start = 0
    while start < len(share):
        batch = share[start : start + batch_size]
        while len(batch) > 1 and len(batch) * len(completions[batch[-1]]) > MAX_BATCH_CHARACTERS:
            batch = batch[:-1]
        start += len(batch)
        inputs, ids = _with_completions(processor, [rows[i] for i in batch], [completions[i] for i in batch])
        values = _kl(model, reference, inputs, max(map(len, ids)))
        for index, tokens, row in zip(batch, ids, values, strict=True):
            table = {
                "response": index,
                "position": range(len(tokens)),
                "token": [processor.tokenizer.decode([token]) for token in tokens],
                "kl": row[: len(tokens)],
            }
            tables.append(pd.DataFrame(table))
    return pd.concat(tables)


def _with_completions(processor, rows, completions) -> tuple[dict, list[list[int]]]:
    """Prompts padded on the left, completions on the right; and the ids of each completion."""
    import torch
    from torch.nn.functional import pad

    tokenizer = processor.tokenizer
    ids = [[*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id] for text in completions]
    width = max(map(len, ids))
    tokens = torch.full((len(ids), width), tokenizer.pad_token_id)
    mask = torch.zeros_like(tokens)
    for i, row in enumerate(ids):
        tokens[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1
    inputs = dict(encode(processor, rows, instruct=True))
    inputs["input_ids"] = torch.cat([inputs["input_ids"], tokens], 1)
    inputs["attention_mask"] = torch.cat([inputs["attention_mask"], mask], 1)
    inputs["mm_token_type_ids"] = pad(inputs["mm_token_type_ids"], (0, width))
    return inputs, ids


def _kl(model, reference, inputs: dict, width: int):
    """KL of the last `width` tokens, each read from the logits one place before it: array (rows, width)."""
    import torch

    networks = (model, reference)
    inputs = {name: tensor.to(model.device) for name, tensor in inputs.items()}
    with torch.inference_mode():
        states = [network.model(**inputs).last_hidden_state[:, -width - 1 : -1] for network in networks]
        step, values = max(1, LOGITS_CHUNK // len(states[0])), []
        for begin in range(0, width, step):
            p, q = (
                network.lm_head(state[:, begin : begin + step]).float().log_softmax(-1)
                for network, state in zip(networks, states, strict=True)
            )
            values.append((p.exp() * (p - q)).sum(-1))
        return torch.cat(values, 1).cpu().numpy()
