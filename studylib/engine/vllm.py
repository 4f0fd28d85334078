"""Generation with vLLM: one engine a GPU, each in a process of its own that takes memory and threads with it."""

import multiprocessing
import os
import queue
from collections.abc import Iterator, Sequence
from importlib.util import find_spec

from studylib.engine.models import load_processor, mend_torchvision, never_sampled
from studylib.engine.prompts import PromptIds, on_white, render
from studylib.engine.sampling import Sampling
from studylib.errors import StudyError
from studylib.store.machine import die_with

Answers = list[tuple[list[int], str]]  # token ids and "stop" or "length", a sample each


def answers_as_finished(
    model_path,
    rows,
    places: Sequence[int],
    instruct: bool,
    samples: int,
    sampling: Sampling,
    seed: int,
    batch_size: int,
) -> Iterator[tuple[int, Answers]]:
    """Yields (index, `samples` answers) of the rows at these `places`, in the order in which they are finished.

    An engine takes the next question as soon as it has room: a long answer keeps no other GPU waiting until no
    question is left. Raises StudyError where vLLM is not installed, read a prompt otherwise than the processor does,
    or an engine ended.
    """
    if find_spec("vllm") is None:
        raise StudyError('The engine "vllm" is not installed: make engine, or choose engine.name hf.')
    gpus = visible_gpus()
    # Fresh interpreters, since vLLM reads its settings when imported and torch's threads do not survive a fork.
    spawn = multiprocessing.get_context("spawn")
    todo, done = spawn.Queue(), spawn.Queue()
    for index in [*places, *[None] * len(gpus)]:
        todo.put(index)
    room = min(-(-2 * batch_size // samples), -(-len(places) // len(gpus)))  # no engine takes what another could
    work = (str(model_path), rows, instruct, samples, sampling, batch_size, room)
    engines = [
        spawn.Process(target=run_engine, args=(*work, seed + 10_000 * place, gpu, todo, done))
        for place, gpu in enumerate(gpus)
    ]
    for engine in engines:
        engine.start()
    try:
        for _ in places:
            index, answers = _next(done, engines)
            if index is None:
                raise StudyError(answers)
            yield index, answers
    finally:
        for engine in engines:
            engine.terminate()
            engine.join()


def _next(done, engines) -> tuple[int | None, Answers | str]:
    """The next answer, or None and why there will be none."""
    while True:
        try:
            return done.get(timeout=1)
        except queue.Empty:
            codes = [engine.exitcode for engine in engines if engine.exitcode]
            if codes:
                why = "out of memory: lower engine.batch_size" if codes[0] in (-9, 137) else "see what it said above"
                return None, f"An engine of vLLM ended with the exit code {codes[0]} ({why}); start again to go on."


def visible_gpus() -> list[str | None]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; [None] where there is none."""
    import torch

    if not torch.cuda.is_available():
        return [None]
    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return named or [str(number) for number in range(torch.cuda.device_count())]


def run_engine(model_path, rows, instruct, samples, sampling, batch_size: int, room: int, seed: int, gpu, todo, done):
    """An engine's process: answers what `todo` asks for until it asks for None; `room` questions at once."""
    die_with(os.getppid())
    os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"
    if gpu is None:  # one thread does all
        os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    else:  # pictures and scheduling in processes and threads of their own
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
        os.environ.pop("OMP_NUM_THREADS", None)
    mend_torchvision()
    from vllm import LLM, SamplingParams
    from vllm.model_executor.models import registry

    if gpu is None:
        registry._run_in_subprocess = lambda inspect: inspect()  # where torchvision would not be mended
    processor = load_processor(model_path)
    expected = PromptIds(processor, rows, instruct)
    engine = LLM(
        model=model_path,
        dtype="bfloat16" if gpu is not None else "float32",
        max_model_len=max(expected.lengths) + sampling.max_new_tokens,
        max_num_seqs=batch_size,
        limit_mm_per_prompt={"image": max(1, *map(len, expected.grids)), "video": 0},
        enforce_eager=gpu is None,
        seed=seed,
    )
    # One seed for the engine: a generator a request fails on CPU (vllm 0.32: "does not use offset").
    settings = SamplingParams(
        n=samples,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        max_tokens=sampling.max_new_tokens,
        logit_bias={token: -100.0 for token in never_sampled(processor)},
        detokenize=False,
    )
    in_flight: dict[str, int] = {}
    more = True
    while more or in_flight:
        while more and len(in_flight) < room:
            index = todo.get()
            if index is None:
                more = False
                break
            [request] = engine.enqueue([vllm_prompt(processor, rows[index], instruct)], settings, use_tqdm=False)
            in_flight[request.partition("-")[0]] = index  # outputs go by the number before vLLM's own ending
        for output in engine.llm_engine.step() if in_flight else ():
            if output.finished:
                index = in_flight.pop(output.request_id)
                try:
                    check_prompt(rows[index]["id"], output.prompt_token_ids, expected[index].tolist())
                except StudyError as error:
                    done.put((None, str(error)))
                    return
                done.put((index, [(list(one.token_ids), one.finish_reason) for one in output.outputs]))


def vllm_prompt(processor, row, instruct: bool) -> dict:
    """One image token a picture: vLLM expands it (TRL issues 6294 and 6401 are what twice looks like)."""
    prompt = {"prompt": render(processor, row, instruct)}
    if row["images"]:
        prompt["multi_modal_data"] = {"image": [on_white(picture) for picture in row["images"]]}
    return prompt


def check_prompt(name: str, used: list[int], expected: list[int]) -> None:
    """Raise StudyError unless vLLM read the very ids that the processor makes of the prompt."""
    if list(used) != expected:
        raise StudyError(
            f"vLLM read question {name} as {len(used)} tokens and the processor as {len(expected)}, or other ones: "
            'generate with the engine "hf" and report the versions of vllm and transformers.'
        )
