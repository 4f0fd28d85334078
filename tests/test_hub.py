"""Published datasets read from folders of the same files: nothing here touches the network."""

import base64
import io
import json
import os
from pathlib import Path

import pytest
from datasets import Dataset, Image
from PIL import Image as Pictures

from studylib.data import hub, mini
from studylib.data.schemas import BENCHMARKS
from studylib.errors import StudyError
from studylib.grading import grade
from studylib.params.load import load_params
from studylib.params.schema import HubSet
from studylib.paths import ROOT


def picture(shade: int = 0) -> dict:
    file = io.BytesIO()
    Pictures.new("RGB", (56, 56), (shade, 90, 200)).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": f"{shade}.png"}


def write(path: Path, rows: list[dict], pictures: tuple[str, ...] = ("image",)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = Dataset.from_list(rows)
    for name in pictures:
        table = table.cast_column(name, Image())
    table.to_parquet(path)


MATHVISION = {
    "id": "34",
    "question": "One piece looks like:\n<image1>\nWhat does the other look like?\n<image2>",
    "options": ["A", "B", "C", "D", "E"],
    "image": "images/34.jpg",
    "decoded_image": picture(34),
    "answer": "E",
    "solution": None,
    "level": 1,
    "subject": "combinatorial geometry",
    "difficulty": "L4",
}
MATHVERSE = {
    "sample_index": "1",
    "problem_index": "1",
    "problem_version": "Text Dominant",
    "question": "Angle 1 is 30°. How large is angle 2?\nChoices:\nA:30°\nB:60°\nC:150°\nD:120°",
    "image": picture(1),
    "answer": "C",
    "question_type": "multi-choice",
    "metadata": {"subject": "Plane Geometry"},
    "query_wo": "Please answer ...",
    "query_cot": "Please think ...",
    "difficulty": 3,
}
MATHVISTA = {
    "pid": "1",
    "question": "What is the speed?",
    "image": "images/1.jpg",
    "decoded_image": picture(2),
    "choices": None,
    "unit": "m/s",
    "precision": 1.0,
    "answer": "1.2",
    "question_type": "free_form",
    "answer_type": "float",
    "metadata": {"task": "textbook question answering"},
    "query": "Hint: ...",
    "difficulty": "Level 5",
}
MMMU = {
    "id": "validation_Accounting_1",
    "question": "<image 1> Which of these fits <image 2>?",
    "options": "['$6', \"the owner's share\", '<image 2>']",
    **{f"image_{n}": picture(n) if n < 3 else None for n in range(1, 8)},
    "answer": "B",
    "question_type": "multiple-choice",
    "topic_difficulty": "Medium",
    "subfield": "Managerial Accounting",
    "difficulty": "1",
}
MMSTAR = {
    "index": 0,
    "question": "Where is the case?\nOptions: A: On the book, by the cat., B: Beneath it., C: None, D: Far away",
    "image": picture(3),
    "answer": "A",
    "category": "coarse perception",
    "l2_category": "image scene and topic",
    "difficulty": "L2",
}


@pytest.fixture
def folders(tmp_path) -> dict[str, str]:
    """The five benchmarks in the files that the hub has, with a published level in `difficulty`."""
    decoded, numbered = ("decoded_image",), tuple(f"image_{number}" for number in range(1, 8))
    write(
        tmp_path / "MathVision/data/test-00000-of-00001.parquet",
        [MATHVISION, MATHVISION | {"id": "7", "options": [], "answer": "10", "question": "How many?\n<image1>"}],
        decoded,
    )
    write(tmp_path / "MathVision/data/testmini-00000-of-00001.parquet", [MATHVISION], decoded)
    blind = {"sample_index": "5", "problem_version": "Vision Only", "question": ""}
    write(tmp_path / "MathVerse/testmini.parquet", [MATHVERSE, MATHVERSE | blind])
    choice = {"pid": "2", "choices": ["red", "blue"], "answer": "blue", "question_type": "multi_choice"}
    text = {"answer_type": "text", "unit": None, "precision": None, "question": "Which colour?"}
    write(tmp_path / "MathVista/data/testmini-00000-of-00001.parquet", [MATHVISTA, MATHVISTA | choice | text], decoded)
    opened = {"id": "validation_Art_1", "question_type": "open", "options": "[]", "answer": "['24/7', '3.43']"}
    write(tmp_path / "MMMU/Accounting/validation-00000-of-00001.parquet", [MMMU], numbered)
    write(tmp_path / "MMMU/Art/validation-00000-of-00001.parquet", [MMMU | opened], numbered)
    write(tmp_path / "MMStar/mmstar.parquet", [MMSTAR])
    splits = {"MathVision": "test", "MathVerse": "testmini", "MathVista": "testmini", "MMMU": "validation"}
    return {
        name: {"name": str(tmp_path / name), "split": splits.get(name, "val"), "level_column": "difficulty"}
        for name in BENCHMARKS
    }


FIRST = {"data.training": ["MathVision"]}


def questions(benchmarks: dict) -> dict[str, dict]:
    overrides = {"data.benchmarks": benchmarks, **FIRST}
    return {row["id"]: row for row in hub.load_questions(load_params("paper", overrides), "test")[0]}


def read(name: str, benchmark: str = "MathVision", **spec) -> list[dict]:
    known = {"split": "test", "level_column": "", **spec}
    spec, schema = HubSet(name=name, **known), BENCHMARKS[benchmark]
    return hub.read_rows(spec, schema, "data.benchmarks.X", benchmark, "test", 0, {})


def test_five_benchmarks_come_out_in_one_schema_with_their_published_levels(folders):
    rows = questions(folders)
    assert len(rows) == 9
    assert {name: rows[name]["level"] for name in rows if name.endswith(("-34", "-1", "_1"))} == {
        "mathvision-test-34": "L4",
        "mathverse-test-1": "L3",
        "mathvista-test-1": "L5",
        "mmmu-test-validation_Accounting_1": "L1",
        "mmmu-test-validation_Art_1": "L1",
    }
    assert rows["mmstar-test-0"]["level"] == "L2"
    assert all(image.size == (56, 56) for row in rows.values() for image in row["images"])


def test_choices_are_read_from_each_benchmark_and_answered_by_letter(folders):
    rows = questions(folders)
    mathvision, free = rows["mathvision-test-34"], rows["mathvision-test-7"]
    assert mathvision["question"] == "One piece looks like:\nWhat does the other look like?"
    assert (mathvision["answer"], mathvision["choices"]) == ("E", list("ABCDE"))
    assert (free["question_type"], free["answer_type"], free["choices"]) == ("free_form", "integer", [])
    vista = rows["mathvista-test-2"]
    assert (vista["answer"], vista["question"]) == ("B", "Which colour?\n(A) red\n(B) blue")
    star = rows["mmstar-test-0"]
    assert star["choices"] == ["On the book, by the cat.", "Beneath it.", "None", "Far away"]
    assert star["question"].startswith("Where is the case?\n(A) On the book, by the cat.\n(B)")


def test_mathvista_keeps_unit_and_precision_for_the_grader(folders):
    row = questions(folders)["mathvista-test-1"]
    assert (row["unit"], row["precision"], row["answer_type"]) == ("m/s", 1.0, "float")
    assert row["question"] == "What is the speed? (Unit: m/s)"
    assert grade(row, "\\boxed{1.21 m/s}").outcome == "correct"


def test_mmmu_has_its_options_pictures_and_subjects(folders):
    rows = questions(folders)
    row = rows["mmmu-test-validation_Accounting_1"]
    assert row["choices"] == ["$6", "the owner's share", "[picture 2]"]
    assert row["question"].startswith("[picture 1] Which of these fits [picture 2]?\n(A) $6")
    assert [image.getpixel((0, 0))[0] for image in row["images"]] == [1, 2]
    assert rows["mmmu-test-validation_Art_1"]["answer"] == "24/7"


def test_mathverse_versions_are_one_problem_and_share_the_choices(folders):
    told, blind = (questions(folders)[f"mathverse-test-{n}"] for n in (1, 5))
    assert told["problem"] == blind["problem"] and told["problem"] != told["id"]
    assert (told["version"], blind["version"]) == ("text-dominant", "vision-only")
    assert blind["choices"] == told["choices"] == ["30°", "60°", "150°", "120°"]
    assert "150" not in blind["question"] and blind["question"]
    assert grade(blind, "\\boxed{150°}").outcome == "correct"


def test_missing_column_lists_the_columns_found_and_can_be_mapped(tmp_path):
    row = {name: value for name, value in MATHVISION.items() if name != "answer"} | {"gold": "E"}
    write(tmp_path / "data/test-0.parquet", [row], ("decoded_image",))
    with pytest.raises(StudyError, match=r"no column answer; it has id, .*gold.*data.benchmarks.X.columns: {answer:"):
        read(str(tmp_path))
    assert read(str(tmp_path), columns={"answer": "gold"})[0]["answer"] == "E"


def test_an_unset_level_column_is_the_one_of_difficulties_from_1_to_5_or_none(folders):
    unset = {name: spec | {"level_column": None} for name, spec in folders.items()}
    write(Path(folders["MMStar"]["name"]) / "mmstar.parquet", [MMSTAR | {"difficulty": "hard"}])
    rows, facts = hub.load_questions(load_params("paper", {"data.benchmarks": unset, **FIRST}), "test")
    columns = dict.fromkeys(folders, "difficulty") | {"MMStar": None}
    assert facts["level_columns"] == columns  # MMMU's topic_difficulty is a word and no level
    assert {row["level"] for row in rows if row["benchmark"] == "MMStar"} == {""}
    assert read(benchmark="MMMU", **(folders["MMMU"] | {"level_column": ""}))[0]["level"] == ""
    with pytest.raises(StudyError, match=r"level_column is 'levels', which is no column. The columns are index, "):
        read(benchmark="MMStar", **(folders["MMStar"] | {"level_column": "levels"}))
    with pytest.raises(StudyError, match=r"row 1: level is 'hard', not a level from 1 to 5"):
        write(Path(folders["MMStar"]["name"]) / "mmstar.parquet", [MMSTAR | {"level": "hard"}])
        read(benchmark="MMStar", **(folders["MMStar"] | {"level_column": "level"}))


def test_damaged_rows_are_named(tmp_path):
    file = tmp_path / "test.jsonl"

    def told(*changes: dict) -> str:
        good = {"id": "1", "question": "?", "options": [], "answer": "1", "image": "1.png"}
        file.write_text("\n".join(json.dumps(good | change) for change in changes))
        with pytest.raises(StudyError) as error:
            read(str(tmp_path))
        return str(error.value)

    (tmp_path / "1.png").write_bytes(picture()["bytes"])
    (tmp_path / "2.png").write_bytes(b"no picture")
    assert "test.jsonl row 2" in told({}, {"id": "2", "answer": "F", "options": ["A", "B"]})
    assert "which another row has too" in told({}, {})
    assert "picture gone.png is not in" in told({"image": "gone.png"})
    assert "is not in" in told({"image": "../../../etc/passwd"})
    assert "no format" in told({"image": "2.png"})
    file.write_text('{"id": "1"')
    with pytest.raises(StudyError, match="row 1: it is not JSON"):
        read(str(tmp_path))
    with pytest.raises(StudyError, match="no file of the split 'val'; there is test.jsonl, testmini.jsonl"):
        (tmp_path / "testmini.jsonl").write_text("{}")
        read(str(tmp_path), split="val")


def jsonl(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(map(json.dumps, rows)))


def load_queries(folder: Path, **data):
    overrides = {"data.hub": {"queries": {"name": str(folder), "split": "train"}}, "data.validation": 1}
    return hub.load_questions(load_params("paper", overrides | data), "train")


def test_few_unreadable_rows_are_left_out_and_named_and_more_stop_the_stage(tmp_path):
    rows = [{"question": f"{n}?", "answer": str(n), "images": []} for n in range(40)]
    rows[7]["answer"], rows[9]["question"] = None, "<image>?"
    jsonl(tmp_path / "train.jsonl", rows)
    read, facts = load_queries(tmp_path, **{"data.unreadable": 0.05})
    assert len(read) == 37 and "None" not in read["answer"]
    assert facts["unreadable"]["data.hub.queries"] == [
        "train.jsonl row 8: it has no answer, but None",
        "train.jsonl row 10: its text shows 1 pictures and there are 0",
    ]
    with pytest.raises(
        StudyError,
        match=r"2 of the 40 rows .* lets 0.5 % be left out; the first is train.jsonl row 8.*or raise data.unreadable",
    ):
        load_queries(tmp_path)


def encoded(mode: str, size: tuple[int, int], kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Pictures.new(mode, size).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize(
    "data, reason",
    [
        (encoded("RGB", (400, 300), "JPEG")[:-900], "cannot be decoded .*truncated"),
        (encoded("1", (20_000, 20_000)), "more than 89,478,485 pixels"),
        (encoded("1", (10_000, 10_000)), "more than 89,478,485 pixels"),
        (encoded("L", (1200, 4)), "1200 pixels long and 4 wide"),
        (b"version https://git-lfs.github.com/spec/v1", "pointer of Git LFS.*git lfs pull"),
        (b"GIF", "in no format that can be read"),
    ],
)
def test_a_picture_that_no_later_stage_could_show_is_found_when_loading(data, reason, tmp_path):
    jsonl(tmp_path / "train.jsonl", [{"question": "?", "answer": "1", "images": ["a.png"]}] * 2)
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(StudyError, match=f"train.jsonl row 1: its picture .*{reason}"):
        load_queries(tmp_path)


@pytest.mark.parametrize("mode", ["LA", "P", "I;16", "RGBA", "1", "CMYK"])
def test_pictures_of_every_mode_are_read(mode, tmp_path):
    jsonl(tmp_path / "train.jsonl", [{"question": "?", "answer": "1", "images": ["a.img"]}] * 2)
    (tmp_path / "a.img").write_bytes(encoded(mode, (30, 20), "TIFF" if mode == "CMYK" else "PNG"))
    assert load_queries(tmp_path)[0][0]["images"][0].size == (30, 20)


def test_pictures_lie_beside_the_rows_or_in_the_root_and_rows_in_json_too(tmp_path):
    chat = {"message": json.dumps([{"role": "user", "content": "<image>?"}]), "answer": "1", "image_urls": ["a.png"]}
    for rows in ([chat, chat], {"1": chat, "2": chat}, {"data": [chat, chat]}):
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / "train.json").write_text(json.dumps(rows))
        (tmp_path / "a.png").write_bytes(picture()["bytes"])
        assert len(load_queries(tmp_path)[0][0]["images"]) == 1


def test_questions_are_built_in_pieces_that_keep_their_order(tmp_path, monkeypatch):
    monkeypatch.setattr(mini, "PIECE", 4)
    rows = [{"question": f"{n}?", "answer": str(n), "image": picture(n)} for n in range(11)]
    Dataset.from_list(rows).to_parquet(tmp_path / "train.parquet")
    read, _ = load_queries(tmp_path)
    assert len(read) == 10 and read.data.column("images").num_chunks > 2
    assert [int(row["answer"]) for row in read] == [row["images"][0].getpixel((0, 0))[0] for row in read]


def test_a_benchmark_row_without_a_picture_cannot_be_read(tmp_path):
    rows = [MATHVISION | {"decoded_image": None, "image": None}, MATHVISION | {"id": "2"}]
    write(tmp_path / "test.parquet", rows, ("decoded_image",))
    with pytest.raises(StudyError, match="row 1: it has no picture"):
        read(str(tmp_path))


def test_a_hub_out_of_reach_is_one_sentence(monkeypatch):
    import httpx2

    def fails(*_, **__):
        raise httpx2.ConnectError("Name or service not known")

    monkeypatch.setattr("huggingface_hub.HfApi.repo_info", fails)
    monkeypatch.setattr("huggingface_hub.snapshot_download", fails)
    for revision in ("main", "a" * 40):
        with pytest.raises(StudyError, match=r"cannot be had from the hub \(Name or service not known\): check name"):
            read("owner/name", revision=revision)


def test_a_pinned_commit_that_is_there_is_taken_without_asking_the_hub(folders, monkeypatch):
    monkeypatch.setattr("huggingface_hub.HfApi.repo_info", None)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: folders["MMStar"]["name"])
    assert len(read("owner/MMStar", "MMStar", revision="a" * 40)) == 1


