/* ---- vectors: rows by their names, directions, errors ---- */

const labelled = ({ labels }) => new Set(labels).size > 1;

function pathWith(sample, place, lines) {
  const said = [labelled(sample) ? sample.labels[place] : null, sample.paths[place], `${sample.error} ${number(sample.errors[place])}`, ...lines];
  return said.filter((line) => line !== null).map((line) => make("div", {}, line));
}

function tableOf(heads, rows) {
  return make("div", { class: "wide" }, make("table", { class: "named-rows" },
    make("thead", {}, make("tr", {}, ...heads.map((text) => make("th", {}, text)))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((text) => make("td", {}, text)))))));
}

/* A table of vectors by their places, each with further cells before its error. */
function tableOfVectors(sample, rows, more = []) {
  const label = labelled(sample);
  return tableOf(["vector", ...(label ? ["label"] : []), ...more, sample.error], rows.map(([place, ...cells]) => [
    sample.paths[place], ...(label ? [sample.labels[place] ?? ""] : []), ...cells, number(sample.errors[place]),
  ]));
}

/* The units of a code as numbers, each with the vectors that activate it most. */
function inputsOf({ units: found, code }) {
  const { total, numbers, inputs, nearest, cosines, features, weights } = found;
  return {
    title: "Units of the code", cell: 58, order: "by what they add",
    intro: `${numbers.length < total ? `${number(numbers.length)} of ${number(total)} units` : `${total} units`}, ` +
      "those first that add most to the reconstructions; the bar is the fraction of the vectors for which a unit is active. " +
      "Click one for the vectors that activate it most.",
    button: (place, attributes) => {
      const button = make("button", attributes, String(numbers[place]));
      button.style.setProperty("--share", `${100 * code.active[numbers[place]]}%`);
      return button;
    },
    head: () => [],
    strongest: (places) => make("div", { class: "strongest" },
      tableOfVectors(inputs, places.map(([at, value]) => [at, number(value)]), ["activation"])),
    more: (place, select) => [
      ...(features ? [
        make("h3", {}, "columns that it changes most, by the weight in its direction"),
        tableOf(["column", "weight"], features[place].map((name, rank) => [name, number(weights[place][rank])])),
      ] : []),
      ...(nearest ? [
        make("h3", {}, "nearest units, by the cosine of their directions"),
        make("div", { class: "near" }, ...nearest[place].map((unit, rank) => make("button", {
          onclick: () => select(unit), disabled: numbers.includes(unit) ? null : "",
        }, `${unit}: ${cosines[place][rank].toFixed(2)}`))),
      ] : []),
    ],
  };
}

/* Further histograms of a code: how often units are active, and how much. */
function histogramsOf({ code, activations }) {
  const often = code.active.filter((share) => share > 0).map(Math.log10);
  const { edges, counts } = activations;
  const bars = (x, y, width, text) => (box) => plot(box, [{
    type: "bar", x, y, width, marker: { color: COLOURS[0] }, hovertemplate: text,
  }], { bargap: 0, xaxis: { title: { text: "log10" } } });
  const middles = counts.map((_, bin) => (edges[bin] + edges[bin + 1]) / 2);
  const density = (box) => plot(box, [{
    type: "histogram", x: often, marker: { color: COLOURS[0] }, hovertemplate: "%{y} units near 10^%{x}<extra></extra>",
  }], { bargap: 0.05, xaxis: { title: { text: "log10" } }, yaxis: { title: { text: "units" } } });
  return [
    ["density: fraction of the vectors for which each unit is active, without dead ones", make("div", { class: "plot" }), density],
    ["magnitude of the activations other than 0, of the sample", make("div", { class: "plot" }),
      bars(middles, counts, edges[1] - edges[0], "%{y} activations near 10^%{x:.2f}<extra></extra>")],
  ];
}

function columns(model) {
  const found = model.columns;
  if (!found || !found.names.length) return fill("columns");
  const box = make("div", { class: "plot" });
  box.style.height = `${70 + 20 * found.names.length}px`;
  const some = found.names.length < found.total ? `The ${found.names.length} of ${found.total} columns` : "Columns, those first";
  fill("columns",
    make("h2", {}, "Error by column"),
    make("p", {}, `${some} that the reconstructions explain least: 1 - squared error / variation around the mean.`),
    box);
  const low = Math.min(0, ...found.explained);
  plot(box, [{
    type: "bar", orientation: "h", y: found.names.map((_, place) => place), x: found.explained,
    text: found.explained.map((value) => value.toFixed(3)), textposition: "outside", cliponaxis: false, customdata: found.names.map(plain),
    marker: { color: COLOURS[0] }, hovertemplate: "%{customdata}: %{x}<extra></extra>",
  }], {
    margin: { l: 8, r: 16, t: 6, b: 40 }, bargap: 0.2,
    xaxis: { range: [Math.max(low, -1) - (low < 0 ? 0.12 : 0), 1.1], title: { text: "explained variance" } },
    yaxis: {
      autorange: "reversed", tickvals: found.names.map((_, place) => place),
      ticktext: found.names.map((name) => plain(name.length > 28 ? `${name.slice(0, 27)}…` : name)),
    },
  });
}

function directions(model) {
  const found = model.directions;
  if (!found) return fill("directions");
  const box = make("div", { class: "plot tall" });
  const names = Object.keys(found.maps);
  const buttons = names.map((name) => make("button", { onclick: () => draw(name) }, name.toUpperCase().replace("TSNE", "t-SNE")));
  const often = found.units.map((unit) => model.code.active[unit]);

  function draw(name) {
    buttons.forEach((button, place) => button.setAttribute("aria-pressed", names[place] === name));
    drawn.delete(box);
    plot(box, [{
      x: found.maps[name].map(([x]) => x), y: found.maps[name].map(([, y]) => y),
      mode: "markers", type: "scatter", customdata: found.units,
      text: found.units.map((unit, place) => `unit ${unit}, active for ${percent(often[place])}`),
      hovertemplate: "%{text}<extra></extra>",
      marker: {
        size: found.units.length < 300 ? 9 : 6, opacity: 0.8, color: often.map(Math.log10), colorscale: "Viridis",
        showscale: true, colorbar: { title: { text: "log10 of density", side: "right" }, thickness: 12, len: 0.8 },
      },
    }], {
      hovermode: "closest", dragmode: "pan", margin: { l: 4, r: 4, t: 10, b: 10 },
      xaxis: { visible: false }, yaxis: { visible: false },
    });
    box.removeAllListeners("plotly_click");
    box.on("plotly_click", ({ points }) => {
      if (model.selectUnit(points[0].customdata)) document.getElementById("units").scrollIntoView();
    });
  }

  const some = found.units.length < model.code.active.length ? `${number(found.units.length)} of ${number(model.code.active.length)} units` : "all units";
  fill("directions",
    make("h2", {}, "Directions of the decoder"),
    make("p", {}, `The directions of ${some}, of length 1, in two dimensions; PCA shows ${percent(found.explained)} of their ` +
      "variance. The colour is the fraction of the vectors for which a unit is active. Click a unit to see its vectors above."),
    ...(names.length > 1 ? [make("div", { class: "controls" }, ...buttons)] : []),
    box);
  draw(names[names.length - 1]);
}

function worst(model) {
  const found = model.worst;
  if (!found) return fill("worst");
  fill("worst",
    make("h2", {}, "Largest errors"),
    make("p", {}, `The ${found.count} vectors with the largest ${found.error}: outliers, or what the model has not learnt. eval --per-row FILE --sort gives all.`),
    tableOfVectors(found, found.paths.map((_, place) => [place])));
}
