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

const number = (value) =>
  value === null ? "" : Number.isInteger(value) ? value.toLocaleString("en") : String(+value.toPrecision(4));
const percent = (value) => `${+(100 * value).toPrecision(3)} %`;
const plain = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

function tile(sheet, place, width, tag = "span", attributes = {}) {
  const element = make(tag, { ...attributes, class: `tile sheet-${sheet.sheet} ${attributes.class || ""}` });
  const column = place % sheet.columns, row = Math.floor(place / sheet.columns);
  const share = (at, count) => (count > 1 ? (100 * at) / (count - 1) : 0);
  element.style.backgroundSize = `${100 * sheet.columns}% ${100 * sheet.rows}%`;
  element.style.backgroundPosition = `${share(column, sheet.columns)}% ${share(row, sheet.rows)}%`;
  element.style.aspectRatio = `${sheet.width} / ${sheet.height}`;
  if (width) element.style.width = `${width}px`;
  if (sheet.width >= 64) element.classList.add("photo");
  return element;
}

function widthOf(sheet, wanted) {
  return Math.round(wanted * Math.min(1, sheet.width / sheet.height));
}

function caption(sheet, place) {
  const label = new Set(sheet.labels).size > 1 ? sheet.labels[place] : null;
  return label === null ? sheet.names[place] : label;
}

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