def test_a_dataset_of_the_hub_is_taken_at_its_commit_only(folders, monkeypatch):
    commit, asked = "0123456789abcdef" * 2 + "01234567", []

    class Api:
        def repo_info(self, name, repo_type, revision):
            return type("Info", (), {"sha": commit})

    def snapshot(name, **settings):
        asked.append((name, settings["revision"]))
        return folders["MMStar"]["name"]

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    with pytest.raises(StudyError, match=f"'main', which can move: pin the commit, now {commit}"):
        read("owner/MMStar", "MMStar", revision="main")
    assert not asked
    assert len(read("owner/MMStar", "MMStar", revision=commit)) == 1
    assert asked == [("owner/MMStar", commit)]


def test_traces_are_the_published_thinking_and_answer(tmp_path):
    both = {"solution": "4", "question": "2 + 2?", "cot_type": "math", "metadata": "{}"}
    gemini = {"thinking_trajectories": ["Hmm, wait."], "attempt": "\\boxed{4}"}
    deepseek = {"deepseek_thinking_trajectory": "Two and two.", "deepseek_attempt": "So \\boxed{4}"}
    write(tmp_path / "s1K/data/train-00000-of-00001.parquet", [both | gemini] * 3, ())
    write(tmp_path / "s1K-1.1/data/train-00000-of-00001.parquet", [both | deepseek], ())
    sets = {"rambling": "s1K", "careful": "s1K-1.1"}
    hubs = {manner: {"name": str(tmp_path / name), "split": "train"} for manner, name in sets.items()}
    params = load_params("paper", {"data.hub": hubs, "data.text_traces": 2})
    (rambling, _), (careful, _) = hub.load_traces(params, "rambling"), hub.load_traces(params, "careful")
    assert rambling["trace"] == ["<think> Hmm, wait. </think> \\boxed{4}"] * 2
    assert careful["trace"] == ["<think> Two and two. </think> So \\boxed{4}"]
    assert careful[0]["images"] == [] and careful[0]["telling"] == careful[0]["question"]
    with pytest.raises(StudyError, match="params/paper.yaml names no data.hub.queries"):
        hub.load_questions(params, "train")


