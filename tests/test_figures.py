"""Figures hold the numbers of their tables, say where these come from, and keep one colour an arm."""

import json
import math

import pandas as pd
import plotly.graph_objects as go
import pytest
from PIL import Image
from synthetic import arm_scores, question_rows, training_log

from studylib.analysis import difficulty, divergence, length, style
from studylib.analysis.printed import paper_name, published, published_gains
from studylib.figures import behaviour, display, levels, palette, samples, tables, tokens, training

STAMP = "scale smoke, seed 1, plan abc"


@pytest.fixture(scope="module")
def study() -> dict:
    base_a, base_b = arm_scores("base", 16, 1), arm_scores("base", 16, 2)
    arms = pd.concat([arm_scores("sft_eureka", 4, pull=0.35), arm_scores("rl", 4, pull=0.1)])
    scores, levels = pd.concat([base_b, arms]), difficulty.tag_levels(base_a)
    return {
        "levels": levels,
        "scores": scores,
        "gains": difficulty.gains(arms, base_a, base_b, levels),
        "accuracy": difficulty.accuracy(scores),
        "lengths": length.response_length(scores, levels),
        "flows": style.flows(base_b, arms[arms["arm"] == "rl"]),
    }


@pytest.fixture(scope="module")
def figures(study) -> dict[str, go.Figure]:
    kl = divergence.with_sentence_position(kl_table())
    return {
        "gain_by_level": levels.gain_by_level(study["gains"], published_gains()),
        "pass_rates": levels.pass_rates(study["levels"]),
        "level_sizes": levels.level_sizes(study["levels"]),
        "accuracy": levels.accuracy_by_benchmark(study["accuracy"]),
        "length_by_level": tokens.length_by_level(study["lengths"]),
        "gain_against_length": tokens.gain_against_length(study["gains"], study["lengths"]),
        "accuracy_against_length": tokens.accuracy_against_length(study["accuracy"], study["lengths"]),
        "rl_curves": training.rl_curves(training_log()),
        "words": behaviour.reflection_words(style.word_counts(study["scores"])),
        "flows": behaviour.flows(study["flows"], "base", "rl"),
        "pivotal": behaviour.pivotal_tokens({"rl": divergence.pivotal_tokens(kl)}),
        "samples": samples.sample_grid(question_rows()),
    }


def kl_table():
    words = ["Wait", " 3", "."] * 20
    return pd.DataFrame({"response": 0, "token": words, "kl": [2.0, 0.1, 0.2] * 20})


def test_every_figure_carries_its_stamp_once(figures):
    for name, fig in figures.items():
        stamps = [note.text for note in palette.with_stamp(fig, STAMP).layout.annotations if note.name == "stamp"]
        assert stamps == [STAMP], name


def test_every_axis_with_a_measure_names_it(figures):
    for name in set(figures) - {"samples", "rl_curves"}:
        titles = [axis.title.text for axis in [*figures[name].select_xaxes(), *figures[name].select_yaxes()]]
        assert any(titles), name


def test_figure_1_draws_the_fair_gain_its_interval_and_the_papers_number(study, figures):
    fig, table = figures["gain_by_level"], study["gains"]
    fair = table[(table["arm"] == "rl") & (table["against"] == "B") & (table["benchmark"] == "MiniVision")]
    fair = fair[fair["level"] != "all"].sort_values("level")
    drawn = next(trace for trace in fig.data if trace.name == "RL")
    assert list(drawn.y) == fair["estimate"].round(2).tolist()
    assert list(drawn.error_y.array) == pytest.approx((fair["high"] - fair["estimate"]).tolist())
    own = next(trace for trace in fig.data if trace.name.startswith("Base, second set"))
    assert own.y[0] < own.y[-1]  # the second set falls back where the first was lucky
    theirs = next(trace for trace in fig.data if trace.name == "RL, paper (7B)")
    assert list(theirs.y) == [-2.4, 3.8, 2.3, 5.3, 3.6]


def test_level_counts_add_up_to_all_questions(study, figures):
    assert sum(sum(trace.x) for trace in figures["level_sizes"].data) == len(study["levels"])
    assert sum(sum(trace.y) for trace in figures["pass_rates"].data) == len(study["levels"])


def test_flows_point_to_both_sides(study, figures):
    bars = {trace.name: trace for trace in figures["flows"].data if trace.type == "bar"}
    assert max(bars["right to wrong"].x) <= 0 <= min(bars["wrong to right"].x)


def test_pivotal_tokens_come_largest_first_from_the_top(figures):
    assert figures["pivotal"].data[0].y[-1] == "“wait”"


def test_a_column_that_nobody_logged_has_no_panel():
    fig = training.rl_curves(training_log().drop(columns="kl"))
    panels = [note.text for note in fig.layout.annotations if note.name != "stamp"]
    assert len(panels) == 6 and not any(panel.startswith("KL") for panel in panels)


def test_an_arm_has_one_colour_everywhere(figures):
    for name in ("gain_by_level", "length_by_level", "rl_curves", "words", "accuracy"):
        for trace in figures[name].data:
            if trace.name == palette.name_of("rl"):
                assert "#0072b2" in (
                    trace.line.color if trace.type == "scatter" else None,
                    trace.marker.color,
                )


