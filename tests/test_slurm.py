"""Slurm gets the command that would have run here: a job a stage, after those that it needs."""

import os
from pathlib import Path

import pytest

from studylib.errors import StudyError
from studylib.params.load import load_params
from studylib.store import store
from studylib.store.identity import Stage
from studylib.study import slurm

DATA = Stage("data", "questions", {}, {}, ())
ARMS = {name: Stage(name, "grpo", {}, {"data": DATA}, (), 1) for name in ("rl", "rl_beta0")}
LAST = Stage("both", "grade", {}, ARMS, ())
HARDWARE = {
    "nodes": 2,
    "gpus": 8,
    "memory_gib": 80,
    "tflops": 989,
    "utilisation": 0.4,
    "generation": 0.1,
    "disk_tib": 8,
}
LAUNCH = {"sharding": "fsdp2", "gradient_checkpointing": True, "rollouts": "decoded", "engine_memory": 0.3,
          "checkpoint_minutes": 30, "slurm": ["--partition=big", "--time=24:00:00"]}  # fmt: skip


def params():
    return load_params("smoke", {"hardware": HARDWARE, "launch": LAUNCH})


def command(stage: Stage) -> list[str]:
    return ["python", "-m", "studylib", "stage", stage.name, "--set", "rl.beta=0.02 "]


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """An sbatch that publishes a job's stage at once, but not those named in `failing`, and an empty queue."""
    (tmp_path / "bin").mkdir()
    root = tmp_path / "runs"
    for name, body in {
        "sbatch": f"""
script="${{!#}}"
count=$(cat {tmp_path}/count 2> /dev/null || echo 100); echo $((count + 1)) > {tmp_path}/count
echo "$count $*" >> {tmp_path}/asked
folder=$(sed -n 's/#SBATCH --job-name=study-//p' "$script")
if grep -qx "$folder" {tmp_path}/failing 2> /dev/null; then
  echo 'Error: the disk is full' >> "$(sed -n 's/#SBATCH --output=//p' "$script")"
else mkdir -p {root}/$folder; fi
echo "$count;cluster" """,
        "squeue": f"cat {tmp_path}/queue 2> /dev/null || true",
    }.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setattr(slurm, "SECONDS", 0.01)
    return tmp_path


def asked(cluster: Path) -> dict[str, str]:
    lines = (line.split(" ", 1) for line in (cluster / "asked").read_text().splitlines())
    return {Path(words.split()[-1]).stem: f"{number} {words}" for number, words in lines}


def test_each_stage_is_a_job_after_its_inputs_and_arms_wait_for_data_alone(cluster):
    slurm.run([LAST], params(), cluster / "runs", command)
    told = asked(cluster)
    assert "--dependency" not in told["data"]
    assert all("--dependency=afterok:100 " in told[arm] for arm in ("rl.s1", "rl_beta0.s1"))
    assert "--dependency=afterok:101:102 " in told["both"]


def test_the_script_runs_the_same_command_without_what_make_told_this_process():
    text = slurm.script(ARMS["rl"], params(), Path("log"), command(ARMS["rl"]))
    assert text.splitlines()[-1] == "python -m studylib stage rl --set 'rl.beta=0.02 '"
    assert "#SBATCH --nodes=2\n#SBATCH --gpus-per-node=8" in text and "#SBATCH --partition=big" in text
    assert "unset LAUNCH STUDY_MAKE_PID" in text
    assert "#SBATCH --nodes=1\n" in slurm.script(DATA, params(), Path("log"), []) and "gpus" not in slurm.script(
        DATA, params(), Path("log"), []
    )


def test_a_job_that_is_queued_already_is_waited_for_and_not_sent_twice(cluster, monkeypatch):
    root = cluster / "runs"
    (cluster / "queue").write_text(f"{slurm._name(DATA)} 77\n")
    monkeypatch.setattr(slurm, "_follow", lambda *_: None)
    slurm.run([LAST], params(), root, command)
    told = asked(cluster)
    assert "data" not in told and "--dependency=afterok:77 " in told["rl.s1"]


def test_a_job_that_ends_without_its_stage_is_told_with_its_reason(cluster):
    (cluster / "failing").write_text(f"rl.s1-{ARMS['rl'].identity[:10]}\n")
    with pytest.raises(StudyError, match=r"the disk is full \(rl.s1; all its job said is in .*rl.s1-"):
        slurm.run([LAST], params(), cluster / "runs", command)


def test_without_slurm_the_scripts_are_written_and_the_reader_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StudyError, match="no sbatch here. 4 scripts for it are in .*: data, rl.s1, rl_beta0.s1, both"):
        slurm.run([LAST], params(), tmp_path / "runs", command)
    assert (tmp_path / "runs/.work/slurm/rl.s1.sh").exists()
    assert not store.folder(LAST, tmp_path / "runs").exists()


def test_a_stage_of_another_seed_is_asked_for_by_that_seed():
    from studylib.__main__ import _one_stage
    from studylib.study.notebook import Study

    study = Study("mini", 2)
    author = study.stage("eureka")
    words = _one_stage(author, study, ["rl.beta=0.02"])
    assert words[-6:] == ["--scale", "mini", "--seed", "1", "--set", "rl.beta=0.02"]
    assert Study("mini", 1).stage(words[4]).identity == author.identity


def test_other_jobs_may_have_spaces_in_their_names_and_squeue_may_fail_now_and_then(cluster, monkeypatch):
    monkeypatch.setattr(slurm, "ATTEMPTS", 3)
    (cluster / "queue").write_text(f"my notebook 12\n{slurm._name(DATA)} 77_[1-3]\n")
    assert slurm._queue() == {"my notebook": "12", slurm._name(DATA): "77_[1-3]"}
    squeue = cluster / "bin" / "squeue"
    working = squeue.read_text().removeprefix("#!/bin/bash\n")
    squeue.write_text(f"""#!/bin/bash
if [ ! -e {cluster}/failed ]; then touch {cluster}/failed; echo 'Socket timed out' >&2; exit 1; fi
{working}""")
    assert slurm._queue()["my notebook"] == "12"
    squeue.write_text("#!/bin/bash\necho 'Socket timed out' >&2; exit 1\n")
    with pytest.raises(StudyError, match=r"squeue fails \(Socket timed out\); what is queued goes on"):
        slurm._queue()
