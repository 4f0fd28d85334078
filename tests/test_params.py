import re

import pytest

from studylib.errors import StudyError
from studylib.params.load import load_params
from studylib.paths import ROOT
from studylib.study.notebook import Study


@pytest.mark.parametrize("scale", ["smoke", "mini", "paper"])
def test_every_scale_fits_the_schema(scale):
    assert load_params(scale).scale == scale


def test_unknown_key_names_the_key_the_nearest_and_the_file():
    with pytest.raises(StudyError, match=r"params/smoke.yaml.*'rl.bta'.*did you mean 'beta'"):
        load_params("smoke", {"rl.bta": 0.1})
    with pytest.raises(StudyError, match=r"'arms.rl.rl.beto'.*did you mean 'beta'"):
        load_params("smoke", {"arms.rl": {"method": "grpo", "data": "eureka", "rl": {"beto": 0}}})
    with pytest.raises(StudyError, match=r"'sft.lora.zzz'.*known: r, alpha"):
        load_params("smoke", {"sft.lora": {"zzz": 4, "r": 4, "alpha": 8}})
    with pytest.raises(StudyError, match=r"unknown key 'sampleing'.*did you mean 'sampling'"):
        load_params("smoke", {"sampleing": {}})


def test_impossible_values_are_named():
    with pytest.raises(StudyError, match=r"'sampling.top_p' is 1.5.*less than or equal to 1"):
        load_params("smoke", {"sampling.top_p": 1.5})
    with pytest.raises(StudyError, match=r"'rl.rollouts' is 1.*greater than or equal to 2"):
        load_params("smoke", {"rl.rollouts": 1})
    with pytest.raises(StudyError, match=r"prompts_per_step 5 does not divide into mini_batches 2"):
        load_params("smoke", {"rl.prompts_per_step": 5})
    with pytest.raises(StudyError, match=r"'engine.name' is 'vlm'.*'hf' or 'vllm'"):
        load_params("smoke", {"engine.name": "vlm"})


def test_switches_repeated_seeds_and_equal_parents_are_refused():
    with pytest.raises(StudyError, match=r"rl.steps: true and false are no numbers"):
        load_params("smoke", {"rl.steps": True})
    with pytest.raises(StudyError, match=r"seeds: true and false"):
        load_params("smoke", {"seeds": [True]})
    with pytest.raises(StudyError, match=r"seeds: \[1, 1\] names 1 twice"):
        load_params("smoke", {"seeds": [1, 1]})
    with pytest.raises(StudyError, match=r"both parents, sft and rl, are 'rl'"):
        load_params("smoke", {"merging.sft": "rl"})
    for seed in (0, -1):
        with pytest.raises(StudyError, match=f"The seed is {seed}: seeds are whole numbers from 1"):
            Study("smoke", seed)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("rl.steps", "10", r"rl.steps: '10' is a text and should be a number"),
        ("seeds", ["1"], r"seeds: \['1'\] is a text"),
        ("rl.beta", float("inf"), "'rl.beta' is inf"),
        ("data.training", ["MiniVision", "MiniVision"], "data.training: .* names 'MiniVision' twice"),
        ("data.training", [], "'data.training' is empty, but it should name at least one"),
        (
            "data.hub.queries",
            {"nam": "x", "split": "train"},
            "unknown key 'data.hub.queries.nam'; did you mean 'name'\\?$",
        ),
        ("data.hub.queries", {"name": "", "split": "train"}, "'data.hub.queries.name' is ''"),
    ],
)
def test_a_value_of_another_kind_is_named_with_what_it_should_be(key, value, sentence):
    with pytest.raises(StudyError, match=sentence):
        load_params("smoke", {key: value})


def test_names_that_point_nowhere_are_refused():
    arm = {"method": "grpo", "data": "eureka", "start": "sft_eurka"}
    with pytest.raises(StudyError, match=r"'sft_eurka', which is no arm; did you mean 'sft_eureka'"):
        load_params("smoke", {"arms.two_stage": arm})
    with pytest.raises(StudyError, match=r"in a circle: rl -> rl"):
        load_params("smoke", {"arms.rl": {"method": "grpo", "data": "eureka", "start": "rl"}})
    with pytest.raises(StudyError, match=r"no params/smoek.yaml; did you mean 'smoke'"):
        load_params("smoek")


def test_a_method_takes_its_own_sections_and_no_other():
    with pytest.raises(StudyError, match=r"'sft' does not read the section 'interleaved'"):
        load_params("smoke", {"arms.x": {"method": "sft", "data": "eureka", "interleaved": {"weight": 1}}})
    with pytest.raises(StudyError, match=r"'arms.x' is \[.*a section of keys"):
        load_params("smoke", {"arms.x": [{"method": "sft", "data": "eureka"}]})
    with pytest.raises(StudyError, match=r"'progressive' needs 'data'"):
        load_params("smoke", {"arms.x": {"method": "progressive"}})
    with pytest.raises(StudyError, match=r"merging has parents \(merging.sft, merging.rl\)"):
        load_params("smoke", {"arms.x": {"method": "merging", "start": "rl"}})
    with pytest.raises(StudyError, match=r"'arms.x.merging.shares.0' is 1.5.*less than 1"):
        load_params("smoke", {"arms.x": {"method": "merging", "merging": {"shares": [1.5]}}})


