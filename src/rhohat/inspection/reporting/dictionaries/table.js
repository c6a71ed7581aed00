// The latents of a dictionary: a table, page by page, and a dialog for each latent.
(() => {
  const { record, byId, make, show, brief, counted, picture, bars, part, table } = common;
  const { numberFilter, rangesOf, rangeFilter, dialogOf } = common;
  const own = latentsOf(record);
  const { n, active, densities, stateOf } = own;
  const PER_PAGE = matchMedia("(max-width: 44rem)").matches ? 20 : 50;

  const nearest = Float64Array.from({ length: n }, (_, latent) => own.nearestCosine(latent));
  const measures = [
    { key: "density", name: "density", values: densities },
    { key: "mean", name: "mean activation", values: own.column("mean") },
    { key: "largest", name: "largest activation", values: own.largest },
    ...(record.nSimilar ? [{ key: "nearest", name: "nearest cosine", values: nearest }] : []),
  ];

  const isIn = {
    all: () => true,
    alive: (latent) => !own.isDead(latent),
    dead: own.isDead,
    dense: own.isDense,
  };

  /** Returns the picture of the direction of a latent, or null if the page does not have it. */
  function pictureOf(latent, label) {
    if (!record.directions) return null;
    const place = columns.has("drawn") ? columns.placeOf("drawn", latent) : latent;
    return place < 0 ? null : picture(record.directions, place, label);
  }

  // The table.

  const sort = byId("sort");
  const direction = byId("direction");
  const state = byId("state");
  const numbers = byId("numbers");
  const search = byId("search");
  const inContexts = byId("in-contexts");
  let order = [];
  let ascending = true;
  let page = 0;

  if (record.image) {
    document.documentElement.style.setProperty("--ratio", `${record.image.width} / ${record.image.height}`);
  }
  for (const [key, name] of [["number", "number"], ...measures.map(({ key, name }) => [key, name])]) {
    sort.append(make("option", { value: key }, name));
  }
  if (record.nSimilar) sort.append(make("option", { value: "similarity" }, "similarity"));
  const similarTo = byId("similar-to");
  const ranges = rangesOf(measures);
  const map = latentMap.mapOf({ latents: own, describe: (latent) => examples.strongest(own, latent) });

  /** Returns the measure by which latents are similar to the one that was entered. */
  function similarity() {
    const text = similarTo.value.trim();
    const isKnown = /^\d+$/.test(text) && Number(text) < n;
    similarTo.setAttribute("aria-invalid", String(!isKnown));
    const latent = isKnown ? Number(text) : 0;
    const about = record.geometry.isExact ? "cosine" : "cosine, about,";
    return { key: "similarity", name: `${about} with latent ${latent}`, values: own.similarityTo(latent) };
  }

  let columnsShown = measures;
  if (inContexts) inContexts.parentElement.hidden = !contexts.isThere;
  const fields = [numbers, ...[search, inContexts].filter(Boolean), ...[...ranges.values()].flat()];

  function arrange() {
    const [asked, within] = [numberFilter(numbers), rangeFilter(measures, ranges)];
    const named = search ? examples.nameFilter(own, search.value) : () => true;
    const contains = inContexts ? contexts.filter(own, inContexts.value) : () => true;
    const kept = isIn[state.value];
    order = [];
    for (let latent = 0; latent < n; latent++) {
      if (kept(latent) && asked(latent) && within(latent) && named(latent) && contains(latent)) order.push(latent);
    }
    similarTo.parentElement.hidden = sort.value !== "similarity";
    columnsShown = sort.value === "similarity" ? [...measures, similarity()] : measures;
    const values = columnsShown.find(({ key }) => key === sort.value)?.values;
    const sign = ascending ? 1 : -1;
    const compared = (a, b) => sign * (values ? values[a] - values[b] : a - b) || a - b;
    order.sort((a, b) => own.isDead(a) - own.isDead(b) || compared(a, b)); // dead latents come last
    direction.textContent = ascending ? "Ascending" : "Descending";
    byId("count").textContent = `${counted(order.length)} of ${counted(n, "latent")}`;
    byId("none").hidden = order.length > 0;
    map.show(order);
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
    const names = ["latent", ...columnsShown.map(({ name }) => name), contexts.isThere ? "strongest context" : "strongest rows"];
    const head = make("tr", {}, ...names.map((name) => make("th", { scope: "col" }, name)));
    columnsShown.forEach(({ key }, place) => {
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
    const cells = columnsShown.map(({ key, values }) => make("td", { class: isLesser(key) ? "lesser" : null }, brief(values[latent])));
    return make("tr", { "data-latent": latent }, first, ...cells, make("td", { class: "strongest" }, examples.strongest(own, latent)));
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
  similarTo.addEventListener("input", arrange);
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

  function similar(latent) {
    const others = own.similar(latent);
    if (!others.length) return "";
    const title = "Nearest latents";
    const note = "Latents are compared by the cosine of the angle between their rows of the decoder: 1 means the same direction.";
    const all = make("button", { type: "button", class: "quiet" }, "Sort all latents by similarity");
    all.addEventListener("click", () => {
      [sort.value, similarTo.value, ascending] = ["similarity", latent, false];
      byId("close").click();
      arrange();
      byId("units-heading").scrollIntoView();
    });
    if (record.image) {
      const strip = make("ul", { class: "strip" });
      for (const [other, number] of others) {
        const cosine = show(number, 3);
        const caption = make("span", { class: "caption" }, make("span", {}, `latent ${other}`), make("span", {}, cosine));
        const attributes = { href: `#latent-${other}`, "aria-label": `Latent ${other}, cosine ${cosine}` };
        strip.append(make("li", {}, make("a", attributes, pictureOf(other) ?? examples.blank(), caption)));
      }
      return part(title, note, strip, all);
    }
    const lines = others.map(([other, cosine]) => {
      const link = make("a", { href: `#latent-${other}` }, `latent ${other}`);
      return [link, show(cosine, 3), brief(densities[other]), examples.strongest(own, other)];
    });
    return part(title, note, table("top near", ["latent", "cosine", "density", contexts.isThere ? "strongest context" : "strongest rows"], lines, title), all);
  }

  function fill(latent) {
    const heading = byId("unit-heading");
    heading.replaceChildren(`Latent ${latent}`);
    const reasons = { dead: "dead: active on none of these rows", dense: "dense: active on more than a tenth of the rows" };
    if (stateOf(latent)) heading.append(make("span", { class: "tag" }, reasons[stateOf(latent)]));
    const facts = [
      ["active on", counted(active[latent], "row")],
      ...measures.map(({ name, values }) => [name, show(values[latent])]),
      ["encoder\u2013decoder cosine", show(own.column("encoder")[latent] / 32767)],
    ];
    const left = make("div", {});
    const drawn = pictureOf(latent, `Row of the decoder of latent ${latent}`);
    if (drawn) left.append(part("Row of the decoder", "", make("div", { class: "picture" }, drawn)));
    left.append(part("Figures", "", table("measures", null, facts, `Figures of latent ${latent}`)));
    if (record.nFeatures) {
      const [features, weights] = ["features", "weights"].map((name) => [...own.of(name, latent, record.nFeatures)]);
      left.append(part("Row of the decoder", "The features with the largest weights.", bars(features, weights, false)));
    }
    byId("unit-body").className = record.image ? "body" : "body tabular";
    byId("unit-body").replaceChildren(left, make("div", {}, ...examples.sections(own, latent), similar(latent)));
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
