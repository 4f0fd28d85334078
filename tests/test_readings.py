"""The sentences under a figure say which way its table points."""

import pandas as pd
import pytest

from studylib.figures import readings


def gains(easiest: tuple, hardest: tuple) -> pd.DataFrame:
    rows = [("rl", "B", "all", "all", 2.0, 1.0, 3.0), ("rl", "B", "trained", "all", 4.0, 3.0, 5.0)]
    rows += [("rl", "B", "all", "L1", *easiest), ("rl", "B", "all", "L5", *hardest)]
    rows += [("base", "A", "all", "L1", -1.5, -2.0, -1.0), ("base", "A", "all", "L5", 1.5, 1.0, 2.0)]
    return pd.DataFrame(rows, columns=["arm", "against", "benchmark", "level", "estimate", "low", "high"])


@pytest.mark.parametrize(
    ("easiest", "hardest", "end"),
    [
        ((-5, -6, -4), (5, 4, 6), "trades easy questions for hard"),
        ((5, 4, 6), (-5, -6, -4), "trades hard questions for easy"),
        ((0, -1, 1), (5, 4, 6), "not shown to lose"),
        ((-5, -6, -4), (0, -1, 1), "not shown to gain"),
        ((0, -1, 1), (0, -1, 1), "Neither end"),
    ],
)
def test_a_gain_is_called_a_trade_where_the_ends_move_apart(easiest, hardest, end):
    text = readings.gain(gains(easiest, hardest), "rl")
    assert end in text and "+2.0 [1.0, 3.0]" in text and "(untrained: -1.5)" in text


def passes(arm: list[float], base: list[float]) -> pd.DataFrame:
    rows = [("rl", 2**i, value) for i, value in enumerate(arm)] + [("base", 2**i, v) for i, v in enumerate(base)]
    return pd.DataFrame(rows, columns=["arm", "k", "estimate"]).assign(benchmark="all", level="all")


def test_an_arm_stands_beside_as_many_samples_of_the_base_as_reach_it():
    text = readings.samples(passes([57, 63, 68], [50, 60, 69, 78, 86]), "rl")
    assert "it takes 2 for one of them to be right as often (60.0 %)" in text and "has less within reach" in text
    text = readings.samples(passes([90, 92, 95], [50, 60, 69, 78, 86]), "rl")
    assert "one of 16 of the base's less often" in text and "has more within reach" in text


def contrasts(easy_rl: tuple, hard_sft: tuple) -> pd.DataFrame:
    rows = [("sft_eureka", "all", 1.0, 0.0, 2.0), ("rl", "all", 1.0, 0.0, 2.0)]
    rows += [("rl", "L1", *easy_rl), ("sft_eureka", "L5", *hard_sft)]
    table = pd.DataFrame(rows, columns=["against", "level", "estimate", "low", "high"])
    return table.assign(arm="merging", benchmark="all", measure="accuracy")


@pytest.mark.parametrize(
    ("easy", "hard", "end"),
    [
        ((0, -1, 1), (0, -1, 1), "both ends are there"),
        ((0, -1, 1), (-9, -10, -8), "what SFT brings is lost."),
        ((-9, -10, -8), (0, -1, 1), "price is paid."),
        ((-9, -10, -8), (-9, -10, -8), "neither parent's better end"),
        ((-2, -4, 0), (0, -1, 1), "do not decide"),
        ((-2, -4, 0), (-9, -10, -8), "its end is open"),
    ],
)
def test_what_a_combination_keeps_is_said_by_its_intervals_and_the_margin(easy, hard, end):
    assert end in readings.inheritance(contrasts(easy, hard), "merging")


def test_a_level_without_questions_is_said():
    table = contrasts((0, -1, 1), (0, -1, 1))
    assert "no questions here" in readings.inheritance(table[table["level"] != "L1"], "merging")


def test_the_answer_names_each_combination_under_its_verdict_with_its_weakest_part():
    rows = [("rl", "holds", "L1"), ("merging", "fails", "L5"), ("two_stage", "undecided", "mean")]
    table = pd.DataFrame(rows, columns=["id", "verdict", "level"]).assign(estimate=-3.0, low=-5.0, high=-1.0)
    table = table.assign(id=table["id"] + "-synergy", against="better parent", benchmarks="trained")
    (line,) = readings.synergy(table).splitlines()
    assert (
        "RL is shown to be as good" in line
        and "shown not to be: Model merging (-3.0 [-5.0, -1.0] points at L5)" in line
    )
    assert "points in the mean over levels)" in line
    assert "no combination is shown" in readings.synergy(table[table["verdict"] != "holds"])


def checkpoints(*scores: float) -> pd.DataFrame:
    table = pd.DataFrame({"arm": "rl", "number": range(1, len(scores) + 1), "estimate": scores})
    return table.assign(low=table["estimate"] - 2, high=table["estimate"] + 2)


