// The question explorer. All state is in `state`, which the address mirrors; data come as scripts (see book/chunks.py).
"use strict";

(() => {
  const root = document.getElementById("explorer");
  const folder = root.dataset.folder;
  const ANY = "";
  const FILTERS = ["benchmark", "level", "kind", "right", "wrong", "seed"];
  const state = { benchmark: ANY, level: ANY, kind: ANY, right: ANY, wrong: ANY, seed: ANY, arms: "", q: "" };
  let index, shown = [];

  const load = (name) => chunks.json(folder, name);

  const element = (tag, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };

  // What a run (an arm and a seed) made of question number i: right if at least half of its samples are.
  const isRight = (run, i) => 2 * run.right[i] >= run.samples;
  const runOf = (arm) => {
    const runs = index.runs.filter((run) => run.arm === arm);
    return runs.find((run) => String(run.seed) === state.seed) ?? runs[0];
  };

  function matches(i) {
    const { questions } = index;
    for (const name of ["benchmark", "level", "kind"])
      if (state[name] !== ANY && questions[name][i] !== state[name]) return false;
    if (state.right !== ANY && !isRight(runOf(state.right), i)) return false;
    return state.wrong === ANY || !isRight(runOf(state.wrong), i);
  }

  function choices() {
    const { questions } = index;
    const within = (name) => questions.benchmark.flatMap((benchmark, i) =>
      name !== "kind" || state.benchmark === ANY || benchmark === state.benchmark ? [questions[name][i]] : []);
    const arms = index.arms.map((arm) => [arm.id, arm.name]);
    const plain = (values) => [...new Set(values)].sort().map((value) => [String(value), String(value)]);
    return {
      benchmark: index.benchmarks.map((name) => [name, name]),
      level: plain(questions.level),
      kind: plain(within("kind")),
      right: arms,
      wrong: arms,
      seed: plain(index.runs.map((run) => run.seed)),
    };
  }

  const LABELS = { benchmark: "benchmark", level: "level", kind: "kind", right: "right with", wrong: "wrong with", seed: "seed" };

  function drawFilters() {
    const form = root.querySelector(".filters");
    const all = choices();
    form.replaceChildren(...FILTERS.map((name) => {
      const empty = name === "seed" ? "first" : name === "right" || name === "wrong" ? "any arm" : "all";
      const select = element("select", { name }, element("option", { value: ANY, textContent: empty }));
      select.append(...all[name].map(([value, text]) => element("option", { value, textContent: text })));
      select.value = state[name];
      if (select.value !== state[name]) select.value = state[name] = ANY; // another benchmark has other kinds
      return element("label", {}, LABELS[name], select);
    }), element("button", { type: "reset", textContent: "clear" }), drawArms());
  }

  function drawArms() {
    const picked = new Set(state.arms.split(","));
    const boxes = index.arms.map((arm) => {
      const box = element("input", { type: "checkbox", name: "arms", value: arm.id, checked: picked.has(arm.id) });
      return element("label", { className: "arm" }, box, arm.name);
    });
    return element("details", {}, element("summary", { textContent: "arms shown" }), ...boxes);
  }

  function drawList() {
    const { questions } = index;
    shown = questions.id.map((_, i) => i).filter(matches);
    root.querySelector(".count").textContent = `${shown.length} of ${questions.id.length} questions`;
    const first = Math.max(0, shown.indexOf(questions.id.indexOf(state.q)) - 100);
    const items = shown.slice(first, first + 300).map((i) => {
      const marks = state.arms.split(",").filter(Boolean).map((arm) => (isRight(runOf(arm), i) ? "✔" : "✘")).join("");
      const text = element("span", { textContent: `${questions.id[i]} ${questions.level[i]}` });
      const item = element("li", {}, text, element("span", { className: "marks", textContent: marks }));
      item.dataset.q = questions.id[i];
      if (questions.id[i] === state.q) item.setAttribute("aria-current", "true");
      return item;
    });
    if (shown.length > items.length)
      items.push(element("li", { className: "more", textContent: "narrow the filters to see the others" }));
    root.querySelector(".list").replaceChildren(...items);
    root.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
  }

  function coloured(text, steps) {
    const parts = [];
    let last = 0;
    for (const [start, end, right] of steps) {
      const step = element("span", { className: `step ${right ? "right" : "wrong"}`, textContent: text.slice(start, end) });
      parts.push(text.slice(last, start), step);
      last = end;
    }
    return [...parts, text.slice(last)];
  }

  function picture(benchmark, place) {
    const [column, row] = [place % index.columns, Math.floor(place / index.columns)];
    const view = element("div", { className: "picture", role: "img", ariaLabel: "the picture of the question" });
    view.style.backgroundImage = `url(${new URL(`${folder}${benchmark}.webp`, document.baseURI)})`;
    view.style.backgroundSize = `${index.columns * 100}% auto`;
    const rows = Math.ceil(index.questions.benchmark.filter((name) => name === benchmark).length / index.columns);
    const part = (at, of) => (of > 1 ? `${(100 * at) / (of - 1)}%` : "0%");
    view.style.backgroundPosition = `${part(column, index.columns)} ${part(row, rows)}`;
    return view;
  }

  async function drawDetail() {
    const { questions } = index;
    const i = questions.id.indexOf(state.q);
    const detail = root.querySelector(".detail");
    if (i < 0) return detail.replaceChildren();
    const benchmark = questions.benchmark[i];
    const place = i - questions.benchmark.indexOf(benchmark);
    const runs = state.arms.split(",").filter(Boolean).map(runOf);
    const [texts, ...answers] = await Promise.all(
      [`questions-${benchmark}`, ...runs.map((run) => `${benchmark}-${run.arm}-${run.seed}`)].map(load));
    if (state.q !== questions.id[i]) return; // another question was chosen while this one was loaded
    const about = `${state.q}, ${questions.level[i]}, ${questions.kind[i]}`;
    const words = element("div", {}, element("p", { className: "about", textContent: about }),
      element("p", { className: "text", textContent: texts.question[place] }),
      element("p", {}, "Answer: ", element("b", { textContent: texts.answer[place] })));
    const cards = runs.map((run, n) => {
      const [text, outcome, tokens, steps] = answers[n][place];
      const arm = index.arms.find((one) => one.id === run.arm);
      const name = element("b", { textContent: arm.name });
      name.style.borderLeftColor = arm.colour;
      const note = `${run.right[i]} of ${run.samples} samples right, seed ${run.seed}; ${tokens} tokens, ${outcome}`;
      return element("article", {}, element("header", {}, outcome === "correct" ? "✔ " : "✘ ", name,
        element("small", { textContent: note })), element("div", { className: "answer" }, ...coloured(text, steps)));
    });
    detail.replaceChildren(element("div", { className: "asked" }, picture(benchmark, place), words),
      element("div", { className: "cards" }, ...cards));
  }

  function draw() {
    drawFilters();
    drawList();
    if (shown.length && !shown.includes(index.questions.id.indexOf(state.q))) {
      state.q = index.questions.id[shown[0]];
      drawList();
    }
    const kept = Object.entries(state).filter(([, value]) => value !== ANY);
    history.replaceState(null, "", `#${new URLSearchParams(kept)}`);
    return drawDetail();
  }

  function fromAddress() {
    const given = new URLSearchParams(location.hash.slice(1));
    for (const name of Object.keys(state)) state[name] = given.get(name) ?? ANY;
    if (!state.arms) state.arms = ["base", "sft_eureka", "rl"].filter((arm) => runOf(arm)).join(",");
  }

  function go(step) {
    const at = shown.indexOf(index.questions.id.indexOf(state.q));
    const next = shown[Math.min(Math.max(at + step, 0), shown.length - 1)];
    if (next !== undefined) { state.q = index.questions.id[next]; draw(); }
  }

  function listen() {
    const form = root.querySelector(".filters");
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", ({ target }) => {
      if (target.name === "arms") {
        const boxes = [...form.querySelectorAll("[name=arms]")];
        state.arms = boxes.filter((box) => box.checked).map((box) => box.value).join(",");
        drawList();
        drawDetail();
        history.replaceState(null, "", `#${new URLSearchParams(Object.entries(state).filter(([, value]) => value))}`);
        return;
      }
      const { name } = target;
      state[name] = target.value;
      draw();
      form.querySelector(`[name=${name}]`).focus();
    });
    form.addEventListener("reset", (event) => {
      event.preventDefault();
      for (const name of FILTERS) state[name] = ANY;
      draw();
    });
    root.querySelector(".list").addEventListener("click", ({ target }) => {
      const q = target.closest("li")?.dataset.q;
      if (q) { state.q = q; draw(); }
    });
    root.querySelector(".list").addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step) { event.preventDefault(); event.stopPropagation(); go(step); }
    });
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
      if (event.key === "j") go(1);
      else if (event.key === "k") go(-1);
      else if (event.key === "/") { event.preventDefault(); form.querySelector("select").focus(); }
    });
    window.addEventListener("hashchange", () => { fromAddress(); draw(); });
  }

  load("index").then((content) => {
    index = content;
    fromAddress();
    listen();
    return draw();
  });
})();