function tipOf(sheet, place, x, y, ...more) {
  const lines = [sheet.labels[place], sheet.paths[place], ...more].filter((line) => line !== null);
  showTip(x, y, tile(sheet, place, widthOf(sheet, 112)), ...lines.map((line) => make("div", {}, line)));
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

function galleries(model) {
  const kinds = Object.entries(model.galleries);
  if (!kinds.length) return fill("galleries");
  const box = make("div", {});
  box.style.setProperty("--wipe", "50%");
  const slider = make("input", {
    type: "range", min: 0, max: 100, value: 50, "aria-label": "how much of the original is shown",
    oninput: () => box.style.setProperty("--wipe", `${slider.value}%`),
  });
  for (const [kind, gallery] of kinds) {
    const { originals, reconstructions } = gallery;
    const width = widthOf(originals, Math.max(84, Math.min(originals.height, 128)));
    const pairs = gallery.mse.map((mse, place) => {
      const over = tile(reconstructions, place, width, "span", { class: "over" });
      const both = make("div", {
        class: "stack",
        onpointermove: (event) => {
          const { left, width: wide } = both.getBoundingClientRect();
          both.style.setProperty("--wipe", `${(100 * (event.clientX - left)) / wide}%`);
        },
        onpointerleave: () => both.style.removeProperty("--wipe"),
      }, tile(originals, place, width), over);
      const title = `${originals.paths[place]}, mse ${number(mse)}`;
      const text = make("figcaption", {}, number(mse), make("div", { class: "named" }, caption(originals, place)));
      text.style.width = `${width}px`;
      return make("figure", { class: "pair", title }, both, text);
    });
    box.append(make("h3", {}, `${kind} by mse`), make("div", { class: "row" }, ...pairs));
  }
  fill("galleries",
    make("h2", {}, "Originals and reconstructions"),
    make("p", {}, "Left of the line is the original, right of it the reconstruction; the slider, or the pointer over an image, moves the line."),
    make("div", { class: "controls" }, make("label", {}, "reconstruction ", slider, " original")),
    box);
}

function decibels(psnr) {
  return psnr === null ? "no error" : `${psnr.toFixed(1)} dB`;
}

function rival(model) {
  const found = model.rival;
  if (!found) return fill("rival");
  const { originals } = found;
  const width = widthOf(originals, Math.max(84, Math.min(originals.height, 128)));
  const ofMse = (mse) => (mse ? (-10 * Math.log10(mse)).toFixed(1) : "no error");
  const picture = (sheet, place, text) =>
    make("figure", {}, tile(sheet, place, width), make("figcaption", {}, text));
  const triples = found.mse.map((mse, place) => make("div", { class: "triple" },
    picture(originals, place, "original"),
    picture(found.reconstructions, place, `code ${ofMse(mse)}`),
    picture(found.shrunk, place, `shrunk ${ofMse(found.shrunkMse[place])}`)));
  const better = found.psnr === null || found.psnr > found.shrunkPsnr;
  fill("rival",
    make("h2", {}, "Beside shrinking"),
    make("p", {}, `The original, its reconstruction from a code of ${found.numbers.toLocaleString("en")} numbers, and the image ` +
      `shrunk to ${found.small.join("x")} (area filter) and enlarged (Lanczos), with their PSNR in dB. ` +
      `Over ${found.images.toLocaleString("en")} images: ${decibels(found.psnr)} through the code, ${decibels(found.shrunkPsnr)} by shrinking` +
      `${better ? "" : ", which is better"}.`),
    make("div", { class: "row" }, ...triples));
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

function units(model) {
  const { units: found, code } = model;
  const { filters } = found;
  const grid = make("div", { class: "grid" });
  const roomy = found.counts.length <= 20 ? 96 : found.counts.length <= 100 ? 64 : 40;
  grid.style.setProperty("--cell", `${widthOf(filters, roomy)}px`);
  const detail = make("div", { class: "detail" });
  const buttons = found.counts.map((_, unit) => {
    const dead = code && code.active[unit] === 0;
    return tile(filters, unit, 0, "button", {
      class: dead ? "dead" : "", "aria-label": `unit ${unit}${dead ? ", dead" : ""}`, "data-unit": unit,
      onclick: () => select(unit),
    });
  });
  const orders = {
    "by number": () => 0,
    ...(code && {
      "by mean activation": (a, b) => code.rhoHat[b] - code.rhoHat[a],
      "by fraction of images": (a, b) => code.active[b] - code.active[a],
    }),
    "by largest activation": (a, b) => found.high[b] - found.high[a],
  };
  const arrange = (order) =>
    grid.replaceChildren(...buttons.map((_, unit) => unit).sort(order).map((unit) => buttons[unit]));
  const sort = make("select", { "aria-label": "order", onchange: () => arrange(orders[sort.value]) },
    ...Object.keys(orders).map((name) => make("option", {}, name)));

  function select(unit) {
    for (const button of buttons) button.setAttribute("aria-pressed", button === buttons[unit]);
    const lines = code
      ? `mean activation ${number(code.rhoHat[unit])}, active for ${percent(code.active[unit])} of the images`
      : `pre-activations between ${number(found.low[unit])} and ${number(found.high[unit])}`;
    const box = make("div", { class: "plot" });
    const strong = found.strongest[unit].map((place, rank) => [place, found.values[unit][rank]]).filter(([place]) => place >= 0);
    for (const old of detail.querySelectorAll(".js-plotly-plot")) drawn.delete(old);
    detail.replaceChildren(
      make("div", { class: "row" }, tile(filters, unit, widthOf(filters, 84)),
        make("div", { style: "flex: 1; min-width: 120px" }, make("h2", {}, `unit ${unit}`), make("p", { style: "margin: 0" }, lines))),
      make("h3", {}, code ? "activations other than 0" : "pre-activations"), box,
      make("h3", {}, strong.length ? "images with the largest activations" : "no image activates it"),
      make("div", { class: "row strongest" }, ...strong.map(([place, value]) => {
        const text = make("figcaption", {}, number(value));
        return make("figure", {
          class: "strong", onpointermove: (event) => tipOf(model.sample, place, event.clientX, event.clientY),
          onpointerleave: hideTip,
        }, tile(model.sample, place, widthOf(model.sample, 56)), text);
      })));
    const counts = found.counts[unit], step = (found.high[unit] - found.low[unit]) / counts.length || 1;
    plot(box, [{
      type: "bar", x: counts.map((_, bin) => found.low[unit] + (bin + 0.5) * step), y: counts, width: step,
      marker: { color: COLOURS[0] }, hovertemplate: "%{y} images near %{x:.3g}<extra></extra>",
    }], { margin: { l: 40, r: 8, t: 6, b: 28 }, bargap: 0 });
  }

  fill("units",
    make("h2", {}, "Filters"),
    make("p", {}, `${found.total > buttons.length ? `The first ${buttons.length} of ${number(found.total)} units` : `${found.total} units`}: ` +
      (found.drawn ? "what the unit adds to the image, on mid-grey" : "a bright pixel increases the activation of the unit, a dark one decreases it") + (code ? "; dead units are crossed out" : "") +
      ". Click one for its activations, and the images of the sample with the largest ones."),
    make("div", { class: "controls" }, sort),
    make("div", { class: "units" }, grid, detail));
  arrange(orders["by number"]);
  select(Math.max(0, code ? code.active.slice(0, buttons.length).findIndex((share) => share > 0) : 0));
}

function codeStatistics(model) {
  const { code } = model;
  if (!code) return fill("code");
  const [means, actives] = [make("div", { class: "plot" }), make("div", { class: "plot" })];
  const dead = code.active.filter((share) => share === 0).length;
  const mean = code.rhoHat.reduce((a, b) => a + b, 0) / code.rhoHat.length;
  fill("code",
    make("h2", {}, "The code"),
    make("p", {}, `${code.rhoHat.length} units with a mean activation of ${number(mean)}` +
      (code.target === null ? "" : `, against rho = ${number(code.target)}`) + `; ${dead} dead.`),
    make("div", { class: "plots" },
      chart("mean activation of each unit (rho_hat), the largest first", means),
      chart("active units per image (l0), of the sample", actives)));
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
  plot(actives, [{ type: "histogram", x: code.l0, marker: { color: COLOURS[0] }, hovertemplate: "%{y} images, %{x} units<extra></extra>" }], {
    xaxis: { title: { text: "units" } }, yaxis: { title: { text: "images" } }, bargap: 0.05,
  });
}

function map(model) {
  const { sample, maps } = model;
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
        mode: "markers", name: plain(label === null ? "images" : label), hoverinfo: "none",
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
    box.on("plotly_hover", ({ points, event }) => tipOf(sample, points[0].customdata, event.clientX, event.clientY));
    box.on("plotly_unhover", hideTip);
  }

  const of = model.code ? "codes" : "features before the last layer";
  fill("map",
    make("h2", {}, "Map"),
    make("p", {}, `The ${of} of ${number(sample.count)} of the ${number(model.images)} images in two dimensions. Point at one to see its image.`),
    ...(names.length > 1 ? [make("div", { class: "controls" }, ...buttons)] : []),
    box);
  draw(names[names.length - 1]);
}

/* ---- drawing it all ---- */

function show(model) {
  [...document.getElementById("models").children].forEach((button, place) =>
    button.setAttribute("aria-pressed", page.models[place] === model));
  for (const section of [about, galleries, rival, confusion, units, codeStatistics, map]) section(model);
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
