// The models that answer on the page: two ONNX graphs each, written by book/model_page.py together with what they need.
"use strict";

(() => {
  const root = document.getElementById("models");
  const folder = root.dataset.folder;
  const form = root.querySelector("form");
  const status = root.querySelector(".count");
  let index, asked = 0; // how many times was asked: an older answer stops

  const element = (tag, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };

  const bytes = async (name) => new Uint8Array(await (await chunks.load(folder, name)).arrayBuffer());

  async function module(name) {
    const source = new Blob([await chunks.load(folder, name)], { type: "text/javascript" });
    return import(URL.createObjectURL(source));
  }

  // What is loaded once: the runtime, the tokenizer, and each model when it is first asked.
  const once = (make) => {
    const made = new Map();
    return (key) => made.get(key) ?? made.set(key, make(key)).get(key);
  };
  const tools = once(async () => {
    const [ort, { Tokenizer }, wasm] = await Promise.all([module("runtime"), module("tokenizers"), bytes("wasm")]);
    ort.env.wasm.wasmBinary = wasm;
    ort.env.wasm.numThreads = 1; // more would need headers that a plain host of files does not send
    return { ort, tokenizer: new Tokenizer(index.tokenizer, {}) };
  });
  const graph = once(async (name) => (await tools()).ort.InferenceSession.create(await bytes(name)));

  // Ids of a prompt. The cells of its picture follow the vocabulary, in place of the one token that stands for them.
  function idsOf(prompt, tokenizer) {
    const { ids } = tokenizer.encode(prompt, { add_special_tokens: false });
    const at = ids.indexOf(index.cell);
    const cells = Array.from({ length: at < 0 ? 0 : index.grid ** 2 }, (_, i) => index.vocabulary + i);
    return at < 0 ? ids : [...ids.slice(0, at), ...cells, ...ids.slice(at + 1)];
  }

  // Where each token stands in time, height and width: a picture is one moment, as long as its side.
  function placesOf(ids, next) {
    const { grid, vocabulary } = index;
    const places = [[], [], []];
    for (const id of ids) {
      const cell = id - vocabulary;
      const place = cell < 0 ? [next, next, next] : [next, next + Math.floor(cell / grid), next + (cell % grid)];
      places.forEach((axis, i) => axis.push(place[i]));
      if (cell < 0) next += 1;
      else if (cell === grid ** 2 - 1) next += grid;
    }
    return { places: places.flat(), next };
  }

  // The likeliest token, or one that is drawn as the study draws it: top k, then the nucleus.
  function drawn(logits, temperature) {
    const order = [...logits.keys()].sort((a, b) => logits[b] - logits[a]);
    if (!temperature) return order[0];
    const kept = order.slice(0, index.top_k || order.length);
    const weights = kept.map((token) => Math.exp((logits[token] - logits[kept[0]]) / temperature));
    const total = weights.reduce((a, b) => a + b);
    let mass = 0, last = 0;
    while (last < weights.length && mass < index.top_p * total) mass += weights[last++];
    let point = Math.random() * mass;
    return kept[weights.findIndex((weight, i) => (point -= weight) < 0 || i === last - 1)];
  }

  async function talk(model, pixels, question, temperature, card) {
    const { ort, tokenizer } = await tools();
    const [eye, speaker] = await Promise.all([graph(`eye-${model.id}`), graph(`speaker-${model.id}`)]);
    const nothing = new ort.Tensor("float32", [], [0, model.hidden]);
    const picture = pixels && new ort.Tensor("uint8", pixels, [index.size, index.size, 4]);
    let seen = picture ? (await eye.run({ picture })).seen : nothing;
    let memory = new ort.Tensor("float32", [], model.memory);
    let ids = idsOf(model.prompts[picture ? 1 : 0].replace("{question}", () => question), tokenizer);
    let next = 0, spent = 0;
    const said = [];
    // One more token; false once the answer is complete.
    return async () => {
      const start = performance.now();
      const at = placesOf(ids, next);
      const { logits, grown } = await speaker.run({
        ids: new ort.Tensor("int32", Int32Array.from(ids), [ids.length]),
        places: new ort.Tensor("int32", Int32Array.from(at.places), [3, ids.length]),
        seen, memory,
      });
      const token = drawn(logits.data, temperature);
      said.push(token);
      [ids, next, seen, memory] = [[token], at.next, nothing, grown];
      spent += performance.now() - start;
      const ended = model.ends.includes(token);
      card.querySelector(".answer").textContent = tokenizer.decode(said, { skip_special_tokens: true });
      card.querySelector("small").textContent = `${said.length} tokens${ended ? "" : " so far"}, ` +
        `${Math.round((1000 * said.length) / spent)} per second`;
      return !ended && said.length < index.max_new_tokens;
    };
  }

  async function pixelsOf(picture) {
    await picture.decode();
    const canvas = element("canvas", { width: index.size, height: index.size });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(picture, 0, 0);
    return new Uint8Array(context.getImageData(0, 0, index.size, index.size).data.buffer);
  }

  async function ask() {
    const mine = ++asked;
    const cards = index.models.map((model) => {
      const name = element("b", { textContent: model.name });
      name.style.borderLeftColor = model.colour;
      return element("article", { id: `answer-${model.id}` },
        element("header", {}, name, element("small")), element("div", { className: "answer" }));
    });
    root.querySelector(".cards").replaceChildren(...cards);
    status.textContent = "Loading the models ...";
    try {
      const pixels = form.seen.checked ? await pixelsOf(form.querySelector("img")) : null;
      const temperature = Number(form.temperature.value);
      let talks = await Promise.all(index.models.map((model, i) =>
        talk(model, pixels, form.question.value, temperature, cards[i])));
      if (mine === asked) status.textContent = "Answering ...";
      let drawn = performance.now();
      while (talks.length && mine === asked) { // a token each in turn, and now and then the page is drawn
        const goes = [];
        for (const say of talks) if (await say()) goes.push(say);
        talks = goes;
        if (performance.now() - drawn > 30) {
          await new Promise((done) => setTimeout(done));
          drawn = performance.now();
        }
      }
      if (mine === asked) status.textContent = "Done.";
    } catch (error) {
      status.textContent = `The models do not run here: ${error.message}`;
      throw error;
    }
  }

  function choose() {
    const question = index.questions[form.chosen.value];
    form.question.value = question.question;
    form.querySelector("img").src = question.picture;
    form.querySelector(".key b").textContent = question.answer;
    asked += 1;
    root.querySelector(".cards").replaceChildren();
    status.textContent = "";
  }

  function draw() {
    const option = (value, textContent) => element("option", { value, textContent });
    const options = index.questions.map(({ id, kind }, i) => option(i, `${id}, ${kind}`));
    const heat = [0, index.temperature].map((value) => option(value, value));
    const seen = element("input", { type: "checkbox", name: "seen", checked: true });
    const picture = element("img", { className: "picture", alt: "the picture of the question" });
    const labelled = (text, input) => element("label", {}, text, input);
    form.append(
      element("div", { className: "filters" },
        labelled("question", element("select", { name: "chosen" }, ...options)),
        labelled("temperature", element("select", { name: "temperature" }, ...heat)),
        element("label", { className: "arm" }, seen, "with the picture"),
        element("button", { type: "submit", textContent: "ask" })),
      element("div", { className: "asked" },
        picture, element("div", {},
          element("textarea", { name: "question", rows: 6, ariaLabel: "the question, to change as you like" }),
          element("p", { className: "key" }, "Answer to the question as it was: ", element("b")))));
    form.addEventListener("submit", (event) => { event.preventDefault(); ask(); });
    form.chosen.addEventListener("change", choose);
    seen.addEventListener("change", () => picture.classList.toggle("hidden", !seen.checked));
    form.question.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    });
    choose();
  }

  chunks.json(folder, "index").then((content) => { index = content; draw(); });
})();