def test_parents_of_every_kind_must_be_arms_and_make_no_circle():
    with pytest.raises(StudyError, match=r"arms.merging merges, as RL model, 'rll', which is no arm; did you mean"):
        load_params("smoke", {"merging.rl": "rll"})
    with pytest.raises(StudyError, match=r"arms.data_mixing mixes answers of 'nobody', which is no arm"):
        load_params("smoke", {"mixing.arm": "nobody"})
    with pytest.raises(StudyError, match=r"in a circle: data_mixing -> data_mixing"):
        load_params("smoke", {"mixing.arm": "data_mixing"})


def test_an_arm_names_only_what_it_changes():
    params = load_params("mini")
    beta0 = params.arms["rl_beta0"].rl
    assert beta0.beta == 0 and beta0.lr == params.rl.lr
    assert params.arms["rl"].sft is None
    everywhere = params.arms["interleaved_all"]
    assert everywhere.interleaved.everywhere and everywhere.interleaved.weight == params.interleaved.weight
    assert everywhere.rl == params.rl


def test_damaged_params_file_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("studylib.params.load.params_dir", lambda: tmp_path)
    (tmp_path / "cut.yaml").write_text("rl: {lr: 1e-5")
    with pytest.raises(StudyError, match="params/cut.yaml is not YAML"):
        load_params("cut")
    (tmp_path / "empty.yaml").write_text("")
    with pytest.raises(StudyError, match="empty"):
        load_params("empty")


def test_gradients_are_clipped_where_the_params_say(tmp_path):
    from studylib.train.grpo import rl_arguments
    from studylib.train.sft import sft_arguments

    params = load_params("smoke", {"sft.max_grad_norm": 0.3, "rl.max_grad_norm": 0.2})
    assert sft_arguments(params.sft, tmp_path, 8, 0).max_grad_norm == 0.3
    assert rl_arguments(params.rl, tmp_path, 0).max_grad_norm == 0.2
    assert load_params("paper").sft.max_grad_norm == load_params("paper").rl.max_grad_norm == 1.0


def files(folder, monkeypatch, **texts):
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    monkeypatch.setattr("studylib.params.load.params_dir", lambda: folder)


def test_a_file_that_extends_another_says_only_what_it_changes(tmp_path, monkeypatch):
    smoke = (ROOT / "params" / "smoke.yaml").read_text()
    second = "extends: smoke\nscale: second\nmodel: {path: elsewhere}\nrl: {steps: 3}\nonly: [rl, sft_careful]\n"
    third = "extends: second\nscale: third\nseeds: [1, 2]\n"
    files(tmp_path, monkeypatch, smoke=smoke, second=second, third=third)
    told, below = load_params("third"), load_params("smoke")
    assert (told.scale, told.model.path, told.model.dtype, told.seeds) == ("third", "elsewhere", "float32", [1, 2])
    assert told.rl == below.rl.model_copy(update={"steps": 3}) and list(told.arms) == ["sft_careful", "rl"]
    assert told.arms["rl"].rl.steps == 3  # the arm is filled from what both files say


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("extends: smoek", "params/mine.yaml extends 'smoek', which is not there; did you mean 'smoke'?"),
        ("extends: mine", "Params files extend each other in a circle: mine -> mine."),
        (
            "extends: smoke\nonly: [rll]",
            "params/mine.yaml: 'only' names the arm 'rll', which is not there; did you mean",
        ),
        ("extends: smoke\nonly: rl", "params/mine.yaml: 'only' is 'rl', but it should be a list of arms."),
        ("extends: smoke\nonly: [rl]", "written by the arm 'sft_careful', which is missing"),
    ],
)
def test_what_is_wrong_with_an_extension_is_told(text, said, tmp_path, monkeypatch):
    files(tmp_path, monkeypatch, smoke=(ROOT / "params" / "smoke.yaml").read_text(), mine=text)
    with pytest.raises(StudyError, match=re.escape(said)):
        load_params("mine")


def test_the_committed_extensions_change_the_base_and_keep_the_parents():
    for scale in ("mini_second", "mini_dose1", "mini_dose10"):
        told, below = load_params(scale), load_params("mini")
        assert told.scale == scale and told.model.path != below.model.path and told.gate == below.gate
        assert {"sft_eureka", "rl", "two_stage", "data_mixing"} <= set(told.arms) < set(below.arms)
