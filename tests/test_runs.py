import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from studylib.errors import StudyError
from studylib.paths import ROOT
from studylib.store import machine, store
from studylib.store.identity import Stage

NUMBERS = Stage("numbers", "trivial", {"count": 3}, {}, ("studylib.engine.prompts:render",))
DOUBLED = Stage("doubled", "trivial", {}, {"numbers": NUMBERS}, ("studylib.engine.prompts:render",), seed=1)


def write_numbers(work):
    (work.path / "numbers.txt").write_text(" ".join(map(str, range(work.stage.params["count"]))))
    work.facts["tokens"] = 3


def double(work):
    text = (work.inputs["numbers"].path / "numbers.txt").read_text()
    (work.path / "doubled.txt").write_text(text + " " + text)


def never(work):
    raise AssertionError("a published stage was made again")


def test_publishes_once_with_a_full_manifest(tmp_path):
    run = store.ensure(NUMBERS, write_numbers, tmp_path)
    store.ensure(DOUBLED, double, tmp_path)
    again = store.ensure(DOUBLED, never, tmp_path)
    manifest = again.manifest
    assert again.path.name == f"doubled.s1-{DOUBLED.identity[:10]}"
    assert manifest["inputs"] == {"numbers": run.path.name} and manifest["seed"] == 1
    assert run.manifest["facts"] == {"distributed": "NO", "tokens": 3}
    assert {"git_commit", "packages", "seconds", "peak_memory_gib", "code"} <= set(manifest)
    assert set(manifest["files"]) == {"doubled.txt"} and not manifest["resumed"]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: (path / "numbers.txt").write_text("0 1 3"), r"numbers.txt does not match .*bad hash"),
        (lambda path: (path / "numbers.txt").unlink(), r"numbers.txt is missing"),
        (lambda path: (path / "manifest.json").unlink(), r"has no manifest.json"),
        (lambda path: (path / "manifest.json").write_text('{"files": {'), r"half-written"),
        (lambda path: (path / "manifest.json").write_text("[]"), r"half-written or damaged"),
    ],
)
def test_damaged_run_is_refused_with_the_way_out(tmp_path, damage, said):
    path = store.ensure(NUMBERS, write_numbers, tmp_path).path
    damage(path)
    store._load.cache_clear()
    with pytest.raises(StudyError, match=f"{said}.*; delete the folder .*{path.name} and start again"):
        store.ensure(NUMBERS, never, tmp_path)


def test_big_files_are_hashed_again_when_they_changed(tmp_path):
    def write_big(work):
        (work.path / "big.bin").write_bytes(bytes(2 << 20))

    big = Stage("big", "trivial", {}, {}, ())
    file = store.ensure(big, write_big, tmp_path).path / "big.bin"
    with file.open("r+b") as out:
        out.write(b"x")
    store._load.cache_clear()
    with pytest.raises(StudyError, match="bad hash"):
        store.find(big, tmp_path)


def test_missing_input_is_named(tmp_path):
    with pytest.raises(StudyError, match="numbers has not been made yet"):
        store.ensure(DOUBLED, double, tmp_path)


SLOW = """
    import sys, time
    from pathlib import Path
    from studylib.store import store
    slow = store.Stage("slow", "trivial", {}, {}, ())

    def count(work):
        for i in range(10):
            mark = work.path / f"step-{i}"
            if not mark.exists():
                time.sleep(0.1)
                mark.write_text(sys.argv[2])
            work.progress(i + 1, 10)

    store.ensure(slow, count, Path(sys.argv[1]), lambda line: print(line, flush=True))
    print("finished", flush=True)
"""


def start(code, *words):
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, words)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_killed_stage_publishes_nothing_and_resumes_where_it_was(tmp_path):
    process = start(SLOW, tmp_path, "first")
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob(".work/*/step-4")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not list(tmp_path.glob("slow-*"))
    said, errors = start(SLOW, tmp_path, "second").communicate(timeout=30)
    assert said.endswith("finished\n"), errors
    (path,) = tmp_path.glob("slow-*")
    assert [(path / f"step-{i}").read_text() for i in (0, 9)] == ["first", "second"]
    assert json.loads((path / "manifest.json").read_text())["resumed"]