def test_palette_is_stable_and_tells_arms_apart():
    assert palette.colour_of("sft_eureka") == "#d55e00" and palette.colour_of("base") == "#5a5a5a"
    assert all(len(set(looks)) == len(palette.ARMS) for looks in zip(*palette.ARMS.values(), strict=True))
    assert palette.colour_of("my_arm") == palette.colour_of("my_arm") in palette.SPARE_COLOURS
    assert palette.in_order(["my_arm", "rl", "base"]) == ["base", "rl", "my_arm"]


def test_show_emits_json_and_html_with_the_same_id_twice(figures, monkeypatch):
    shown = []
    monkeypatch.setattr(display, "display", lambda bundle, raw: shown.append(bundle))
    monkeypatch.setattr(display, "png", lambda fig, width: None)
    for _ in range(2):
        display.show(figures["words"], "words")
    assert shown[0] == shown[1] and 'id="figure-words"' in shown[0]["text/html"]
    assert "image/png" not in shown[0] and "<script src" not in shown[0]["text/html"]
    assert len(json.dumps(shown[0])) < 100_000


def test_a_figure_without_a_picture_starts_no_chrome(figures, monkeypatch):
    shown = []
    monkeypatch.setattr(display, "display", lambda bundle, raw: shown.append(bundle))
    monkeypatch.setattr(display, "png", lambda fig, width: b"picture")
    for picture in (True, False):
        display.show(figures["words"], "words", picture)
    assert ["image/png" in bundle for bundle in shown] == [True, False]


def test_a_chrome_that_does_not_start_costs_only_the_png(figures, monkeypatch):
    monkeypatch.setattr(display.shutil, "which", lambda name: "/bin/false")
    monkeypatch.setattr(go.Figure, "to_image", lambda *a, **k: (_ for _ in ()).throw(RuntimeError("no Chrome")))
    monkeypatch.setattr(display.kaleido, "start_sync_server", lambda **options: None)
    assert display.png(figures["words"], 380) is None


def test_table_puts_each_arm_above_the_papers_row(study):
    table = tables.beside_paper(study["accuracy"], published("headline"), {"rl": "RL", "base": "Base"})
    assert [index[0] for index in table.index] == ["Base", "Base", "RL", "RL"]
    assert table["average"].iloc[-1] == "55.1" and "±" in table["average"].iloc[0]
    assert len(tables.plain(table).data) < 4000
    alone = tables.beside_paper(study["accuracy"], published("headline"), {"rl": None})
    assert [index[0] for index in alone.index] == ["RL"]


def test_at_the_papers_scale_its_benchmarks_stand_beside_themselves(study):
    accuracy = study["accuracy"].assign(benchmark=lambda t: t["benchmark"].map(paper_name))
    table = tables.beside_paper(accuracy, published("headline"), {"rl": "RL"})
    assert list(table.columns) == ["MathVision", "MathVerse", "MathVista", "MMMU", "MMStar", "average"]
    gains = study["gains"].assign(benchmark=lambda t: t["benchmark"].map(paper_name))
    fig = levels.gain_by_level(gains, published_gains())
    assert sum(trace.name == "RL, paper (7B)" for trace in fig.data) == 5


def test_rows_left_out_stand_by_dataset_and_reason_and_none_is_a_sentence():
    rows = ["train.jsonl row 8: it has no answer, but None", "train.jsonl row 9: it has no answer, but None"]
    facts = [{"unreadable": {"data.hub.queries": rows}}, {"unreadable": {"data.hub.queries": rows}}, {"rows": 3}]
    shown = tables.exclusions(facts).data
    assert shown.count("it has no answer, but None") == shown.count("<td>2</td>") == shown.count("row 8") == 1
    assert "none is left out" in tables.exclusions([{"distributed": "NO"}]).data


def test_a_question_without_a_picture_still_shows_its_text():
    row = question_rows(1)[0] | {"images": []}
    fig = samples.sample_grid([row, row | {"images": [Image.new("RGB", (8, 8))]}])
    assert len(fig.layout.images) == 1 and sum("answer" in note.text for note in fig.layout.annotations) == 2


def test_words_are_drawn_per_thousand_responses(figures):
    bars = {trace.name: dict(zip(trace.x, trace.y, strict=True)) for trace in figures["words"].data}
    assert bars["SFT (Eureka-Distill)"]["wait"] == 1000 and bars["Base"]["wait"] == 0


def test_verdict_table_shows_lengths_as_ratios_points_as_points_and_parts_side_by_side():
    row = {"claim": "c", "against": "base", "level": "all", "low": 0.0, "high": 1.0, "p_holm": 0.0001}
    longer = {"measure": "log_length", "estimate": math.log(12), "margin": math.log(10), "verdict": "holds"}
    worse = {"measure": "accuracy", "estimate": -3.0, "margin": 0.0, "verdict": "undecided"}
    rows = [
        {**row, **longer, "id": "a", "benchmarks": "held out"},
        {**row, **worse, "id": "b", "benchmarks": "held out"},
        {**row, **worse, "id": "b", "benchmarks": "trained", "low": None, "high": None, "p_holm": float("nan")},
    ]
    shown = tables.verdicts(pd.DataFrame(rows)).data
    assert "12.0 times [1.0 times" in shown and "margin 10.0 times" in shown and "-3.0 [0.0, 1.0]" in shown
    assert "&lt; 0.001" in shown and "undecided, p not tested" in shown
    assert shown.index("<th>trained</th>") < shown.index("<th>held out</th>")
