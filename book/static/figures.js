// Figures follow the theme: what plotly draws in ink is drawn in the page's colour, on no ground of its own.
"use strict";

function inkFigures() {
  const dark = document.documentElement.dataset.theme === "dark";
  const ink = dark ? "#dddddd" : "#333333";
  for (const figure of document.querySelectorAll(".js-plotly-plot")) {
    const change = { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", "font.color": ink };
    for (const axis of Object.keys(figure.layout).filter((name) => /^[xy]axis\d*$/.test(name))) {
      for (const part of ["linecolor", "tickcolor"]) change[`${axis}.${part}`] = ink;
    }
    Plotly.relayout(figure, change);
  }
}

window.addEventListener("load", () => {
  inkFigures();
  new MutationObserver(inkFigures).observe(document.documentElement, { attributeFilter: ["data-theme"] });
});
