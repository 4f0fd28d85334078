"""Files of the hub at a pinned commit."""

import re
from pathlib import Path

from studylib.errors import StudyError

WEIGHTS = ["*.safetensors", "*.json", "*.jinja", "*.txt"]
ROWS = ["*.parquet", "*.jsonl", "*.json", "*.jpg", "*.jpeg", "*.png", "*.webp", "*.gif", "*.bmp"]


def snapshot(name: str, revision: str | None, kind: str, where: str, key: str) -> Path:
    """The folder with the files of `owner/name` at a commit: a "model"'s weights or a "dataset"'s rows.

    where: the section of the params that errors name; key: its key that holds the name. Raises StudyError where the
    name is none, the revision can move, or the files cannot be had.
    """
    commit = commit_now(name, revision, kind, where, key)
    if commit != revision:
        raise StudyError(
            f"{where}.revision is {revision!r}, which can move: pin the commit, now {commit} (make pin names all)."
        )
    from huggingface_hub import snapshot_download

    wanted = WEIGHTS if kind == "model" else ROWS
    try:  # what is in the cache whole is taken without a network
        return Path(snapshot_download(name, repo_type=kind, revision=revision, allow_patterns=wanted))
    except Exception as error:
        raise _not_had(name, revision, where, key, error) from error


def commit_now(name: str, revision: str | None, kind: str, where: str, key: str) -> str:
    """The commit that a revision is now; of a commit itself without asking. Raises StudyError as `snapshot` does."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise StudyError(f"{where}.{key} is {name!r}: no folder or file here, and no owner/name of the hub.")
    if re.fullmatch("[0-9a-f]{40}", revision or ""):
        return revision
    from huggingface_hub import HfApi

    try:
        return HfApi().repo_info(name, repo_type=kind, revision=revision).sha
    except Exception as error:
        raise _not_had(name, revision, where, key, error) from error


def _not_had(name: str, revision: str | None, where: str, key: str, error: Exception) -> StudyError:
    """For any error: those of the HTTP library beneath are neither OSError nor the hub's."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return StudyError(
        f"{where}: {name} at {revision} cannot be had from the hub ({reason}): check {key}, revision (the hash of "
        f"a commit) and network, or set the {key} to a folder with its files."
    )
