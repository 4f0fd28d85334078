"""One SFT step of a model sharded as the paper's is, by accelerate's own FSDP2 wrapping: run by torchrun under gloo.

accelerate shards nothing on CPUs by itself, so its wrapping is called directly, with the plugin that the launch
configuration makes. Writes what the main process saw to OUT.
"""

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace


def main(base: str, out: str, head: str) -> None:
    from studylib.engine.models import mend_torchvision

    mend_torchvision()
    import torch
    from accelerate import PartialState
    from accelerate.utils import FullyShardedDataParallelPlugin
    from accelerate.utils.fsdp_utils import fsdp2_prepare_model
    from torch.distributed.tensor import DTensor
    from training import build_rows

    from studylib.cluster.launch import FSDP2
    from studylib.engine.models import freeze_vision, load_model, load_processor
    from studylib.params.schema import Lora, Sft
    from studylib.train import heads, loop
    from studylib.train.sft import Traces, TraceTrainer, add_lora, sft_arguments

    state = PartialState(cpu=True)
    for key, value in FSDP2.items():
        os.environ[key.upper()] = str(value)
    heads.SMALL_VOCABULARY = 8192 if head == "light" else 0
    processor, rows = load_processor(base), build_rows(8)
    config = Sft(lr=0.5, batch_size=8, micro_batch=4, epochs=1, warmup=0, dtype="float32", lora=None)

    def trainer(lora=None):
        model = load_model(base)
        freeze_vision(model)
        traces = Traces(model, processor, rows)
        if lora:
            torch.manual_seed(0)
            model = add_lora(model, lora)
        args = sft_arguments(config, Path(out), 8, 0, {"gradient_checkpointing": True})
        made = TraceTrainer(model=model, args=args, processing_class=processor, traces=traces)
        made.model.train()
        return made

    def step(made, places, averaged):
        """One step of SGD. The trainer's loss is a multiple of the processes, since FSDP averages their gradients."""
        batch = made.traces.collate([{"row": place} for place in places])
        loss = made.compute_loss(made.model, batch, num_items_in_batch=8)
        (loss / averaged).backward()
        trained = [p for p in made.model.parameters() if p.requires_grad]
        torch.optim.SGD(trained, lr=config.lr).step()
        return loss.detach() / state.num_processes

    told = {}
    for name, lora in (("full", None), ("lora", Lora(r=4, alpha=8))):
        whole, ours = trainer(lora), trainer(lora)
        alone = step(whole, range(8), state.num_processes)
        plugin = FullyShardedDataParallelPlugin()
        fake = SimpleNamespace(state=SimpleNamespace(fsdp_plugin=plugin), mixed_precision="no", is_main_process=True)
        ours.model = fsdp2_prepare_model(fake, ours.model)
        half = range(state.process_index * 4, state.process_index * 4 + 4)
        together = step(ours, half, 1)
        torch.distributed.all_reduce(together)
        parameters = list(ours.model.parameters())
        loop.publish(ours.model, processor, Path(out) / name)
        if state.is_main_process:
            loop.publish(whole.model, processor, Path(out) / f"{name}-alone")
        told[name] = {
            "loss": [float(alone), float(together)],
            "sharded": sum(isinstance(p, DTensor) for p in parameters) / len(parameters),
        }
    if state.is_main_process:
        (Path(out) / "told.json").write_text(json.dumps(told))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
