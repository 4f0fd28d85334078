"""The dial: shares of groups, gains and synergy by what the base has seen, the prediction's parts, and the chapter."""

import json

import pandas as pd
import pytest
from synthetic import BENCHMARKS, arm_scores

from studylib.analysis import dial, difficulty, synergy
from studylib.analysis.verdicts import claims_of, judge
from studylib.figures import exposure as figures
from studylib.figures import findings
from studylib.figures.palette import colour_of
from studylib.paths import ROOT
from studylib.study import bases as scales
from studylib.study import chapters, reference
from studylib.study.notebook import Study

LONG, SHORT = "row 1: 3. So it is red. row 2: 4.", "row 1: 3. row 2: 4."


PANELS = (*BENCHMARKS, *difficulty.PARTS, difficulty.ALL)
BETTER = pd.DataFrame({"panel": PANELS, "level": difficulty.ALL, "parent": "rl"})


def questions(names: list[str], hops: list[bool]) -> pd.DataFrame:
    scenes = [json.dumps({"hop": {"pick": "red"} if hop else None}) for hop in hops]
    return pd.DataFrame({"id": names, "scene": scenes})


def responses(taken: dict[str, list[int]], arm: str = "base", seed: int = 0) -> pd.DataFrame:
    """A response a sample of each question: the long way where there is a 1."""
    rows = [
        {"benchmark": "MiniVision", "problem": q, "question_id": q, "arm": arm, "seed": seed, "sample": i,
         "text": LONG if long else SHORT}
        for q, samples in taken.items() for i, long in enumerate(samples)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_only_questions_with_a_hop_have_a_long_way():
    rows = pd.concat([questions(["a", "b"], [True, False]), pd.DataFrame({"id": ["c"], "scene": [""]})])
    assert dial.two_hops(rows)["id"].tolist() == ["a"]


def test_groups_are_counted_beside_what_the_dose_foresees():
    two = questions(["a", "b", "c", "d"], [True] * 4)
    rollouts = responses({"a": [1, 0], "b": [1, 1], "c": [0, 0], "d": [0, 0], "one hop": [1, 1]})
    row = dial.groups(rollouts, two, dose=10).iloc[0]
    assert (row["rollouts"], row["groups"], row["estimate"], row["rate"]) == (2, 4, 50, 37.5)
    assert row["prediction"] == pytest.approx(19)  # 1 - 0.9^2
    assert row["independence"] == pytest.approx(100 * (1 - 0.625**2))
    assert 0 < row["low"] < 50 < row["high"] < 100 and row["df"] == 3
    assert dial.groups(rollouts, two.iloc[:0], 10).empty


def test_a_way_that_nobody_goes_has_an_interval_all_the_same():
    two = questions(["a", "b"], [True, True])
    never, seldom = responses({"a": [0, 0], "b": [0, 0]}), responses({"a": [1, 0], "b": [0, 0]}, "rl", 1)
    table = dial.long_way(pd.concat([never, seldom]), two).set_index("arm")
    assert table.loc["rl", "estimate"] == 25 and table.loc["base", "estimate"] == 0
    assert table.loc["base", "se"] > 0 and table.loc["base", "high"] == pytest.approx(65.8, abs=0.1)  # Wilson, 0 of 2


def test_hard_is_what_the_two_last_levels_hold_together():
    names = [f"q{i}" for i in range(6)]
    levels = pd.DataFrame({"question_id": names, "level": ["L1", "L3", "L4", "L4", "L5", "L5"]})
    shared = {"benchmark": "MiniVision", "problem": names, "question_id": names, "sample": 0}
    base = pd.DataFrame({**shared, "arm": "base", "seed": 0, "correct": [1.0, 1, 0, 1, 0, 0]})
    rl = pd.DataFrame({**shared, "arm": "rl", "seed": 1, "correct": [0.0, 0, 1, 1, 1, 0]})
    row = dial.hard_gains(rl, base, levels).query("benchmark == 'all'").iloc[0]
    assert row["estimate"] == 50 and row["questions"] == 4 and row["level"] == dial.HARD


def gain(base: str, estimate: float, se: float) -> dict:
    return {"base": base, "arm": "rl", "benchmark": "all", "estimate": estimate, "se": se, "df": 100.0, "source": "x"}


def test_a_gain_is_held_against_that_of_dose_0_with_both_variances():
    table = dial.more_than_own(pd.DataFrame([gain("0 %", 2, 3.0), gain("10 %", 12, 4.0)]))
    row = table.iloc[0]
    assert (row["level"], row["estimate"], row["se"]) == ("10 %", 10, 5)
    assert row["df"] == pytest.approx(25**2 / (9**2 / 100 + 16**2 / 100))
    assert row["low"] == pytest.approx(10 - 1.97 * 5, abs=0.05)
    assert dial.more_than_own(pd.DataFrame([gain("0 %", 2, 3.0)])).empty


def part(arm: str, measure: str, level: str, estimate: float, against: str, se: float = 0.5) -> dict:
    span = {"estimate": estimate, "se": se, "df": 500.0, "low": estimate - 2 * se, "high": estimate + 2 * se}
    return {
        "arm": arm,
        "against": against,
        "measure": measure,
        "level": level,
        "source": "x",
        "benchmark": "all",
    } | span


def test_each_part_of_the_prediction_ends_in_a_word_and_what_was_not_run_says_so():
    parts = pd.DataFrame(
        [
            part("base", "groups", "10 %", 1.0, "the prediction"),  # within five points
            part("rl", "hard gain", "10 %", -9.0, "0 %"),  # the other way round
            part("two_stage", "accuracy", "10 %", 0.3, "better parent"),  # may be either
            part("rl", "long way", "0 %", 0.01, "none", se=0.05),
        ]
    )
    trades = pd.DataFrame({"id": ["two_stage-synergy"], "claim": ["Two-stage is as good."], "benchmarks": ["all"],
                           "estimate": [-9.0], "low": [-11.0], "high": [-7.0], "verdict": ["fails"]})  # fmt: skip
    table = dial.outcome(claims_of(13), parts, trades).set_index("id")
    wanted = {"groups-10": "held", "rl-hard-10": "did not hold", "two_stage-adds-10": "undecided", "rl-without": "held"}
    assert table["outcome"][list(wanted)].to_dict() == wanted
    assert table.loc["dial-two_stage-synergy", "outcome"] == "held"  # not as good at every level: a trade
    assert (
        table.loc["dial-two_stage-synergy", "part"]
        == "At 0 % there is a trade: it is not so that two-stage is as good."
    )
    assert set(table["outcome"].drop([*wanted, "dial-two_stage-synergy"])) == {"not run"}
    assert table.loc["groups-10", "estimate"] == 1


@pytest.fixture(scope="module")
def synthetic() -> dict[str, dict]:
    """Two bases with all arms, from the synthetic study; the second one's arms gain more."""
    made = {}
    for place, base in enumerate(("0 %", "0 %, other")):
        base_a, base_b = arm_scores("base", 16, 10 + place, 20), arm_scores("base", 16, 20 + place, 20).assign(seed=0)
        arms = [arm_scores(arm, 4, seed, 20, 0.2 * (place + i)) for i, arm in enumerate(scales.ARMS) for seed in (1, 2)]
        levels = difficulty.with_parts(difficulty.tag_levels(base_a), ["MiniVision", "MiniVerse", "MiniVista"])
        made[base] = {"base_a": base_a.assign(seed=0), "base": base_b, "arms": pd.concat(arms), "levels": levels}
    return made


def test_figures_hold_the_tables_numbers_in_the_arms_colours_and_the_other_base_apart(synthetic):
    tables = {base: difficulty.accuracy(pd.concat([one["base"], one["arms"]])) for base, one in synthetic.items()}
    accuracy = dial.by_base(tables)
    fig = figures.accuracy_by_dose(accuracy)
    rl = [trace for trace in fig.data if trace.name == "RL"]
    own = accuracy.query("arm == 'rl' and benchmark == 'all' and base == '0 %'")
    assert list(rl[0].y) == own["estimate"].round(2).tolist() and rl[0].line.color == colour_of("rl")
    assert rl[1].mode == "markers" and rl[1].marker.symbol.endswith("-open")
    names = [trace.name for trace in fig.data if trace.showlegend]
    assert len(names) == len(set(names)) == 5
    against = {
        base: synergy.against_better(pd.concat([one["base"], one["arms"]]), one["levels"], BETTER, ["two_stage"])
        for base, one in synthetic.items()
    }
    differences = dial.by_base(against)
    fig = figures.synergy_by_dose(differences)
    assert len(fig.data) == 3 * 3 * 2 and fig.layout.height < 900
    text = findings.dial_synergy(differences)
    assert text.startswith("The best combination minus the better parent: Two-stage") and "at 0 %, other" in text


def test_one_base_alone_is_drawn_without_the_others(synthetic):
    one = synthetic["0 %"]
    fig = figures.accuracy_by_dose(dial.by_base({"0 %": difficulty.accuracy(pd.concat([one["base"], one["arms"]]))}))
    assert {x for trace in fig.data for x in trace.x} and all(len(trace.x) <= 1 for trace in fig.data)


def test_scales_that_are_not_there_are_named_with_what_computes_them(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("STUDY_RUNS", str(tmp_path))
    study = Study("smoke")
    assert scales.bases(study) == {"0 %": study}
    assert "10 % is left out: there is no params/smoke_dose10.yaml." in capsys.readouterr().out
    monkeypatch.setattr(scales, "_has_model", lambda scale: False)
    scales.bases(Study("mini"))
    text = capsys.readouterr().out
    assert "`make stages SCALE=mini_dose1 SEED=1 && make stages SCALE=mini_dose1 SEED=2`" in text
    assert "models/mini-dose1 --seed 1 --dose 0.01`" in text and "models/mini-second --seed 2 --dose 0`" in text


@pytest.fixture
def dosed(monkeypatch, tmp_path) -> None:
    """Smoke with one other dose, of the same model, in a folder of its own."""
    (tmp_path / "params").mkdir()
    (tmp_path / "params" / "smoke.yaml").write_text((ROOT / "params" / "smoke.yaml").read_text())
    only = "[sft_careful, sft_eureka, rl, two_stage, data_mixing]"
    text = f"extends: smoke\nscale: smoke_dose10\nseeds: [1, 2]\nonly: {only}\n"
    (tmp_path / "params" / "smoke_dose10.yaml").write_text(text)
    monkeypatch.setenv("STUDY_RUNS", str(tmp_path))
    for module in (reference, scales, chapters):
        monkeypatch.setattr(module, "reference_root", lambda scale: tmp_path / "outputs" / scale)


def test_a_scale_is_read_once_it_is_committed_and_the_chapter_is_then_another_one(dosed, tmp_path):
    (chapter,) = ROOT.glob("notebooks/13_*.ipynb")
    before, elsewhere = (chapters.chapter_stage(path, Study("smoke", 1, True)) for path in
                         (chapter, next(ROOT.glob("notebooks/11_*.ipynb"))))  # fmt: skip
    assert "dial" not in elsewhere.params and before.params["dial"] == {"smoke_dose10": {"1": "", "2": ""}}
    assert list(scales.bases(Study("smoke"))) == ["0 %"]
    (tmp_path / "outputs" / "smoke_dose10").mkdir(parents=True)
    (tmp_path / "outputs" / "smoke_dose10" / "plan.s1.txt").write_text("abc")
    readable = scales.bases(Study("smoke"))
    assert list(readable) == ["0 %", "10 %"] and not readable["10 %"].train and readable["10 %"].scale == "smoke_dose10"
    assert chapters.chapter_stage(chapter, Study("smoke", 1, True)).identity != before.identity


def test_the_reference_of_a_scale_without_chapters_holds_its_stages(dosed, tmp_path, monkeypatch, capsys):
    copied = []
    monkeypatch.setattr(reference.store, "find", lambda stage, root: stage)
    monkeypatch.setattr(reference, "_copy", lambda run, target: copied.append(target.name))
    study = Study("smoke_dose10", 1, True)
    reference.write_reference(study)
    assert f"{len(study.plan)} stages and 0 chapters of seed 1" in capsys.readouterr().out
    assert "two_stage.grades.s1" in copied and "base_train.responses" in copied
    assert (tmp_path / "outputs" / "smoke_dose10" / "plan.s1.txt").exists()


def test_the_chapter_runs_whole_on_two_bases(synthetic, monkeypatch, tmp_path, capsys):
    """Every code cell, with what the stages would give it pretended."""
    (chapter,) = ROOT.glob("notebooks/13_*.ipynb")
    monkeypatch.chdir(tmp_path)
    names = {"smoke": "0 %", "smoke_second": "0 %, other"}
    pretend(monkeypatch, {scale: synthetic[base] for scale, base in names.items()})
    names, space = [], {"display": lambda table: None}
    monkeypatch.setattr(Study, "show", lambda self, fig, name, finding="", source="": names.append((name, finding)))
    for cell in json.loads(chapter.read_text())["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]).replace('"mini"', '"smoke"'), space)
    assert [name for name, _ in names] == ["accuracy-by-dose", "synergy-by-dose", "long-way-by-dose"]
    assert all(finding for _, finding in names)
    saved = {path.stem for path in (tmp_path / "tables").glob("*.csv")}
    assert saved == set("accuracy pass_at_k synergy long_way groups hard_gains outcome every_level".split())
    outcome = pd.read_csv(tmp_path / "tables" / "outcome.csv").set_index("id")["outcome"]
    assert outcome["groups-1"] == "not run" and outcome["rl-without"] == "did not hold"
    paragraph = capsys.readouterr().out
    assert "parts of the prediction" in paragraph and "is not known here" in paragraph


def pretend(monkeypatch, of: dict[str, dict]) -> None:
    """Studies that answer from the synthetic tables of their scale, half of the rollouts going the long way."""
    from studylib.study.results import Results

    def across(self, *arms):
        one = of[self.scale]
        scores = pd.concat([one["base"], one["arms"]])
        return Results(arms, scores, one["base_a"], one["levels"], scores, scores, None, (1, 2), self.stamp)

    def with_ways(table):
        return table.assign(text=[LONG if sample % 2 else SHORT for sample in table["sample"]])

    def table(self, name):
        names = of[self.scale]["base"]["question_id"].unique()
        rows = questions(list(names), [True] * len(names))
        return rows if name.startswith("questions") else with_ways(of[self.scale]["base"].query("sample < 8"))

    monkeypatch.setattr(Study, "across_seeds", across)
    monkeypatch.setattr(Study, "better_parents", lambda _: BETTER)
    monkeypatch.setattr(Study, "table", table)
    monkeypatch.setattr(Study, "scores", lambda self, arm: with_ways(of[self.scale]["base"].assign(arm=arm)))
    for one in of.values():
        one["arms"] = with_ways(one["arms"])
    other = Study("smoke")
    other.scale = "smoke_second"
    monkeypatch.setattr("studylib.study.bases.bases", lambda study: {"0 %": study, "0 %, other": other})


def test_at_dose_0_the_claim_of_chapter_11_is_turned_round():
    claims = claims_of(11, list(dial.COMBINATIONS))
    rows = [
        part(arm, "accuracy", level, estimate, "better parent")
        for arm, estimate in (("two_stage", -20.0), ("data_mixing", 5.0))
        for level in ("mean", *difficulty.LEVELS)
    ]
    table = dial.outcome([], pd.DataFrame(rows), judge(claims, pd.DataFrame(rows))).set_index("id")["outcome"]
    assert table.to_dict() == {"dial-two_stage-synergy": "held", "dial-data_mixing-synergy": "did not hold"}
