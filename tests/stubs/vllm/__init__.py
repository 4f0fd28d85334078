"""Stands for vLLM where only its surroundings are tested: an engine that answers at once, but for one question.

Each engine adds a line to the file $ENGINES; the question "slow" is answered after all others, "fatal" ends the
process, "misread" is read without its last token.
"""

import os
import time
from pathlib import Path
from types import SimpleNamespace


class SamplingParams:
    def __init__(self, **settings):
        self.__dict__.update(settings)


class LLM:
    def __init__(self, **settings):
        assert not {"OMP_NUM_THREADS", "VLLM_ENABLE_V1_MULTIPROCESSING"} & set(os.environ)  # else all in one thread
        self.waiting, self.count, self.llm_engine = [], 0, self
        with Path(os.environ["ENGINES"]).open("a") as file:
            file.write(f"{os.environ.get('CUDA_VISIBLE_DEVICES')} {settings['max_model_len']}\n")

    def enqueue(self, prompts, settings, use_tqdm):
        assert settings.detokenize is False
        self.count += 1
        self.waiting.append((str(self.count), prompts[0], settings))
        return [f"{self.count}-b07a"]

    def step(self):
        from studylib.engine.models import load_processor

        self.waiting.sort(key=lambda asked: "slow" in asked[1]["prompt"])
        request, prompt, settings = self.waiting.pop(0)
        while "slow" in prompt["prompt"] and len(Path(os.environ["ENGINES"]).read_text().splitlines()) < 2:
            time.sleep(0.05)  # on a busy machine the other engine may not have begun
        if "fatal" in prompt["prompt"]:
            time.sleep(1)  # what was answered before is on its way
            os._exit(3)
        processor = load_processor(os.environ["MODEL"])
        pictures = prompt.get("multi_modal_data", {}).get("image")
        ids = processor(text=[prompt["prompt"]], images=pictures)["input_ids"][0]
        ids = ids[:-1] if "misread" in prompt["prompt"] else ids
        said = processor.tokenizer(f"{os.getpid()}", add_special_tokens=False)["input_ids"]
        one = SimpleNamespace(token_ids=said, finish_reason="stop")
        return [SimpleNamespace(finished=True, request_id=request, prompt_token_ids=ids, outputs=[one] * settings.n)]
