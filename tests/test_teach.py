"""The exercises: every one fails as it is handed out, and passes as it is solved."""

import subprocess
import sys
import xml.etree.ElementTree as ElementTree

from studylib.paths import ROOT

TEACH = ROOT / "teach"


def outcomes(report, *options: str) -> dict[str, bool]:
    """Whether each test of the exercises passes, by file and name."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(TEACH / "tests"), f"--junitxml={report}"]
    subprocess.run([*command, *options], cwd=ROOT, capture_output=True, check=False)
    cases = ElementTree.parse(report).getroot().iter("testcase")
    return {f"{case.get('classname')} {case.get('name')}": case.find("failure") is None for case in cases}


def test_exercises_fail_unsolved_and_pass_solved(tmp_path):
    unsolved, solved = outcomes(tmp_path / "a.xml"), outcomes(tmp_path / "b.xml", "--solutions")
    assert len(solved) > 20 and set(unsolved) == set(solved)
    assert [name for name, passed in unsolved.items() if passed] == []
    assert [name for name, passed in solved.items() if not passed] == []


def test_every_exercise_has_its_solution_its_tests_and_a_place_in_a_chapter():
    names = {path.stem for path in (TEACH / "exercises").glob("*.py")}
    assert names == {path.stem for path in (TEACH / "solutions").glob("*.py")}
    assert names == {path.stem.removeprefix("test_") for path in (TEACH / "tests").glob("test_*.py")}
    chapters = [path.read_text() for path in (ROOT / "notebooks").glob("*.ipynb")]
    for name in names:
        assert sum(f"teach/exercises/{name}.py" in text for text in chapters) == 1, name
    for text in chapters:
        assert all(tier in text for tier in ("**Predict.**", "**Implement.**", "**Design.**"))