def test_validation_questions_are_never_trained_on(tmp_path):
    rows = [{"question": f"{n}?", "answer": str(n), "images": [picture(n), picture(n + 1)]} for n in range(9)]
    Dataset.from_list(rows).to_parquet(tmp_path / "train.parquet")
    queries = {"queries": {"name": str(tmp_path), "split": "train"}}
    params = load_params("paper", {"data.hub": queries, "data.validation": 3})
    train, validation = (hub.load_questions(params, split)[0] for split in ("train", "validation"))
    assert (len(train), len(validation)) == (6, 3) and len(train[0]["images"]) == 2
    assert not set(train["question"]) & set(validation["question"])


SAMPLES = {
    "mathv_sample": ("MathVision", {}, 300),
    "k12_sample": ("queries", {"image": "image_path"}, 100),
}


@pytest.mark.parametrize("sample", SAMPLES)
def test_real_questions_go_from_files_to_grades(sample, request):
    if "STUDY_DATA" not in os.environ:
        pytest.skip("STUDY_DATA is unset: real questions are not tried.")
    from studylib.engine.generate import Sampling, generate

    kind, columns, count = SAMPLES[sample]
    spec = {"name": f"$STUDY_DATA/{sample}", "split": "questions", "level_column": "", "columns": columns}
    if kind == "queries":
        queries = {"data.hub": {"queries": spec}, "data.validation": 1}
        rows, _ = hub.load_questions(load_params("paper", queries), "train")
        assert len(rows) == count - 1
    else:
        training = {"data.benchmarks": {kind: spec}, "data.training": [kind]}
        rows, _ = hub.load_questions(load_params("paper", training), "test")
        assert len(rows) == count and {row["question_type"] for row in rows} == {"free_form", "multi_choice"}
    assert all(len(images) == 1 for images in rows["images"])
    assert all(grade(row, f"\\boxed{{{row['answer']}}}").outcome == "correct" for row in rows.select(range(40)))
    mini = ROOT / "models" / "mini-base"
    sampling, asked = Sampling(0.6, 0.95, 20, 24), list(rows.select(range(6)))
    base = mini if mini.is_dir() else request.getfixturevalue("tiny_base")
    answers = generate(base, asked, instruct=True, samples=1, sampling=sampling, seed=1)
    for row, (answer,) in zip(asked, answers, strict=True):
        assert answer.tokens > 0
        assert grade(row, answer.text, answer.finish_reason).outcome in ("correct", "wrong", "unparsed", "truncated")


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"nope": "question"}, "columns names 'nope', which we do not read"),
        ({"answer": "golld"}, "columns names 'golld', which is no column; did you mean 'gold'"),
    ],
)
def test_columns_that_are_not_there_are_named(columns, sentence, tmp_path):
    jsonl(tmp_path / "train.jsonl", [{"question": "?", "answer": "1", "gold": "2", "images": []}])
    with pytest.raises(StudyError, match=sentence):
        load_queries(tmp_path, **{"data.hub.queries.columns": columns})