@pytest.mark.parametrize(
    ("scores", "course"),
    [
        ((50, 52, 55), "+3.0 points from its best before: still rising"),
        ((50, 55, 54.5), "level"),
        ((50, 55, 49), "fallen"),
    ],
)
def test_an_arm_that_still_rises_is_said_to_be_stopped_early(scores, course):
    assert course in readings.convergence(checkpoints(*scores))


def test_a_single_checkpoint_has_no_course():
    assert readings.convergence(checkpoints(50)) == "RL ends at 50.0 % [48.0, 52.0]."


@pytest.mark.parametrize(("last", "word"), [(0.3, "0.70, at step 40), a collapse"), (0.6, "None collapses")])
def test_a_run_that_ends_below_its_start_has_collapsed(last, word):
    runs = pd.DataFrame({"first": [0.5], "highest": [0.7], "highest_at": [40], "last": [last]}, index=["rl"])
    assert f"from 0.50 to {last:.2f}" in readings.rewards(runs) and word in readings.rewards(runs)


def lengths(rows: list[tuple]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["arm", "level", "estimate", "low", "high"]).assign(benchmark="all")


@pytest.mark.parametrize(
    ("hard", "word"),
    [((90, 80, 100), "longer where"), ((20, 10, 30), "shorter where"), ((55, 45, 65), "as long where")],
)
def test_an_answer_is_called_longer_where_the_intervals_are_apart(hard, word):
    table = lengths([("rl", "L1", 50, 45, 55), ("rl", "L5", *hard), ("base", "L1", 1, 1, 1)])
    assert word in readings.length_by_level(table, ["rl"]) and "base" not in readings.length_by_level(table, ["rl"])


def test_length_and_gain_go_together_only_where_the_longest_gains_most():
    table = gains((0, 0, 0), (0, 0, 0))
    other = table.assign(arm="sft_eureka", estimate=table["estimate"] + 5)
    both = pd.concat([table, other[other["arm"] == "sft_eureka"]])
    both = both[both["against"] == "B"]
    short = lengths([("rl", "all", 200, 0, 0), ("sft_eureka", "all", 100, 0, 0)])
    assert "do not gain most" in readings.length_and_gain(both, short, ["rl", "sft_eureka"])
    long = lengths([("rl", "all", 100, 0, 0), ("sft_eureka", "all", 200, 0, 0)])
    assert "go together" in readings.length_and_gain(both, long, ["rl", "sft_eureka"])


def test_an_arm_departs_where_its_divergence_is_larger():
    places = pd.DataFrame({"arm": "rl", "place": ["opens a sentence", "inside a sentence"], "kl": [0.2, 0.1]})
    words = {"rl": pd.DataFrame({"token": ["wait", "so"]})}
    assert "more where a sentence begins; most at 'wait', 'so'." in readings.divergence(places, words)
    assert "more inside sentences" in readings.divergence(places.assign(kl=[0.1, 0.2]), words)


@pytest.mark.parametrize(("lost", "won", "word"), [(10, 20, ": more is won"), (20, 10, "no more is won")])
def test_flows_stand_beside_those_of_chance(lost, won, word):
    rows = [("right to wrong", lost, 8), ("wrong to right", won, 8)]
    table = pd.DataFrame(rows, columns=["flow", "share", "share_by_chance"]).assign(benchmark="all")
    text = readings.flows(table, "base", "rl")
    assert word in text and f"{lost - 8:+.1f} and {won - 8:+.1f} points" in text


@pytest.mark.parametrize(("share", "word"), [(0.04, "here so."), (0.3, "here not so.")])
def test_interleaved_without_failing_questions_is_called_rl(share, word):
    runs = pd.DataFrame({"first": [share], "last": [0.01]}, index=["interleaved"])
    assert word in readings.failing_share(runs)


@pytest.mark.parametrize(
    ("estimates", "p", "word"),
    [
        ((-30, -2), (0.001, 0.5), "a pit"),
        ((5, 2), (0.001, 0.5), "a peak"),
        ((5, -6), (0.001, 0.001), "does not interpolate"),
        ((1, -1), (0.5, 0.5), "accuracy interpolates"),
    ],
)
def test_merged_models_off_the_line_are_a_pit_a_peak_or_neither(estimates, p, word):
    table = pd.DataFrame({"estimate": estimates, "p_holm": p, "merge": ["ties", "linear"], "share": [0.5, 0.25]})
    text = readings.interpolation(table.assign(low=-40, high=40))
    furthest = max(estimates, key=abs)
    assert word in text and f"{furthest:+.1f} [-40.0, 40.0] points" in text


@pytest.mark.parametrize(("middle", "word"), [(10, "most are at the ends"), (200, "fewer than half are at the ends")])
def test_questions_at_the_ends_are_counted(middle, word):
    counts = pd.DataFrame({"L1": [100], "L2": [middle], "L3": [middle], "L4": [middle], "L5": [50]}, index=["MiniStar"])
    assert word in readings.levels(counts) and f"MiniStar at {'L2' if middle == 10 else 'L5'}" in readings.levels(
        counts
    )


