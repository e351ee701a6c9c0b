/* ---- a model as a detector of anomalies ---- */

const KINDS = { "normal, for calibration": COLOURS[9], normal: COLOURS[0], anomalous: COLOURS[1] };

function scoresOf(box, found) {
  const all = Object.values(found.scores).flat();
  const start = Math.min(...all), size = (Math.max(...all) - start) / 50 || 1;
  const traces = Object.entries(found.scores).filter(([, values]) => values.length).map(([name, values]) => ({
    type: "histogram", x: values, name, opacity: 0.65, histnorm: "percent", marker: { color: KINDS[name] },
    xbins: { start, end: start + 51 * size, size }, hovertemplate: `%{y:.3g} % near %{x}<extra>${name}</extra>`,
  }));
  const line = found.threshold === null ? [] : [{
    type: "line", yref: "paper", y0: 0, y1: 1, x0: found.threshold, x1: found.threshold, line: { color: COLOURS[2], width: 2, dash: "dash" },
  }];
  const note = found.threshold === null ? [] : [{
    yref: "paper", y: 1, yanchor: "bottom", x: found.threshold, text: "threshold", showarrow: false, font: { color: COLOURS[2] },
  }];
  plot(box, traces, {
    barmode: "overlay", showlegend: true, legend: { orientation: "v", x: 1, xanchor: "right", y: 1, bgcolor: "rgba(0,0,0,0)" }, bargap: 0, shapes: line, annotations: note,
    xaxis: { title: { text: "score" } }, yaxis: { title: { text: "percent of the inputs" } },
  });
}

function curveOf(box, [x, y], across, upwards, shape, guess) {
  plot(box, [
    { x, y, mode: "lines", line: { color: COLOURS[0], shape }, hovertemplate: `${across} %{x:.3g}<br>${upwards} %{y:.3g}<extra></extra>` },
    ...(guess ? [{ x: [0, 1], y: [0, 1], mode: "lines", line: { color: COLOURS[9], dash: "dot" }, hoverinfo: "skip" }] : []),
  ], {
    xaxis: { title: { text: across }, range: [-0.01, 1.01] }, yaxis: { title: { text: upwards }, range: [0, 1.02] },
  });
}

function suspectsOf({ suspects, maps }) {
  const numbers = (score, p) => `score ${number(score)}, p-value ${number(p)}`;
  if (maps) {
    return make("div", { class: "row" }, ...suspects.map(([name, path, label, score, p], place) =>
      make("figure", { class: "suspect", title: path }, tile(maps, place, 0),
        make("figcaption", {}, make("b", {}, label), ` ${name}`, make("div", {}, numbers(score, p))))));
  }
  const head = make("tr", {}, ...["path", "label", "score", "p-value"].map((text) => make("th", {}, text)));
  return make("div", { class: "wide" }, make("table", { class: "named-rows" }, make("thead", {}, head),
    make("tbody", {}, ...suspects.map(([name, path, label, score, p]) =>
      make("tr", { title: path }, ...[name, label, number(score), number(p)].map((text) => make("td", {}, text)))))));
}

function detection(model) {
  const found = model.detection;
  if (!found) return fill("detection");
  const boxes = [0, 1, 2].map(() => make("div", { class: "plot" }));
  const titles = ["scores", "ROC curve", "precision and recall"];
  const rate = found.threshold === null
    ? `They are too few for an alarm rate of ${found.rate}.`
    : `Above ${number(found.threshold)}, an input is flagged; of further normal ones at most ${percent(found.rate)} are.`;
  fill("detection",
    make("h2", {}, "Detection of anomalies"),
    make("p", {}, `The score "${found.score}" is calibrated on ${number(found.calibrating)} normal ${model.noun}. ${rate}`),
    make("div", { class: "plots" }, ...titles.map((title, place) => chart(title, boxes[place]))),
    make("h3", {}, `the ${model.noun} with the highest scores`),
    ...(found.maps ? [make("p", {}, "Beside each image its heat map: yellow is the threshold of a pixel, red three times as much, and what is above it is outlined.")] : []),
    suspectsOf(found));
  scoresOf(boxes[0], found);
  curveOf(boxes[1], found.roc, "fraction of normal inputs flagged", "fraction of anomalies found", "linear", true);
  curveOf(boxes[2], found.precisionRecall, "fraction of anomalies found (recall)", "precision", "hv", false);
}
