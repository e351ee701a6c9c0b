/* ---- text: sentences with marked words ---- */

/* Words as a line, some of them marked: `marks` gives the class of a word by its index. */
function sentence(words, marks = {}, tag = "div") {
  const line = make(tag, { class: "sentence", dir: "auto" });
  words.forEach((word, place) => line.append(
    ...(place ? [" "] : []),
    marks[place] ? make("span", { class: marks[place] }, word) : word));
  return line;
}

const marked = (places, name) => Object.fromEntries(places.map((place) => [place, name]));

function sentenceWith(sample, place, lines) {
  const label = new Set(sample.labels).size > 1 ? sample.labels[place] : null;
  const said = [label, sample.paths[place], ...lines].filter((line) => line !== null);
  return [sentence(sample.words[place]), ...said.map((line) => make("div", { class: "faint" }, line))];
}

function examples(model) {
  const kinds = Object.entries(model.examples || {});
  if (!kinds.length) return fill("examples");
  const all = kinds.flatMap(([, found]) => found);
  const keeps = all.some((example) => example.kept.length), shorter = all.some((example) => example.shorter !== null);
  const row = (example) => {
    const marks = marked(example.lost, "lost");
    for (const place of example.kept) marks[place] = `kept ${marks[place] || ""}`;
    return make("tr", { title: example.path },
      make("td", {}, sentence(example.original, marks)),
      ...(shorter ? [make("td", {}, sentence(example.shorter))] : []),
      make("td", {}, sentence(example.reconstruction, marked(example.wrong, "wrong"))),
      make("td", { class: "share" }, percent(example.accuracy)));
  };
  const heads = ["original", ...(shorter ? ["shorter text"] : []), "reconstruction", "token accuracy"];
  const table = (found) => make("table", { class: "examples" },
    make("thead", {}, make("tr", {}, ...heads.map((text) => make("th", {}, text)))),
    make("tbody", {}, ...found.map(row)));
  const key = make("p", {},
    ...(keeps ? ["The words of the original that are its code are ", make("span", { class: "kept" }, "marked"), ". "] : []),
    "Words of the original that did not come back are ", make("span", { class: "lost" }, "underlined"),
    ", and wrong words of the reconstruction are ", make("span", { class: "wrong" }, "red"),
    ". The token accuracy is the fraction of the tokens that came back at their place.");
  fill("examples", make("h2", {}, "Originals and reconstructions"), key,
    ...kinds.flatMap(([kind, found]) => [make("h3", {}, kind), make("div", { class: "wide" }, table(found))]));
}

/* The units of a code as numbers, each with the sentences that activate it most. */
function sentencesOf({ units: { total, counts, numbers, peaks }, code, sample }) {
  return {
    title: "Units of the code", cell: 58, order: "by use",
    intro: (total > counts.length ? `The ${counts.length} most used of ${number(total)} units` : `${total} units, the most used first`) +
      "; the bar is the fraction of the texts for which a unit is active. Click one for the texts with its largest " +
      "activations; of each, the word that adds most to it is marked.",
    button: (place, attributes) => {
      const button = make("button", attributes, String(numbers[place]));
      button.style.setProperty("--share", `${100 * code.active[numbers[place]]}%`);
      return button;
    },
    head: () => [],
    strongest: (places, unit) => make("div", { class: "strongest" }, ...places.map(([place, value, rank]) =>
      make("div", { class: "activating", title: sample.paths[place] },
        make("span", { class: "faint" }, number(value)),
        sentence(sample.words[place], marked([peaks[unit][rank]], "kept"))))),
  };
}