def test_a_prompt_stands_beside_what_training_gains():
    table = pd.DataFrame({"arm": ["base", "base_prompted"], "benchmark": "all", "estimate": [50.0, 53.0]})
    assert "+3.0 points are what a prompt gives" in readings.prompt(table)
    assert "No other prompt" in readings.prompt(table[:1])


def test_what_more_samples_reach_and_what_they_do_not():
    table = passes([57], [50, 60, 69, 78, 86])
    hard = table[table["arm"] == "base"].assign(level="L5", estimate=[5, 10, 20, 40, 60])
    text = readings.headroom(pd.concat([table, hard]))
    assert "50.0 % and one of 16 in 86.0 %, at L5 5.0 and 60.0 %" in text and "the other 14.0 %" in text
    assert "L5" not in readings.headroom(table)


@pytest.mark.parametrize(
    ("interval", "word"), [((1, 5), "is above"), ((-1, 5), "not told apart from"), ((-5, -1), "is below")]
)
def test_a_combination_is_priced_against_the_parent_that_it_is_furthest_behind(interval, word):
    rows = [("merging", "sft_eureka", 9, 8, 10), ("merging", "rl", sum(interval) / 2, *interval)]
    table = pd.DataFrame(rows, columns=["arm", "against", "estimate", "low", "high"])
    text = readings.compute(table, ["merging", "two_stage"])
    assert word in text and "RL at its price" in text and "Two-stage" not in text


@pytest.mark.parametrize(
    ("rl", "words"),
    [
        ((52, 55, 62), "grows with each dose"),
        ((62, 55, 52), "falls with each dose"),
        ((52, 62, 55), "one way and then the other"),
        ((52,), "says nothing"),
    ],
)
def test_a_lead_moves_with_the_dose_where_every_step_goes_one_way(rl, words):
    bases = ["0 %", "1 %", "10 %"][: len(rl)]
    rows = [
        (base, arm, v)
        for base, v in zip(bases, rl, strict=True)
        for arm, v in [("rl", v), ("base", 50), ("sft_eureka", 60)]
    ]
    rows += [("0 %, other", arm, 50) for arm in ("rl", "base", "sft_eureka")]
    text = readings.lead(pd.DataFrame(rows, columns=["base", "arm", "estimate"]).assign(benchmark="all"))
    assert words in text and f"at 0 % SFT gains +10.0 and RL {rl[0] - 50:+.1f}" in text


def test_a_threshold_that_is_missed_is_named():
    table = pd.DataFrame({"length (5)": [6.0, 2.0], "box (95)": [float("nan"), 90.0]}, index=["rl", "sft_eureka"])
    text = readings.thresholds(table, [5, 95])
    assert "RL meets all." in text and "SFT (Eureka-Distill) misses 2: length (5); box (95)." in text


@pytest.mark.parametrize(
    ("second", "end"),
    [
        ((-5, -6, -4), "gain on 1 and to lose on 1"),
        ((5, 4, 6), "gain on 2 and to lose on 0"),
        ((0, -1, 1), "gain on 1 and to lose on 0"),
    ],
)
def test_benchmarks_are_counted_by_what_their_intervals_show(second, end):
    rows = [("MiniStar", 3.0, 2.0, 4.0), ("MiniVerse", *second), ("all", 9.0, 8.0, 10.0)]
    table = pd.DataFrame(rows, columns=["benchmark", "estimate", "low", "high"])
    text = readings.benchmarks(table.assign(arm="rl", against="B", level="all"), ["rl"])
    assert text.startswith("Of 2 benchmarks RL") and end in text
    assert ("a trade between benchmarks" in text) == (second[0] < 0)


def test_a_word_that_the_base_never_says_is_named():
    rows = [("base", "wait", 0.0), ("base", "check", 2.0), ("rl", "wait", 0.0), ("rl", "check", 1.0)]
    rows += [("sft_eureka", "wait", 700.0), ("sft_eureka", "check", 3.0)]
    text = readings.reflection(pd.DataFrame(rows, columns=["arm", "word", "per_1000_responses"]))
    assert (
        "SFT (Eureka-Distill) says 'wait' most (700 times per 1,000 answers), of which the base never says wait" in text
    )
    assert "RL says 'check' most (1 times per 1,000 answers), and none that the base does not say" in text


@pytest.mark.parametrize(("rl", "end"), [((40, 38, 42), "RL has taken it up"), ((1, 0, 2), "not shown to take it up")])
def test_rl_takes_up_the_long_way_where_its_interval_is_above_its_bases(rl, end):
    ways = pd.DataFrame(
        [("10 %", "base_instructed", 0.5, 0.1, 1.0), ("10 %", "rl", *rl)],
        columns=["base", "arm", "estimate", "low", "high"],
    )
    groups = pd.DataFrame({"base": ["10 %"], "estimate": [23.7]})
    text = readings.long_way(ways, groups)
    assert end in text and "23.7 %" in text and f"to {rl[0]:.1f} %" in text
