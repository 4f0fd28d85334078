"""The site in a browser: figures draw, nothing overflows a phone, the explorer filters and takes links and keys."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from book.slides import FIGURES
from studylib.paths import ROOT

pytestmark = pytest.mark.slow
pytest.importorskip("myst_nb", reason="the site is not tested: pip install -e '.[book]'")
if not any(shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome", "chrome")):
    pytest.skip("the site is not tested: there is no chromium or chrome", allow_module_level=True)

CHOSEN = "minivision-test-0000"  # asked on the page
SIZES = {"phone": (390, 844), "page": (1280, 900)}
QUIET = """({
  figures: document.querySelectorAll('.plotly-graph-div').length,
  blank: [...document.querySelectorAll(".plotly-graph-div:not(:has(svg.main-svg))")].map((d) => d.id),
  wide: document.documentElement.scrollWidth - innerWidth,
  errors: window.seen,
})"""
# Before anything of the page runs: what it writes to the console as an error, and what it throws.
LISTEN = """window.seen = [];
  addEventListener('error', (event) => seen.push(event.message || event.target.src || event.target.href), true);
  addEventListener('unhandledrejection', (event) => seen.push(String(event.reason)));
  const say = console.error; console.error = (...words) => { seen.push(words.join(' ')); say(...words); };"""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    from book.build import build

    folder = tmp_path_factory.mktemp("book") / "site"
    build(folder)
    return folder


def visit(pages: list[str], size: tuple[int, int], *scripts: str, dark: bool = False) -> list[list]:
    """What each script gives on each page, opened from the disk in a window of that size."""
    return asyncio.run(_visit(pages, size, scripts, dark))


async def _visit(pages, size, scripts, dark):
    from choreographer import Browser

    found = []
    async with Browser(headless=True) as browser:
        for page in pages:
            tab = await browser.create_tab("")
            width, height = size
            metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
            await tab.send_command("Emulation.setDeviceMetricsOverride", metrics)
            scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
            await tab.send_command("Emulation.setEmulatedMedia", {"features": scheme})
            await tab.send_command("Page.enable")
            await tab.send_command("Page.addScriptToEvaluateOnNewDocument", {"source": LISTEN})
            await tab.send_command("Page.navigate", {"url": page})
            await _until(tab, "document.readyState === 'complete' && location.href !== 'about:blank'")
            found.append([await _value(tab, script) for script in scripts])
            await browser.close_tab(tab.target_id)
    return found


async def _value(tab, script: str):
    wanted = {"expression": script, "awaitPromise": True, "returnByValue": True}
    answer = (await tab.send_command("Runtime.evaluate", wanted))["result"]
    assert "exceptionDetails" not in answer, answer
    return answer["result"].get("value")


async def _until(tab, condition: str, tries: int = 600):
    for _ in range(tries):
        if await _value(tab, condition):
            return
        await asyncio.sleep(0.2)
    raise AssertionError(f"never came true: {condition}")


@pytest.mark.parametrize("size", SIZES)
def test_every_figure_draws_and_nothing_overflows_or_errs(site, size):
    pages = sorted((site / "notebooks").glob("*.html"))
    assert len(pages) == len(list((ROOT / "outputs" / "mini" / "chapters").glob("*.ipynb")))
    others = [site / f"{page}.html" for page in ("index", "glossary", "bibliography")]
    others += site.glob("model.html")
    others += sorted((site / "teach").glob("*.html"))
    settle = "new Promise((done) => setTimeout(done, 500))"
    seen = visit([page.as_uri() for page in [*pages, *others]], SIZES[size], settle, QUIET)
    for page, (_, state) in zip([*pages, *others], seen, strict=True):
        assert state["errors"] == [] and state["blank"] == [], (page.name, state)
        assert state["wide"] <= 0, (page.name, state)
    assert sum(state["figures"] for _, state in seen) > 40


def test_every_slide_draws(site):
    settle = "new Promise((done) => setTimeout(done, 2000))"
    ((_, state),) = visit([(site / "slides" / "index.html").as_uri()], SIZES["page"], settle, QUIET)
    assert state["errors"] == [] and state["blank"] == [] and state["figures"] == len(FIGURES), state


def test_plotly_is_shipped_once_and_nothing_is_fetched_from_elsewhere(site):
    scripts = [path for path in site.rglob("*.js") if path.parent.name != "models"]
    copies = [path for path in scripts if path.stat().st_size > 2**21]
    assert [path.name for path in copies] == ["plotly.min.js"]
    for page in site.rglob("*.html"):
        text = page.read_text()
        assert '<script src="http' not in text and 'rel="stylesheet" href="http' not in text, page


def test_figures_take_the_ink_of_a_dark_page(site):
    page = next((site / "notebooks").glob("05_*.html")).as_uri()
    colour = "document.querySelector('.js-plotly-plot').layout.font.color"
    ink = f"new Promise((done) => setTimeout(() => done({colour}), 800))"
    theme = "document.documentElement.dataset.theme = '{}'"
    assert visit([page], SIZES["page"], theme.format("dark"), ink, dark=True)[0][1] == "#dddddd"
    assert visit([page], SIZES["page"], theme.format("light"), ink)[0][1] == "#333333"


def test_the_explorer_filters_takes_a_link_and_keys(site):
    link = f"{(site / 'explorer.html').as_uri()}#right=base&wrong=sft_eureka&level=L1&arms=base%2Csft_eureka"
    ready = """new Promise((done) => { const look = () =>
      document.querySelectorAll('#explorer article').length ? done(true) : setTimeout(look, 100); look(); })"""
    state = """({count: document.querySelector('#explorer .count').textContent,
      cards: [...document.querySelectorAll('#explorer article header b')].map((b) => b.textContent),
      marks: [...document.querySelectorAll('#explorer li .marks')].map((m) => m.textContent),
      q: new URLSearchParams(location.hash.slice(1)).get('q'), errors: window.seen,
      wide: document.documentElement.scrollWidth - innerWidth})"""
    key = "document.dispatchEvent(new KeyboardEvent('keydown', {key: 'j', bubbles: true}))"
    for size in SIZES.values():
        _, first, _, second = visit([link], size, ready, state, key, state)[0]
        few, many = (int(word) for word in first["count"].split() if word.isdigit())
        assert 0 < few < many and first["cards"] == ["Base", "SFT (Eureka-Distill)"]
        assert set(first["marks"]) == {"✔✘"} and first["errors"] == [] and first["wide"] <= 0
        assert first["q"] and second["q"] != first["q"]


def test_the_explorers_answers_are_the_committed_ones(site, tmp_path):
    """A chunk unpacks to what the tables say."""
    import base64
    import gzip

    from studylib import Study
    from studylib.figures.answers import typical

    chunk = (site / "_static" / "explorer" / "MiniStar-rl-1.js").read_text()
    rows = json.loads(gzip.decompress(base64.b64decode(chunk.split('"')[3])))
    scores = Study("mini", 1).scores("rl").query("benchmark == 'MiniStar'")
    first = scores[scores["question_id"] == sorted(scores["question_id"].unique())[0]]
    assert rows[0][0] == typical(first)["text"] and len(rows) == scores["question_id"].nunique()


def test_the_page_answers_as_the_engine_does(site):
    """Temperature 0, with the picture and without, and a question that the reader wrote."""
    from studylib import Study
    from studylib.engine.generate import Sampling, generate
    from studylib.paths import ROOT

    if not (site / "model.html").exists():
        pytest.skip("the page that runs the models was left out")
    row = Study("mini").question(CHOSEN)
    rows = [row, {**row, "id": "blind", "images": []}, {**row, "id": "own", "question": "How many circles?"}]
    greedy = Sampling(temperature=0, top_p=1, top_k=0, max_new_tokens=Study("mini").params.sampling.max_new_tokens)
    answers = generate(ROOT / "models" / "mini-base", rows, instruct=False, samples=1, sampling=greedy, seed=1)
    ask = """(async () => {
      const form = document.querySelector('#models form');
      const until = async (ready) => { while (!ready()) await new Promise((done) => setTimeout(done, 100)); };
      await until(() => form.chosen);
      form.chosen.value = [...form.chosen.options].findIndex((option) => option.text.startsWith('%s,'));
      form.chosen.dispatchEvent(new Event('change'));
      form.seen.checked = %s;
      form.question.value = %s ?? form.question.value;
      form.requestSubmit();
      await until(() => /^Done|do not run/.test(document.querySelector('#models .count').textContent));
      return {text: document.querySelector('#answer-base .answer').textContent, errors: window.seen};
    })()"""
    asked = [("true", "null"), ("false", "null"), ("true", json.dumps(rows[2]["question"]))]
    page = (site / "model.html").as_uri()
    seen = visit([page], SIZES["phone"], *(ask % (CHOSEN, shown, own) for shown, own in asked), QUIET)[0]
    for state, (answer,) in zip(seen, answers, strict=False):
        assert state == {"text": answer.text, "errors": []}
    assert seen[-1]["wide"] <= 0
