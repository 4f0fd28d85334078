"""Trains a random model of 0.3 billion parameters for two steps; prints its peak memory and what was reckoned.

Run in a process of its own, since a peak can only be told for a whole process: see test_planner.py.
"""

import json
import sys

from studylib.engine.models import freeze_vision, mend_torchvision
from studylib.store.machine import forget_peak_memory, peak_memory_gib

mend_torchvision()

import torch  # noqa: E402
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration  # noqa: E402

from studylib.study import gpu_memory  # noqa: E402
from studylib.study.architecture import counted  # noqa: E402

TEXT = {
    "vocab_size": 32000,
    "hidden_size": 1024,
    "intermediate_size": 3584,
    "num_hidden_layers": 18,
    "num_attention_heads": 16,
    "num_key_value_heads": 4,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [8, 12, 12]},
}
VISION = {"depth": 2, "hidden_size": 64, "intermediate_size": 128, "num_heads": 2, "out_hidden_size": 1024}


def main(tokens: int) -> None:
    config = Qwen2_5_VLConfig(text_config=TEXT, vision_config=VISION, tie_word_embeddings=False)
    ids = torch.randint(0, 32000, (1, tokens))
    torch.ones(1) @ torch.ones(1)
    forget_peak_memory()
    before = peak_memory_gib()
    model = Qwen2_5_VLForConditionalGeneration(config).train()
    freeze_vision(model)
    model.gradient_checkpointing_enable()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], fused=True)
    for micro in range(4):  # two steps of two micro-batches: the peak is in the last, with moments and gradients there
        with torch.autocast("cpu", torch.bfloat16):
            hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[0]
            loss = torch.nn.functional.cross_entropy(model.lm_head(hidden).float(), ids[0])
        loss.backward()
        if micro == 1:
            optimizer.step()
            optimizer.zero_grad()
    arch = counted(config)
    state = gpu_memory.training(arch, {"lora": None, "micro_batch": 1}, 0, 1)
    reckoned = state.total - state.activations + gpu_memory.activations(arch, tokens, 0)
    told = {"parameters": arch.parameters, "measured": (peak_memory_gib() - before) * gpu_memory.GIB}
    print(json.dumps(told | {"reckoned": reckoned}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
