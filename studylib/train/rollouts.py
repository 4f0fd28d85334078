"""Rollouts of the live policy, and how a step's questions and random numbers are shared out to several processes."""

from collections.abc import Sequence

import torch
from torch.nn.utils.rnn import pad_sequence

from studylib.engine.generate import Sampling, decode
from studylib.engine.prompts import encode
from studylib.errors import StudyError
from studylib.params.schema import Rl
from studylib.train import loop


def decoded(trainer, rows: Sequence[int]) -> list[list[int]]:
    """Token ids of the answers to these rows, `num_generations` each, by our own decoding loop."""
    inputs = encode(trainer.processing_class, [trainer.rows[i] for i in rows], True)
    ids = [trainer._prompt(i).ids for i in rows]
    pad = trainer._tokenizer.pad_token_id
    inputs["input_ids"] = pad_sequence(ids, batch_first=True, padding_value=pad, padding_side="left")
    inputs["attention_mask"] = pad_sequence([torch.ones_like(x) for x in ids], batch_first=True, padding_side="left")
    samples, longest = trainer.num_generations, trainer.max_completion_length
    answers = decode(
        trainer.accelerator.unwrap_model(trainer.model),
        inputs,
        Sampling(trainer.temperature, 1.0, 0, longest),
        samples=samples,
        suppress=trainer.suppressed,
        noise=noise_shard(trainer, len(rows) * samples, longest),
    )
    return [answer.ids for answer in answers]


def noise_shard(trainer, rollouts: int, longest: int) -> torch.Tensor:
    """This process's share (rollouts, longest) of a step's uniform numbers.

    A rollout gets the same ones however many processes run.
    """
    accelerator, args = trainer.accelerator, trainer.args
    draw = torch.Generator().manual_seed(1_000_003 * args.seed + trainer.state.global_step)
    noise = torch.rand(rollouts * accelerator.num_processes, longest, generator=draw)
    places = shard_order(len(noise), trainer.updates, accelerator.num_processes)
    return noise[places.chunk(accelerator.num_processes)[accelerator.process_index]]


def shard_order(count: int, updates: int, processes: int) -> torch.Tensor:
    """Places of a generation batch in the order in which processes get them, a block each.

    Each process gets its share of every mini-batch: these hold the same groups however many processes run.
    """
    return torch.arange(count).view(updates, processes, -1).transpose(0, 1).flatten()


def prompt_order(count: int, needed: int, seed: int) -> list[int]:
    """Indices of the prompts of all steps: pass after pass over the rows, each in a random order of its own.

    Laid out before training, so that a resumed run sees the prompts of an uninterrupted one.
    """
    draw = torch.Generator().manual_seed(seed)
    order: list[int] = []
    while len(order) < needed:
        order += torch.randperm(count, generator=draw).tolist()
    return order[:needed]


def sharded_order(count: int, config: Rl, seed: int) -> list[int]:
    """`prompt_order` for all steps, each step's prompts shared out to the processes that train together.

    Raises StudyError where they do not divide.
    """
    questions = config.prompts_per_step // config.mini_batches
    if questions % loop.processes():
        raise StudyError(
            f"A mini-batch of {questions} questions does not divide over {loop.processes()} processes: "
            "change rl.prompts_per_step or hardware.gpus."
        )
    order = torch.tensor(prompt_order(count, config.steps * config.prompts_per_step, seed))
    places = shard_order(config.prompts_per_step, config.mini_batches, loop.processes())
    return order.view(-1, config.prompts_per_step)[:, places].flatten().tolist()
