/* ---- images: tiles of sheets, galleries, and what stands beside them ---- */

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

function tileWith(sheet, place, lines) {
  const said = [sheet.labels[place], sheet.paths[place], ...lines].filter((line) => line !== null);
  return [tile(sheet, place, widthOf(sheet, 112)), ...said.map((line) => make("div", {}, line))];
}

function galleries(model) {
  const kinds = Object.entries(model.galleries || {});
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

/* The units of a layer as filters, each with the images that activate it most. */
function filtersOf({ units: { filters, total, counts, drawn }, code, sample }) {
  const roomy = counts.length <= 20 ? 96 : counts.length <= 100 ? 64 : 40;
  const what = drawn
    ? "what the unit adds to the image, on mid-grey"
    : "a bright pixel increases the activation of the unit, a dark one decreases it";
  return {
    title: "Filters", cell: widthOf(filters, roomy),
    intro: `${total > counts.length ? `The first ${counts.length} of ${number(total)} units` : `${total} units`}: ` +
      what + (code ? "; dead units are crossed out" : "") +
      ". Click one for its activations, and the images of the sample with the largest ones.",
    button: (place, attributes) => tile(filters, place, 0, "button", attributes),
    head: (place) => [tile(filters, place, widthOf(filters, 84))],
    strongest: (places) => make("div", { class: "row strongest" }, ...places.map(([place, value]) => {
      const text = make("figcaption", {}, number(value));
      return make("figure", {
        class: "strong", onpointermove: (event) => showTip(event.clientX, event.clientY, ...tileWith(sample, place, [])),
        onpointerleave: hideTip,
      }, tile(sample, place, widthOf(sample, 56)), text);
    })),
  };
}
