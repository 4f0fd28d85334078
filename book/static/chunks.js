// Data that come as scripts (see book/chunks.py): each chunk is loaded once, when it is first asked for.
"use strict";

const chunks = (() => {
  const waiting = new Map(); // name -> resolve
  const known = new Map(); // name -> promise of a blob

  async function take(name, packed) {
    const { body } = await fetch(`data:;base64,${packed}`);
    waiting.get(name)(await new Response(body.pipeThrough(new DecompressionStream("gzip"))).blob());
  }

  function load(folder, name) {
    if (!known.has(name)) {
      known.set(name, new Promise((resolve, reject) => {
        waiting.set(name, resolve);
        const script = document.createElement("script");
        script.src = `${folder}${name}.js`;
        script.onload = () => script.remove();
        script.onerror = () => reject(new Error(`${script.src} is missing`));
        document.head.append(script);
      }));
    }
    return known.get(name);
  }

  const json = async (folder, name) => JSON.parse(await (await load(folder, name)).text());
  return { take, load, json };
})();
