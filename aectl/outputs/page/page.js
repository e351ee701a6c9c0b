"use strict";

const page = JSON.parse(document.getElementById("data").textContent);
const COLOURS = [
  "#4e79a7", "#f28e2b", "#e15759", "#76b7b2", "#59a14f",
  "#d4a81c", "#b07aa1", "#ff7f9c", "#9c755f", "#8c8c8c",
];
const BUTTONS = [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]];
const DASHES = ["solid", "dot", "dash", "dashdot"];
const drawn = new Set();

/* ---- small things that everything is made of ---- */

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function fill(id, ...children) {
  const section = document.getElementById(id);
  for (const plot of section.querySelectorAll(".js-plotly-plot")) {
    drawn.delete(plot);
    Plotly.purge(plot);
  }
  section.replaceChildren(...children);
}

const one = (noun) => noun.slice(0, -1);
const number = (value) =>
  value === null ? "" : Number.isInteger(value) ? value.toLocaleString("en") : String(+value.toPrecision(4));
const percent = (value) => `${+(100 * value).toPrecision(3)} %`;
const plain = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

/* ---- the tip that follows the pointer ---- */

const tip = document.getElementById("tip");

function showTip(x, y, ...children) {
  tip.replaceChildren(...children);
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - box.width - 4))}px`;
  tip.style.top = `${Math.max(4, y + 14 + box.height > innerHeight ? y - box.height - 14 : y + 14)}px`;
}

function hideTip() {
  tip.hidden = true;
}

/* ---- plots, in the colours of the page ---- */

function chart(title, box) {
  return make("div", { class: "chart" }, make("h3", {}, title), box);
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  const [ink, faint, line, card] = ["--ink", "--faint", "--line", "--card"].map((name) => style.getPropertyValue(name).trim());
  const axis = { gridcolor: line, zerolinecolor: line, linecolor: line };
  return {
    font: { color: ink }, xaxis: axis, yaxis: axis, legend: { font: { color: ink } },
    hoverlabel: { bgcolor: card, bordercolor: line, font: { color: ink } },
    modebar: { color: faint, activecolor: ink, bgcolor: "rgba(0,0,0,0)" },
  };
}

function merged(one, other) {
  const both = { ...one };
  for (const [name, value] of Object.entries(other)) {
    const nested = value && typeof value === "object" && !Array.isArray(value);
    both[name] = nested ? merged(one[name] || {}, value) : value;
  }
  return both;
}

function plot(element, traces, layout) {
  const base = {
    margin: { l: 52, r: 12, t: 30, b: 40 }, paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)", font: { family: "inherit", size: 12 }, showlegend: false,
    legend: { orientation: "h", y: -0.3 }, xaxis: { automargin: true }, yaxis: { automargin: true },
    hoverlabel: { namelength: -1 },
  };
  const config = { responsive: true, displaylogo: false, modeBarButtons: BUTTONS };
  Plotly.newPlot(element, traces, merged(merged(base, colours()), layout), config);
  drawn.add(element);
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const element of drawn) Plotly.relayout(element, flat(colours()));
});

function flat(nested, before = "") {
  return Object.entries(nested).reduce((all, [name, value]) => ({
    ...all,
    ...(typeof value === "object" ? flat(value, `${before}${name}.`) : { [before + name]: value }),
  }), {});
}

/* ---- the sections ---- */

function about(model) {
  const copy = make("button", {
    onclick: async () => {
      await navigator.clipboard.writeText(model.command);
      copy.textContent = "copied";
    },
  }, "copy");
  const command = make("div", { class: "command" }, make("code", {}, model.command), copy);
  const results = Object.entries(model.results).map(([name, value]) =>
    make("div", { class: "result" }, make("b", {}, typeof value === "string" ? value : number(value)), make("span", {}, name)));
  const facts = model.facts.map(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]);
  fill("about",
    ...(page.models.length > 1 ? [make("h2", {}, model.name)] : []),
    make("p", {}, model.measuredOn),
    make("div", { class: "results" }, ...results),
    ...(model.command ? [command] : []),
    make("dl", {}, ...facts.flat()));
}

function comparison() {
  if (page.models.length < 2) return;
  const [head, ...rows] = page.table;
  const cell = (tag, column) => (text) =>
    make(tag, { class: head[column] === "difference" ? "difference" : null }, text);
  const line = (row) => make("tr", {}, ...row.map((text, column) => cell(column ? "td" : "th", column)(text)));
  fill("comparison",
    make("h2", {}, "Side by side"),
    make("p", {}, "Differences are from the first column; several seeds are shown as mean ± standard deviation."),
    make("div", { class: "wide" }, make("table", {},
      make("thead", {}, make("tr", {}, ...head.map((text) => make("th", {}, text)))),
      make("tbody", {}, ...rows.map(line)))));
}

/* The columns to show: not the only term of a loss, which is equal to the loss. */
function shown(metrics, names) {
  const [whole, ...terms] = names.filter((name) => name in metrics);
  const again = terms.length === 1 && String(metrics[whole]) === String(metrics[terms[0]]);
  return whole === undefined ? [] : again ? [whole] : [whole, ...terms];
}

function curves() {
  const models = page.models.filter((model) => (model.metrics.epoch || []).length);
  const plots = Object.entries(page.panels).map(([title, names]) => {
    const traces = models.flatMap((model) => shown(model.metrics, names).map((name, place) => ({
      x: model.metrics.epoch, y: model.metrics[name],
      name: plain(models.length > 1 ? `${model.name} ${name}` : name),
      mode: model.metrics.epoch.length > 1 ? "lines" : "markers",
      line: {
        color: COLOURS[(models.length > 1 ? page.models.indexOf(model) : place) % COLOURS.length],
        dash: models.length > 1 ? DASHES[place % DASHES.length] : "solid",
      },
    })));
    return [title, traces];
  }).filter(([, traces]) => traces.length);
  if (!plots.length) return;
  const boxes = plots.map(() => make("div", { class: "plot" }));
  const charts = plots.map(([title], place) => chart(title, boxes[place]));
  const epochs = Math.max(...models.map((model) => model.metrics.epoch.length));
  fill("curves",
    make("h2", {}, "Training"),
    make("p", {}, "By epoch. Point at a curve for its values; drag to zoom, double-click to zoom out."),
    make("div", { class: "plots" }, ...charts));
  plots.forEach(([, traces], place) => {
    const values = traces.flatMap((trace) => trace.y).filter((value) => value !== null);
    const low = Math.min(...values), high = Math.max(...values);
    plot(boxes[place], traces, {
      hovermode: "x unified",
      xaxis: epochs < 9 ? { dtick: 1 } : {}, legend: { y: -0.15 }, showlegend: traces.length > 1,
      yaxis: low > 0 && high > 10 * low ? { type: "log", dtick: 1, exponentformat: "power" } : { rangemode: "normal" },
    });
  });
}

function confusion(model) {
  if (!model.confusion) return fill("confusion");
  const mistakes = make("div", { class: "row" });
  const heading = make("h3", {}, "");
  const show = (label, prediction) => {
    const found = model.mistakes.filter(([, a, b]) => a === label && b === prediction);
    heading.textContent = `${model.classes[label]}, predicted as ${model.classes[prediction]}: ` +
      `${found.length} of ${model.confusion[label][prediction]}`;
    mistakes.replaceChildren(...found.map(([place, , , probability]) => {
      const sheet = model.mistaken, width = widthOf(sheet, 84);
      const text = make("figcaption", {}, percent(probability));
      text.style.width = `${width}px`;
      return make("figure", { class: "strong", title: sheet.paths[place] }, tile(sheet, place, width), text);
    }));
  };
  const cells = (row, label) => row.map((count, prediction) => {
    const share = count / Math.max(1, row.reduce((a, b) => a + b, 0));
    const colour = label === prediction ? "--good" : "--bad";
    const strength = count ? Math.round(100 * (label === prediction ? 0.55 * share : Math.min(1, 0.15 + 8 * share))) : 0;
    const inside = count && label !== prediction
      ? make("button", {
          onclick: () => show(label, prediction),
          "aria-label": `${model.classes[label]} predicted as ${model.classes[prediction]}: ${count}`,
        }, number(count))
      : make("span", {}, count ? number(count) : "");
    const cell = make("td", {}, inside);
    cell.style.background = `color-mix(in srgb, var(${colour}) ${strength}%, var(--card))`;
    return cell;
  });
  const name = (text) => make("th", { title: text }, text);
  const ofClasses = Object.entries(model.ofClasses);
  const share = (value) => make("td", { class: "share" }, value === null ? "none" : percent(value));
  const head = make("tr", {}, make("th", {}), ...model.classes.map(name), ...ofClasses.map(([title]) => name(title)));
  const rows = model.confusion.map((row, label) => make("tr", {},
    name(model.classes[label]), ...cells(row, label), ...ofClasses.map(([, values]) => share(values[label]))));
  fill("confusion",
    make("h2", {}, "Confusion"),
    make("p", {}, "A row is a true class, a column a prediction. Click a mistake to see its images, with the probability of the wrong class."),
    make("div", { class: "wide" }, make("table", { class: `confusion ${model.classes.length > 20 ? "many" : ""}` }, head, ...rows)),
    heading, mistakes);
  const worst = model.mistakes.map(([, a, b]) => [model.confusion[a][b], a, b]).sort((a, b) => b[0] - a[0])[0];
  if (worst) show(worst[1], worst[2]);
}

/* How the inputs of each modality, and the units of their codes, are shown. */
const LOOKS = {
  images: { units: filtersOf, tip: tileWith },
  texts: { units: sentencesOf, tip: sentenceWith },
  vectors: { units: inputsOf, tip: pathWith },
};

function units(model) {
  const { units: found, code, noun } = model;
  if (!found) return fill("units");
  const look = LOOKS[noun].units(model);
  const number_of = (place) => (found.numbers ? found.numbers[place] : place);
  const grid = make("div", { class: "grid" });
  grid.style.setProperty("--cell", `${look.cell}px`);
  const detail = make("div", { class: "detail" });
  const buttons = found.counts.map((_, place) => {
    const unit = number_of(place), dead = code && code.active[unit] === 0;
    return look.button(place, {
      class: dead ? "dead" : "", "aria-label": `unit ${unit}${dead ? ", dead" : ""}`, "data-unit": unit,
      onclick: () => select(place),
    });
  });
  const byUse = (a, b) => code.active[number_of(b)] - code.active[number_of(a)];
  const orders = {
    ...(look.order ? { [look.order]: () => 0 } : {}),
    "by number": (a, b) => number_of(a) - number_of(b),
    ...(code && {
      "by mean activation": (a, b) => code.rhoHat[number_of(b)] - code.rhoHat[number_of(a)],
      ...(look.order === "by use" ? {} : { [`by fraction of ${noun}`]: byUse }),
    }),
    "by largest activation": (a, b) => found.high[b] - found.high[a],
  };
  const arrange = (order) =>
    grid.replaceChildren(...buttons.map((_, place) => place).sort(order).map((place) => buttons[place]));
  const sort = make("select", { "aria-label": "order", onchange: () => arrange(orders[sort.value]) },
    ...Object.keys(orders).map((name) => make("option", {}, name)));

  function select(place) {
    const unit = number_of(place);
    for (const button of buttons) button.setAttribute("aria-pressed", button === buttons[place]);
    const lines = code
      ? `mean activation ${number(code.rhoHat[unit])}, active for ${percent(code.active[unit])} of the ${noun}`
      : `pre-activations between ${number(found.low[place])} and ${number(found.high[place])}`;
    const box = make("div", { class: "plot" });
    const strong = found.strongest[place].map((at, rank) => [at, found.values[place][rank], rank]).filter(([at]) => at >= 0);
    for (const old of detail.querySelectorAll(".js-plotly-plot")) drawn.delete(old);
    detail.replaceChildren(
      make("div", { class: "row" }, ...look.head(place),
        make("div", { style: "flex: 1; min-width: 120px" }, make("h2", {}, `unit ${unit}`), make("p", { style: "margin: 0" }, lines))),
      make("h3", {}, code ? "activations other than 0" : "pre-activations"), box,
      make("h3", {}, strong.length ? `${noun} with the largest activations` : `no ${one(noun)} activates it`),
      look.strongest(strong, place), ...(look.more ? look.more(place, selectUnit) : []));
    const counts = found.counts[place], step = (found.high[place] - found.low[place]) / counts.length || 1;
    plot(box, [{
      type: "bar", x: counts.map((_, bin) => found.low[place] + (bin + 0.5) * step), y: counts, width: step,
      marker: { color: COLOURS[0] }, hovertemplate: `%{y} ${noun} near %{x:.3g}<extra></extra>`,
    }], { margin: { l: 40, r: 8, t: 6, b: 28 }, bargap: 0 });
  }

  function selectUnit(unit) {
    const place = buttons.findIndex((_, at) => number_of(at) === unit);
    if (place >= 0) select(place);
    return place >= 0;
  }

  model.selectUnit = selectUnit;
  fill("units",
    make("h2", {}, look.title),
    make("p", {}, look.intro),
    make("div", { class: "controls" }, sort),
    make("div", { class: `units of-${noun}` }, grid, detail));
  arrange(Object.values(orders)[0]);
  select(Math.max(0, code ? buttons.findIndex((_, place) => code.active[number_of(place)] > 0) : 0));
}

function codeStatistics(model) {
  const { code } = model;
  if (!code) return fill("code");
  const [means, actives] = [make("div", { class: "plot" }), make("div", { class: "plot" })];
  const more = model.noun === "vectors" ? histogramsOf(model) : [];
  const dead = code.active.filter((share) => share === 0).length;
  const mean = code.rhoHat.reduce((a, b) => a + b, 0) / code.rhoHat.length;
  fill("code",
    make("h2", {}, "The code"),
    make("p", {}, `${code.rhoHat.length} units with a mean activation of ${number(mean)}` +
      (code.target === null ? "" : `, against rho = ${number(code.target)}`) + `; ${dead} dead.`),
    make("div", { class: "plots" },
      chart("mean activation of each unit (rho_hat), the largest first", means),
      chart(`active units per ${one(model.noun)} (l0), of the sample`, actives),
      ...more.map(([title, box]) => chart(title, box))));
  more.forEach(([, box, draw]) => draw(box));
  const sorted = [...code.rhoHat].sort((a, b) => b - a);
  const line = code.target === null ? [] : [{
    type: "line", xref: "paper", x0: 0, x1: 1, y0: code.target, y1: code.target, line: { color: COLOURS[2], width: 2, dash: "dash" },
  }];
  const note = code.target === null ? [] : [{
    xref: "paper", x: 1, xanchor: "right", y: code.target, yanchor: "bottom", text: "rho", showarrow: false, font: { color: COLOURS[2] },
  }];
  plot(means, [{ y: sorted, mode: "lines", fill: "tozeroy", hovertemplate: "%{y:.3g}<extra></extra>", line: { color: COLOURS[0] } }], {
    xaxis: { title: { text: "units" } }, yaxis: { rangemode: "tozero" }, shapes: line, annotations: note,
  });
  plot(actives, [{ type: "histogram", x: code.l0, marker: { color: COLOURS[0] }, hovertemplate: `%{y} ${model.noun}, %{x} units<extra></extra>` }], {
    xaxis: { title: { text: "units" } }, yaxis: { title: { text: model.noun } }, bargap: 0.05,
  });
}

function map(model) {
  const { sample, maps, noun } = model;
  if (!Object.keys(maps).length) return fill("map");
  const box = make("div", { class: "plot tall" });
  const names = Object.keys(maps);
  const buttons = names.map((name) => make("button", { onclick: () => draw(name) }, name.toUpperCase().replace("TSNE", "t-SNE")));
  const labels = [...new Set(sample.labels)].sort((a, b) => String(a).localeCompare(String(b), "en", { numeric: true }));
  const shown = labels.length <= 30 ? labels : [null];

  function draw(name) {
    buttons.forEach((button, place) => button.setAttribute("aria-pressed", names[place] === name));
    const traces = shown.map((label, place) => {
      const places = sample.labels.map((_, at) => at).filter((at) => shown.length === 1 || sample.labels[at] === label);
      return {
        x: places.map((at) => maps[name][at][0]), y: places.map((at) => maps[name][at][1]), customdata: places,
        mode: "markers", name: plain(label === null ? noun : label), hoverinfo: "none",
        marker: { size: sample.count < 500 ? 9 : 6, opacity: 0.8, color: COLOURS[place % COLOURS.length], symbol: ["circle", "square", "diamond"][Math.floor(place / COLOURS.length)] },
      };
    });
    drawn.delete(box);
    plot(box, traces, {
      showlegend: shown.length > 1, hovermode: "closest", dragmode: "pan", margin: { l: 4, r: 4, t: 10 },
      legend: { orientation: "h", y: -0.06 },
      xaxis: { visible: false }, yaxis: { visible: false },
    });
    box.removeAllListeners("plotly_hover");
    box.removeAllListeners("plotly_unhover");
    const inTip = LOOKS[noun].tip;
    box.on("plotly_hover", ({ points, event }) =>
      showTip(event.clientX, event.clientY, ...inTip(sample, points[0].customdata, [])));
    box.on("plotly_unhover", hideTip);
  }

  const of = model.code ? "codes" : "features before the last layer";
  fill("map",
    make("h2", {}, "Map"),
    make("p", {}, `The ${of} of ${number(sample.count)} of the ${number(model.count)} ${noun} in two dimensions. Point at one to see its ${one(noun)}.`),
    ...(names.length > 1 ? [make("div", { class: "controls" }, ...buttons)] : []),
    box);
  draw(names[names.length - 1]);
}

/* ---- drawing it all ---- */

function show(model) {
  [...document.getElementById("models").children].forEach((button, place) =>
    button.setAttribute("aria-pressed", page.models[place] === model));
  for (const section of [about, examples, galleries, rival, detection, confusion, columns, units, codeStatistics, directions, map, worst]) section(model);
}

async function loadPlotly() {
  const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  document.head.append(make("script", {}, await new Response(stream).text()));
}

async function start() {
  await loadPlotly();
  if (page.models.length > 1) {
    document.getElementById("models").append(
      ...page.models.map((model) => make("button", { onclick: () => show(model) }, model.name)));
  }
  comparison();
  curves();
  show(page.models[0]);
  document.body.dataset.ready = "yes";
}

addEventListener("scroll", hideTip, { passive: true });
start();