def test_a_first_row_without_a_column_does_not_stop_the_others(tmp_path):
    rows = [
        {"question": "no answer?", "images": []},
        *({"question": f"{n}?", "answer": "1", "images": []} for n in range(9)),
    ]
    jsonl(tmp_path / "train.jsonl", rows)
    read, facts = load_queries(tmp_path, **{"data.unreadable": 0.2})
    assert len(read) == 8  # one is for validation
    assert facts["unreadable"]["data.hub.queries"] == ["train.jsonl row 1: it has no 'answer'"]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"5", "holds 5 and no rows"),
        (b"version https://git-lfs.github.com/spec/v1\noid 1", "pointer of Git LFS"),
        ('{"question": "caf\u00e9?", "answer": "1", "images": []}'.encode("latin-1"), "not JSON in UTF-8"),
    ],
)
def test_a_file_that_holds_no_rows_says_what_it_is(data, sentence, tmp_path):
    (tmp_path / "train.json").write_bytes(data)
    with pytest.raises(StudyError, match=sentence):
        load_queries(tmp_path)


def test_pictures_may_lie_elsewhere_in_the_dataset_or_in_the_row(tmp_path):
    encoded = "data:image/png;base64," + base64.b64encode(picture()["bytes"]).decode()
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "b.png").write_bytes(picture()["bytes"])
    (tmp_path / "data").mkdir()
    rows = [{"question": f"{n}?", "answer": "1", "images": ["../images/b.png", encoded][n % 2 :][:1]} for n in range(4)]
    jsonl(tmp_path / "data" / "train.jsonl", rows)
    read, _ = load_queries(tmp_path)
    assert all(len(row["images"]) == 1 for row in read)


def test_a_split_that_the_others_leave_empty_says_so(tmp_path):
    jsonl(tmp_path / "train.jsonl", [{"question": f"{n}?", "answer": "1", "images": []} for n in range(3)])
    with pytest.raises(StudyError, match="No question is left for the split 'train'"):
        load_queries(tmp_path, **{"data.validation": 50})
