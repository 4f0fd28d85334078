"""Ends a training in two processes of which the other reads its folder a while longer: run by torchrun under gloo."""

import sys
import time
from pathlib import Path
from types import SimpleNamespace

from accelerate import PartialState

from studylib.cluster.process import ended_together
from studylib.train import loop


def training(trainer: SimpleNamespace, out: Path) -> None:
    if not loop.main_process():
        time.sleep(1)
        assert (out / "resume").exists(), "cleared away too early"


if __name__ == "__main__":
    state, folder = PartialState(cpu=True), Path(sys.argv[1])
    ended_together(training)(SimpleNamespace(accelerator=state), folder)
    loop.finish(folder, "step")
    state.wait_for_everyone()
    state.destroy_process_group()
