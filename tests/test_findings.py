"""Titles say what the table says, in lines that fit a phone, and flows have colours of their own."""

import pandas as pd
import plotly.graph_objects as go
import pytest

from studylib.figures import behaviour, findings, palette


def test_a_finding_holds_the_tables_numbers_with_their_signs():
    cells = [("sft_eureka", "L1", -12.6), ("sft_eureka", "L5", 11.4), ("rl", "L1", 1.2), ("rl", "L5", 3.0)]
    table = pd.DataFrame(cells, columns=["arm", "level", "estimate"]).assign(benchmark="all", against="B")
    biased = table.assign(against="A", estimate=99.0)
    said = findings.gains(pd.concat([biased, table]), ["sft_eureka", "rl"])
    assert "SFT (Eureka-Distill) -13 at L1, +11 at L5" in said and "RL +1 at L1, +3 at L5" in said
    assert "no questions at L1" in findings.gains(table[table["level"] == "L5"], ["rl"])


def test_the_best_and_the_worst_are_those_over_all_benchmarks():
    table = pd.DataFrame({"arm": ["base", "rl", "rl"], "benchmark": ["all", "all", "A"], "estimate": [50.0, 60.0, 1.0]})
    assert findings.accuracy(table) == "Accuracy from 50.0 % (Base) to 60.0 % (RL)"


def test_a_long_title_takes_lines_and_room_and_none_is_none():
    fig = palette.dress(go.Figure(), "plain", 300)
    assert palette.with_title(fig, "").layout.title.text == "plain"
    fig = palette.with_title(fig, "a sentence of many words " * 5)
    lines = fig.layout.title.text.split("<br>")
    assert len(lines) > 1 and max(map(len, lines)) <= palette.LINE and fig.layout.height == 300 + 18 * (len(lines) - 1)


def test_gained_and_lost_are_no_arms_colours():
    assert not {behaviour.GAINED, behaviour.LOST} & {
        *(colour for _, colour, _ in palette.ARMS.values()),
        *palette.SPARE_COLOURS,
    }


def test_no_text_of_a_figure_is_smaller_than_a_phone_shows():
    fig = palette.with_stamp(palette.dress(go.Figure(go.Scatter(x=[1], y=[1])), "title", 300), "stamp")
    sizes = [fig.layout.font.size, fig.layout.legend.font.size, fig.layout.xaxis.tickfont.size]
    assert min(*sizes, *(note.font.size for note in fig.layout.annotations)) >= 11


def test_more_samples_are_named_with_how_many_each_arm_has():
    rows = [("base", 1, 50.0), ("base", 16, 91.0), ("rl", 1, 60.0), ("rl", 4, 81.0)]
    table = pd.DataFrame(rows, columns=["arm", "k", "estimate"]).assign(benchmark="all", level="all")
    assert findings.samples(table).endswith("Base 50 and 91 % (16), RL 60 and 81 % (4)")


@pytest.mark.parametrize(
    ("own", "shown", "word"),
    [
        (3.0, "held", "does not tell the doses apart"),
        (-3.0, "held", "there is a dose at which SFT and RL add up"),
        (3.0, "undecided", "no combination is shown to add up at another dose; at 0 % Two-stage is above"),
        (-3.0, "undecided", "no dose is known"),
    ],
)
def test_adding_up_at_a_dose_is_a_finding_only_where_the_same_arm_does_not_at_none(own, shown, word):
    rows = [("0 %", own, own - 1, own + 1), ("10 %", 3.0, 2.0, 4.0)]
    differences = pd.DataFrame(rows, columns=["base", "estimate", "low", "high"])
    differences = differences.assign(arm="two_stage", benchmark="all", level="all")
    outcome = pd.DataFrame({"id": ["two_stage-adds-10", "dial-two_stage-synergy"], "outcome": shown})
    gains = differences.assign(arm="rl")
    assert word in findings.dial(outcome, gains, differences)