def test_second_process_waits_for_the_first(tmp_path):
    pair = [start(SLOW, tmp_path, who) for who in ("first", "second")]
    said = [process.communicate(timeout=30)[0] for process in pair]
    assert all(text.endswith("finished\n") for text in said)
    assert sum("slow: waiting for the process" in text for text in said) == 1
    (path,) = tmp_path.glob("slow-*")
    assert len({(path / f"step-{i}").read_text() for i in range(10)}) == 1


def test_lock_is_refused_while_held_and_free_after_a_kill(tmp_path):
    hold = """
        import sys, time
        from pathlib import Path
        from studylib.store.store import lock
        with lock(Path(sys.argv[1]) / "study.lock"):
            print("holding", flush=True)
            time.sleep(60)
    """
    process = start(hold, tmp_path)
    assert process.stdout.readline() == "holding\n"
    with pytest.raises(store.Busy), store.lock(tmp_path / "study.lock"):
        pass
    process.kill()
    process.communicate()
    with store.lock(tmp_path / "study.lock"):
        pass


def test_no_room_left_while_the_manifest_is_written_publishes_nothing_and_loses_nothing(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(store.json, "dump", full)
    with pytest.raises(OSError, match="No space left"):
        store.ensure(NUMBERS, write_numbers, tmp_path)
    assert not store.folder(NUMBERS, tmp_path).exists()
    monkeypatch.undo()
    assert set(store.ensure(NUMBERS, never, tmp_path).manifest["files"]) == {"numbers.txt"}


SHARED = """
    import os, sys, time
    from pathlib import Path
    from studylib.store import store
    stage, root = store.Stage("shared", "trivial", {}, {}, ()), Path(sys.argv[1])

    def make(name, path):
        time.sleep(0.2)
        path.write_text(f"{name} {os.getpid()}")

    def do(work):
        parts = work.shared([f"{n}" for n in range(8)], make)
        (work.path / "all.txt").write_text(",".join(part.read_text() for part in parts))
        time.sleep(0.3)  # the helper finds no part left to make

    def say(line): ...

    while not store.folder(stage, root).exists():
        store.ensure(stage, do, root, say, wait=False) or store.help_with(stage, do, root, say) or time.sleep(0.05)
"""


def test_idle_process_makes_parts_of_a_stage_that_another_owns(tmp_path):
    pair = [start(SHARED, tmp_path) for _ in range(2)]
    for process in pair:
        assert process.wait(timeout=30) == 0, process.stderr.read()
    (path,) = tmp_path.glob("shared-*")
    made = [part.split() for part in (path / "all.txt").read_text().split(",")]
    assert [name for name, _ in made] == [str(n) for n in range(8)]
    assert len({process for _, process in made}) == 2
    assert {file.name for file in path.iterdir()} == {"all.txt", "manifest.json"}


def test_parts_whose_names_have_points_do_not_write_the_same_file(tmp_path):
    names = ["linear-0.25", "linear-0.5"]
    work = store.Work(NUMBERS, tmp_path / "work", {}, print)
    work.path.mkdir()
    written = []
    parts = work.shared(names, lambda name, path: written.append(path.name) or path.write_text(name))
    assert [part.read_text() for part in parts] == names and len(set(written)) == 2


HOLES = """
import time
from studylib.store import machine

machine.trim_heap_regularly(every=0.05)
blocks = [bytes([1]) * 100_000 for _ in range(3000)]
held, survivor = machine.peak_memory_gib(), blocks.pop()
del blocks
time.sleep(1)
open("/proc/self/clear_refs", "w").write("5")  # the peak starts anew, without any trimming of ours
print(held - machine.peak_memory_gib())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
def test_a_worker_gives_back_what_it_freed_while_it_works():
    command = [sys.executable, "-c", HOLES]
    told = subprocess.run(command, cwd=machine.ROOT, capture_output=True, text=True, check=True).stdout
    assert float(told) > 0.2


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
def test_a_stage_does_not_start_with_what_an_earlier_one_freed():
    machine.reset_peak_memory()
    before = machine.peak_memory_gib()
    # Blocks below malloc's threshold for a mapping of their own, with a survivor above them.
    blocks = [bytes([1]) * 100_000 for _ in range(3000)]
    survivor = blocks.pop()
    held = machine.peak_memory_gib()
    del blocks
    machine.reset_peak_memory()
    assert held - before > 0.2
    assert held - machine.peak_memory_gib() > 0.2 and survivor
