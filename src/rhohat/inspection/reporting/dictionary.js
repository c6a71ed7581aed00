// The latents of a dictionary: a table, page by page, and a dialog for each latent.
(() => {
  const { record, byId, make, show, brief, counted, nameOfRow, picture, bars, part, table } = common;
  const { numberFilter, rangesOf, rangeFilter, dialogOf } = common;
  const { n, nTop, nSimilar } = record;
  const NO_ROW = 2 ** 32 - 1;
  const DENSE = 0.1;
  const PER_PAGE = matchMedia("(max-width: 44rem)").matches ? 20 : 50;

  // Columns of numbers. Each is decoded when it is asked for the first time.

  const kinds = { Uint8Array, Uint16Array, Uint32Array, Int16Array, Float32Array };
  const decoded = new Map();

  function column(name) {
    if (!decoded.has(name)) {
      const element = byId(`column-${name}`);
      const text = element ? atob(element.textContent) : "";
      const bytes = new Uint8Array(text.length);
      for (let place = 0; place < text.length; place++) bytes[place] = text.charCodeAt(place);
      decoded.set(name, new kinds[element?.dataset.kind ?? "Uint32Array"](bytes.buffer));
    }
    return decoded.get(name);
  }

  /** Returns the numbers of one latent in a column with several for each. */
  const of = (name, latent, length) => column(name).subarray(latent * length, (latent + 1) * length);

  /** Returns the place of a number in a sorted column, or -1. */
  function placeOf(name, number) {
    const numbers = column(name);
    let [low, high] = [0, numbers.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (numbers[middle] < number) low = middle + 1;
      else high = middle;
    }
    return numbers[low] === number ? low : -1;
  }

  const active = column("active");
  const largest = column("largest");
  const densities = Float64Array.from(active, (count) => count / record.nRows);
  const nearest = Float64Array.from({ length: n }, (_, latent) => (nSimilar ? column("cosines")[latent * nSimilar] / 32767 : 0));
  const measures = [
    { key: "density", name: "density", values: densities },
    { key: "mean", name: "mean activation", values: column("mean") },
    { key: "largest", name: "largest activation", values: largest },
    ...(nSimilar ? [{ key: "nearest", name: "nearest cosine", values: nearest }] : []),
  ];

  const isIn = {
    all: () => true,
    alive: (latent) => active[latent] > 0,
    dead: (latent) => active[latent] === 0,
    dense: (latent) => densities[latent] > DENSE,
  };
  const stateOf = (latent) => (isIn.dead(latent) ? "dead" : isIn.dense(latent) ? "dense" : "");

  /** Returns the rows that activate a latent most, each with its activation. */
  function topRows(latent) {
    const shares = of("shares", latent, nTop);
    const rows = Array.from(of("rows", latent, nTop), (row, rank) => [row, (shares[rank] / 65535) * largest[latent]]);
    return rows.filter(([row]) => row !== NO_ROW);
  }

  const hasLabels = Boolean(record.labels);
  const labelOf = (row) => (hasLabels ? record.labels[placeOf("labelled", row)] : undefined);

  /** Returns the picture of a row, or null if the page does not have it. */
  function pictureOfRow(row, label) {
    const place = record.pictures ? placeOf("pictured", row) : -1;
    return place < 0 ? null : picture(record.pictures, place, label);
  }

  /** Returns the picture of the direction of a latent, or null if the page does not have it. */
  function pictureOf(latent, label) {
    if (!record.directions) return null;
    const place = byId("column-drawn") ? placeOf("drawn", latent) : latent;
    return place < 0 ? null : picture(record.directions, place, label);
  }

  /** Returns an empty picture, in place of one that the page does not have. */
  const blank = () => make("canvas", { "aria-hidden": "true" });

  // The table.

  const sort = byId("sort");
  const direction = byId("direction");
  const state = byId("state");
  const numbers = byId("numbers");
  const search = byId("search");
  let order = [];
  let ascending = true;
  let page = 0;

  if (record.image) {
    document.documentElement.style.setProperty("--ratio", `${record.image.width} / ${record.image.height}`);
  }
  for (const [key, name] of [["number", "number"], ...measures.map(({ key, name }) => [key, name])]) {
    sort.append(make("option", { value: key }, name));
  }
  const ranges = rangesOf(measures);
  const fields = [numbers, ...(search ? [search] : []), ...[...ranges.values()].flat()];

  /** Returns whether the name of one of the rows that activate a latent most contains what is looked for. */
  function labelFilter() {
    const text = search?.value.trim().toLowerCase();
    if (!text) return () => true;
    const labelled = column("labelled");
    const found = new Set();
    record.labels.forEach((label, place) => label.toLowerCase().includes(text) && found.add(labelled[place]));
    return (latent) => of("rows", latent, nTop).some((row) => found.has(row));
  }

  function arrange() {
    const [asked, within, named] = [numberFilter(numbers), rangeFilter(measures, ranges), labelFilter()];
    const kept = isIn[state.value];
    order = [];
    for (let latent = 0; latent < n; latent++) {
      if (kept(latent) && asked(latent) && within(latent) && named(latent)) order.push(latent);
    }
    const values = measures.find(({ key }) => key === sort.value)?.values;
    const sign = ascending ? 1 : -1;
    const compared = (a, b) => sign * (values ? values[a] - values[b] : a - b) || a - b;
    order.sort((a, b) => isIn.dead(a) - isIn.dead(b) || compared(a, b)); // dead latents come last
    direction.textContent = ascending ? "Ascending" : "Descending";
    byId("count").textContent = `${counted(order.length)} of ${counted(n, "latent")}`;
    byId("none").hidden = order.length > 0;
    turnTo(0);
  }

  /** Returns whether a measure has no column where there is little room: its numbers are seen when a latent is opened. */
  const isLesser = (key) => ["largest", "nearest"].includes(key) && key !== sort.value;

  /** Shows a page of the table. */
  function turnTo(number) {
    page = number;
    const some = order.slice(page * PER_PAGE, (page + 1) * PER_PAGE);
    const nPages = Math.max(1, Math.ceil(order.length / PER_PAGE));
    byId("page-place").textContent = `Page ${counted(page + 1)} of ${counted(nPages)}`;
    byId("page-previous").disabled = page === 0;
    byId("page-next").disabled = page + 1 >= nPages;
    byId("page-place").parentElement.hidden = nPages === 1;
    const names = ["latent", ...measures.map(({ name }) => name), "strongest rows"];
    const head = make("tr", {}, ...names.map((name) => make("th", { scope: "col" }, name)));
    measures.forEach(({ key }, place) => {
      if (isLesser(key)) head.children[place + 1].classList.add("lesser");
      if (key === sort.value) head.children[place + 1].setAttribute("aria-sort", ascending ? "ascending" : "descending");
    });
    const body = make("tbody", {}, ...some.map(line));
    const caption = make("caption", { class: "unseen" }, "Latents");
    byId("table").replaceChildren(make("table", { class: "latents" }, caption, make("thead", {}, head), body));
    byId("table").hidden = order.length === 0;
  }

  /** Returns the row of the table about a latent. */
  function line(latent) {
    const kind = stateOf(latent);
    const link = make("a", { href: `#latent-${latent}`, "aria-label": `Latent ${latent}${kind && `, ${kind}`}` });
    const drawn = pictureOf(latent);
    if (drawn) link.append(drawn);
    link.append(make("span", {}, `${latent}`));
    const first = make("th", { scope: "row" }, link);
    if (kind) first.append(make("span", { class: "tag" }, kind));
    const cells = measures.map(({ key, values }) => make("td", { class: isLesser(key) ? "lesser" : null }, brief(values[latent])));
    return make("tr", { "data-latent": latent }, first, ...cells, make("td", { class: "strongest" }, strongest(latent)));
  }

  /** Returns the few rows that activate a latent most, for the table: as pictures, else a name, else numbers. */
  function strongest(latent) {
    const rows = topRows(latent);
    if (record.image) {
      const some = rows.slice(0, 6).map(([row]) => pictureOfRow(row, nameOfRow(row, labelOf(row))));
      return make("span", { class: "few" }, ...some.filter(Boolean));
    }
    const label = rows.length ? labelOf(rows[0][0]) : undefined;
    return label ?? rows.slice(0, 3).map(([row]) => row).join(", ");
  }

  sort.addEventListener("change", () => {
    ascending = sort.value === "number"; // of anything else, the largest are asked for
    arrange();
  });
  direction.addEventListener("click", () => {
    ascending = !ascending;
    arrange();
  });
  state.addEventListener("change", arrange);
  for (const input of fields) input.addEventListener("input", arrange);
  byId("reset").addEventListener("click", () => {
    for (const input of fields) input.value = "";
    state.value = "all";
    sort.value = "number";
    ascending = true;
    arrange();
  });
  for (const [id, step] of [["page-previous", -1], ["page-next", 1]]) {
    byId(id).addEventListener("click", () => {
      turnTo(page + step);
      byId("units-heading").scrollIntoView();
    });
  }

  // One latent, in a dialog.

  function rowsOf(latent) {
    const rows = topRows(latent);
    const title = "Rows that activate the latent most";
    if (!rows.length) return part(title, "No row activates this latent.");
    if (record.image) {
      const strip = make("ul", { class: "strip" });
      for (const [row, activation] of rows) {
        const name = nameOfRow(row, labelOf(row));
        const caption = make("span", { class: "caption" });
        caption.append(make("span", { class: "name", title: name }, name), make("span", {}, brief(activation)));
        strip.append(make("li", {}, pictureOfRow(row, name) ?? blank(), caption));
      }
      const isWhole = rows.every(([row]) => placeOf("pictured", row) >= 0);
      const missing = isWhole ? "" : " Some pictures are left out, because the page would be too large with them.";
      return part(title, `Each row is shown with the activation of the latent.${missing}`, strip);
    }
    const head = ["row", ...(hasLabels ? ["name"] : []), "activation"];
    const lines = rows.map(([row, activation]) => {
      return [`${row}`, ...(hasLabels ? [labelOf(row) ?? ""] : []), show(activation, 3)];
    });
    return part(title, "", table(hasLabels ? "top named" : "top", head, lines, title));
  }

  function similar(latent) {
    const others = [...of("similar", latent, nSimilar)];
    const cosines = Array.from(of("cosines", latent, nSimilar), (cosine) => cosine / 32767);
    if (!others.length) return "";
    const title = "Nearest latents";
    const note = "Latents are compared by the cosine of the angle between their rows of the decoder: 1 means the same direction.";
    if (record.image) {
      const strip = make("ul", { class: "strip" });
      others.forEach((other, rank) => {
        const cosine = show(cosines[rank], 3);
        const caption = make("span", { class: "caption" }, make("span", {}, `latent ${other}`), make("span", {}, cosine));
        const attributes = { href: `#latent-${other}`, "aria-label": `Latent ${other}, cosine ${cosine}` };
        strip.append(make("li", {}, make("a", attributes, pictureOf(other) ?? blank(), caption)));
      });
      return part(title, note, strip);
    }
    const lines = others.map((other, rank) => {
      const link = make("a", { href: `#latent-${other}` }, `latent ${other}`);
      return [link, show(cosines[rank], 3), brief(densities[other]), strongest(other)];
    });
    return part(title, note, table("top near", ["latent", "cosine", "density", "strongest rows"], lines, title));
  }

  function fill(latent) {
    const heading = byId("unit-heading");
    heading.replaceChildren(`Latent ${latent}`);
    const reasons = { dead: "dead: active on none of these rows", dense: "dense: active on more than a tenth of the rows" };
    if (stateOf(latent)) heading.append(make("span", { class: "tag" }, reasons[stateOf(latent)]));
    const facts = [
      ["active on", counted(active[latent], "row")],
      ...measures.map(({ name, values }) => [name, show(values[latent])]),
      ["encoder\u2013decoder cosine", show(column("encoder")[latent] / 32767)],
    ];
    const left = make("div", {});
    const drawn = pictureOf(latent, `Row of the decoder of latent ${latent}`);
    if (drawn) left.append(part("Row of the decoder", "", make("div", { class: "picture" }, drawn)));
    left.append(part("Figures", "", table("measures", null, facts, `Figures of latent ${latent}`)));
    if (record.nFeatures) {
      const [features, weights] = ["features", "weights"].map((name) => [...of(name, latent, record.nFeatures)]);
      left.append(part("Row of the decoder", "The features with the largest weights.", bars(features, weights, false)));
    }
    byId("unit-body").className = record.image ? "body" : "body tabular";
    byId("unit-body").replaceChildren(left, make("div", {}, rowsOf(latent), similar(latent)));
  }

  let reached = null;

  const dialog = dialogOf({
    prefix: "latent-",
    n,
    visible: () => order,
    fill,
    reached: (latent) => {
      reached = latent;
      const number = Math.floor(order.indexOf(latent) / PER_PAGE);
      if (number !== page) turnTo(number);
    },
    closed: () => document.querySelector(`#table tr[data-latent="${reached}"] a`)?.focus(),
  });

  arrange();
  dialog.follow();
})();
