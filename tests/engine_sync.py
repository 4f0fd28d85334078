"""GRPO with vLLM beside the trainer, and whether the engine has its weights: run by tests/test_weight_sync.py.

vLLM reads its settings when imported, so this is a process of its own. Writes to OUT the distance between the engine's
log-probabilities and the trainer's, before any step, after steps without a sync, and after one. KIND is full, lora or
progressive.
"""

import json
import sys
from functools import partial
from pathlib import Path


def main(base: str, out: str, kind: str) -> None:
    from studylib.engine.models import mend_torchvision

    mend_torchvision()
    import torch
    from test_grpo import CONFIG
    from training import build_rows

    from studylib.cluster.process import arguments
    from studylib.engine.models import add_lora, freeze_vision, load_model, load_processor, never_sampled
    from studylib.engine.prompts import encode, on_white
    from studylib.params.load import load_params
    from studylib.params.schema import Lora
    from studylib.store.identity import Stage
    from studylib.train import grpo
    from studylib.train.encode import Prompts
    from studylib.train.progressive import ProgressiveTrainer
    from studylib.train.rollouts import prompt_order
    from studylib.train.rollouts_vllm import folded

    hardware = {
        "nodes": 1,
        "gpus": 1,
        "memory_gib": 8,
        "tflops": 1,
        "utilisation": 0.5,
        "generation": 0.5,
        "disk_tib": 1,
    }
    launch = {"sharding": "none", "gradient_checkpointing": False, "rollouts": "colocate", "engine_memory": 0.3,
              "checkpoint_minutes": 60}  # fmt: skip
    model_params = {"path": base, "dtype": "float32"}
    params = load_params("smoke", {"hardware": hardware, "launch": launch, "model": model_params})
    told = arguments(params, Stage("rl", "grpo", {"rl": CONFIG.model_dump()}, {}, ()))
    grpo.accuracy = lambda row, response, reason: float("e" in response)  # a random base answers nothing right
    model, processor, rows = load_model(base), load_processor(base), build_rows(8)
    freeze_vision(model)
    build = grpo.RolloutTrainer
    if kind == "lora":
        model = add_lora(model, Lora(r=4, alpha=8))
    if kind == "progressive":  # prefixes longer than any prompt
        longer = {"pass_rate": 0.0, "trace": f"<think> {'1+1= 2. ' * 150}</think> \\boxed{{2}}"}
        rows = [{**row, **longer} for row in rows]
        build = partial(ProgressiveTrainer, steps=2, until=0.6, weight=0.2)
    suppressed = never_sampled(processor)
    config = CONFIG.model_copy(update={"steps": 2})
    trainer = build(
        model=model,
        args=grpo.rl_arguments(config, Path(out), 0, told["launched"]),
        processing_class=processor,
        prompts=Prompts(model, processor, rows),
        rows=rows,
        suppressed=suppressed,
        order=prompt_order(len(rows), config.steps * config.prompts_per_step, 0),
        rollouts=told["rollouts"],
    )

    @torch.no_grad()
    def trainers(row: dict, ids: list[int]) -> torch.Tensor:
        """By the live model on the processor's own tensors, what may not be sampled as unlikely as in the engine."""
        said, inputs = torch.tensor(ids), encode(processor, [row], True)
        whole = torch.cat([inputs["input_ids"], said[None]], 1)
        types = torch.cat([inputs["mm_token_type_ids"], torch.zeros_like(said[None])], 1)
        pictures = {key: inputs[key] for key in ("pixel_values", "image_grid_thw") if key in inputs}
        logits = trainer.model(input_ids=whole, mm_token_type_ids=types, **pictures).logits
        logits = logits[0, inputs["input_ids"].shape[1] - 1 : -1].float()
        logits[:, suppressed] -= 100
        return logits.log_softmax(-1).gather(-1, said[:, None])[:, 0]

    def distance() -> float:
        """Largest difference over the answers to a question with a picture, and to one without."""
        trainer.model.eval()
        far = []
        for row in (0, 3):
            prompt = folded(trainer.prompts[row].ids.tolist(), processor.image_token_id)
            pictures = [on_white(image) for image in rows[row]["images"]] or None
            asked = {"prompts": [prompt], "images": [pictures] if pictures else None, "num_generations": 1}
            _, [ids], [logps], _ = trainer.vllm_generation.generate(**asked)
            engine = torch.tensor([each[0] for each in logps])
            far.append(float((engine - trainers(rows[row], list(ids))).abs().max()))
        trainer.model.train()
        return max(far)

    found = {"at the start": distance()}
    trainer.train()  # rollouts by the engine, synced before each batch: the last updates are not in it
    found["after training, not synced"] = distance()
    trainer.vllm_generation.sync_weights()
    found["after training, synced"] = distance()
    found["steps"] = trainer.state.global_step
    found["gaps"] = [line["engine_gap"] for line in trainer.state.log_history if "engine_gap" in line]
    Path(out, "told.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
