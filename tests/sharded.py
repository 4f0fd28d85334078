"""SFT steps of a model sharded as the paper's is, by accelerate's own FSDP2 wrapping: run by torchrun under gloo.

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
    from torch.distributed.fsdp import FSDPModule
    from torch.distributed.tensor import DTensor
    from training import build_rows
    from trl.trainer import grpo_trainer
    from trl.trainer.utils import add_fused_lm_head

    from studylib.cluster.launch import FSDP2
    from studylib.cluster.process import arguments
    from studylib.engine.models import add_lora, freeze_vision, load_model, load_processor
    from studylib.params.load import load_params
    from studylib.params.schema import Lora
    from studylib.store.identity import Stage
    from studylib.train import heads, loop, sharding
    from studylib.train.encode import forward_inputs
    from studylib.train.sft import Traces, TraceTrainer, sft_arguments

    state = PartialState(cpu=True)
    for key, value in FSDP2.items():
        os.environ[key.upper()] = str(value)
    heads.SMALL_VOCABULARY = 8192 if head == "light" else 0
    processor, rows = load_processor(base), build_rows(8)
    launch = {"sharding": "fsdp2", "gradient_checkpointing": True, "rollouts": "decoded", "engine_memory": 0.3,
              "checkpoint_minutes": 1}  # fmt: skip
    hardware = {"nodes": 1, "gpus": 2, "memory_gib": 1, "tflops": 1, "utilisation": 0.5,
                "generation": 0.5, "disk_tib": 1}  # fmt: skip
    sizes = {"sft.lr": 0.5, "sft.batch_size": 8, "sft.micro_batch": 8 // state.num_processes, "sft.loss": "trace"}
    params = load_params("smoke", {"launch": launch, "hardware": hardware, **sizes})
    launched = arguments(params, Stage("sft", "sft", {}, {}, ()))["launched"]
    share = 8 // state.num_processes
    mine = range(state.process_index * share, state.process_index * share + share)

    def trainer(lora=None):
        model = load_model(base)
        freeze_vision(model)
        traces = Traces(model, processor, rows)
        if lora:
            torch.manual_seed(0)
            model = add_lora(model, lora)
        args = sft_arguments(params.sft, Path(out), 8, 0, launched)
        made = TraceTrainer(model=model, args=args, processing_class=processor, traces=traces, loss="trace")
        made.model.train()
        return made

    def accelerator(precision="no"):
        """What accelerate's own steps on a GPU need: the policy of the precision, ours on top."""
        plugin = FullyShardedDataParallelPlugin()
        if precision != "no":
            plugin.set_mixed_precision(precision)
        fake = SimpleNamespace(fsdp_plugin=plugin)
        fake = SimpleNamespace(state=fake, mixed_precision=precision, is_main_process=True)
        sharding.float_outputs(fake)
        return fake

    def sharded(made, precision="no"):
        made.model = fsdp2_prepare_model(accelerator(precision), made.model)
        return made

    def backward(made, places, averaged=1):
        """The trainer's loss is a multiple of the processes, since FSDP averages their gradients."""
        batch = made.traces.collate([{"row": place} for place in places])
        loss = made.compute_loss(made.model, batch, num_items_in_batch=8)
        (loss / averaged).backward()
        return loss.detach() / state.num_processes

    def trained(made):
        return {name: p for name, p in made.model.named_parameters() if p.requires_grad}

    def whole(tensor):
        return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor

    told = {}
    for name, lora in (("full", None), ("lora", Lora(r=4, alpha=8))):
        alone, ours = trainer(lora), trainer(lora)
        loss = backward(alone, range(8), state.num_processes)
        sharded(ours)
        together = backward(ours, mine)
        torch.distributed.all_reduce(together)
        expected, errors = trained(alone), {}
        for key, parameter in trained(ours).items():
            difference = (whole(parameter.grad) - expected[key].grad).norm()
            errors[key] = float(difference / expected[key].grad.norm().clamp(min=1e-8))
        for made in (alone, ours):
            torch.optim.SGD(trained(made).values(), lr=0.5).step()
        parameters = list(ours.model.parameters())
        loop.publish(ours.model, processor, Path(out) / name)
        if state.is_main_process:
            loop.publish(alone.model, processor, Path(out) / f"{name}-alone")
        told[name] = {
            "loss": [float(loss), float(together)],
            "sharded": sum(isinstance(p, DTensor) for p in parameters) / len(parameters),
            "errors": errors,
            "missing": sorted(expected.keys() - errors.keys()),
        }

    # In bfloat16, as on a GPU: the first of several micro-batches, whose gradients are kept until the last.
    ours = sharded(trainer(), "bf16")
    ours.model.set_requires_gradient_sync(ours.accelerator.gradient_state.plugin_kwargs.get("sync_each_batch", False))
    backward(ours, mine)
    units = [module._get_fsdp_state() for module in ours.model.modules() if hasattr(module, "_get_fsdp_state")]
    held = [p for unit in units for group in unit._fsdp_param_groups for p in group.fsdp_params]
    held = [getattr(p, "_unsharded_param", None) for p in held]
    kept = [p.grad for p in trained(ours).values()]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        batch = forward_inputs(ours.traces.collate([{"row": place} for place in mine]))
        scored = ours.model(**batch, fused_lm_head=True).log_probs
    told["bfloat16"] = {
        "gradients held whole": sum(p.grad.numel() for p in held if p is not None and p.grad is not None),
        "gradients": sorted({str(grad.dtype) if isinstance(grad, DTensor) else "whole" for grad in kept}),
        "log_probs": str(scored.dtype),
    }

    # The reference of GRPO, as TRL hands it over.
    sharding.shard_reference_by_layers()
    alone, reference = load_model(base), load_model(base)
    for model in (alone, reference):
        add_fused_lm_head(model)
        heads.light_head(model)
    reference = grpo_trainer.prepare_fsdp(reference, accelerator())
    with torch.no_grad():
        expected, scored = (m(**batch, fused_lm_head=True).log_probs for m in (alone, reference))
    told["reference"] = {
        "units": sum(isinstance(module, FSDPModule) for module in reference.modules()),
        "error": float((expected - scored).abs().max()),
    }
    if state.is_main_process:
        (Path(out) / "told.json").write_text(json.dumps(told))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    os._exit(0)  # a mesh's threads abort the interpreter now and then as it ends, which is not what is tested here


if __name__ == "__main__":
    main(*sys.argv[1:])
