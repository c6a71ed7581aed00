// The latents of a dictionary, or of two: a table, page by page, which is sorted and filtered.
const latentTable = (() => {
  const { record, byId, make, brief, counted, numberFilter, rangesOf, rangeFilter } = common;
  const PER_PAGE = matchMedia("(max-width: 44rem)").matches ? 20 : 50;
  const sides = [latentsOf(record, { model: record.other ? "first dictionary" : "" })];
  if (record.other) {
    sides.push(latentsOf(record.other, { prefix: "other-", address: "other-", model: "second dictionary" }));
  }
  const fromData = (own, values) => Float64Array.from({ length: own.n }, (_, latent) => values(latent));

  /** Returns the measures of the latents of a model, by which they are sorted and filtered. */
  function measuresOf(own) {
    const partnerCosine = (latent) => own.partnerOf(latent)?.[1] ?? -1;
    return [
      { key: "density", name: "density", values: own.densities },
      { key: "mean", name: "mean activation", values: own.column("mean") },
      { key: "largest", name: "largest activation", values: own.largest },
      ...(own.record.nSimilar ? [{ key: "nearest", name: "nearest cosine", values: fromData(own, own.nearestCosine) }] : []),
      ...(record.other ? [{ key: "partner", name: "partner\u2019s cosine", values: fromData(own, partnerCosine) }] : []),
    ];
  }

  const sort = byId("sort");
  const direction = byId("direction");
  const state = byId("state");
  const numbers = byId("numbers");
  const search = byId("search");
  const inContexts = byId("in-contexts");
  const similarTo = byId("similar-to");
  const chosenModel = byId("model");
  let own = sides[0];
  let measures = measuresOf(own);
  let columnsShown = measures;
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
  const sortClass = byId("sort-class");
  if (sortClass && columns.has("classCorrelations")) {
    sort.append(make("option", { value: "class" }, "correlation with a class"));
    record.classes.names.forEach((name, number) => sortClass.append(make("option", { value: number }, name)));
  }
  if (inContexts) inContexts.parentElement.hidden = !contexts.isThere;
  const map = latentMap.mapOf((latents, latent) => examples.strongest(latents, latent));
  let ranges = rangesOf(measures);
  const fields = () => [numbers, ...[search, inContexts].filter(Boolean), ...[...ranges.values()].flat()];

  const isIn = {
    all: () => true,
    alive: (latent) => !own.isDead(latent),
    dead: (latent) => own.isDead(latent),
    dense: (latent) => own.isDense(latent),
    lacking: (latent) => own.lacksCounterpart(latent),
  };

  /** Returns the measure by which latents are similar to the one that was entered. */
  function similarity() {
    const text = similarTo.value.trim();
    const isKnown = /^\d+$/.test(text) && Number(text) < own.n;
    similarTo.setAttribute("aria-invalid", String(!isKnown));
    const latent = isKnown ? Number(text) : 0;
    const about = own.record.geometry.isExact ? "cosine" : "cosine, about,";
    return { key: "similarity", name: `${about} with latent ${latent}`, values: own.similarityTo(latent) };
  }

  /** Returns the measure by which latents are correlated with the class that was chosen. */
  function correlation() {
    const number = Number(sortClass.value);
    const values = own.of("classCorrelations", number, own.n);
    const name = `correlation with ${record.classes.names[number].slice(0, 30)}`;
    return { key: "class", name, values: Float64Array.from(values, (value) => value / 32767) };
  }

  /** Returns the measures that have a column: those of every table, and what latents are sorted by. */
  function allColumns() {
    similarTo.parentElement.hidden = sort.value !== "similarity";
    if (sortClass) sortClass.parentElement.hidden = sort.value !== "class";
    if (sort.value === "similarity") return [...measures, similarity()];
    return sort.value === "class" ? [...measures, correlation()] : measures;
  }

  function arrange() {
    const [asked, within] = [numberFilter(numbers), rangeFilter(measures, ranges)];
    const named = search ? examples.nameFilter(own, search.value) : () => true;
    const contains = inContexts ? contexts.filter(own, inContexts.value) : () => true;
    const kept = isIn[state.value];
    order = [];
    for (let latent = 0; latent < own.n; latent++) {
      if (kept(latent) && asked(latent) && within(latent) && named(latent) && contains(latent)) order.push(latent);
    }
    columnsShown = allColumns();
    const values = columnsShown.find(({ key }) => key === sort.value)?.values;
    const sign = ascending ? 1 : -1;
    const compared = (a, b) => sign * (values ? values[a] - values[b] : a - b) || a - b;
    order.sort((a, b) => own.isDead(a) - own.isDead(b) || compared(a, b)); // dead latents come last
    direction.textContent = ascending ? "Ascending" : "Descending";
    byId("count").textContent = `${counted(order.length)} of ${counted(own.n, "latent")}`;
    byId("none").hidden = order.length > 0;
    map.show(own, order);
    turnTo(0);
  }

  /** Returns whether a measure has no column where there is little room: its numbers are seen when a latent is opened. */
  const isLesser = (key) => ["largest", "nearest", "partner"].includes(key) && key !== sort.value;

  /** Shows a page of the table. */
  function turnTo(number) {
    page = number;
    const some = order.slice(page * PER_PAGE, (page + 1) * PER_PAGE);
    const nPages = Math.max(1, Math.ceil(order.length / PER_PAGE));
    byId("page-place").textContent = `Page ${counted(page + 1)} of ${counted(nPages)}`;
    byId("page-previous").disabled = page === 0;
    byId("page-next").disabled = page + 1 >= nPages;
    byId("page-place").parentElement.hidden = nPages === 1;
    const strongest = contexts.isThere ? "strongest context" : "strongest rows";
    const head = make("tr", {}, make("th", { scope: "col" }, "latent"));
    for (const { key, name } of columnsShown) {
      const sorted = key === sort.value ? (ascending ? "ascending" : "descending") : null;
      head.append(make("th", { scope: "col", class: isLesser(key) ? "lesser" : null, "aria-sort": sorted }, name));
    }
    head.append(make("th", { scope: "col" }, strongest));
    if (record.other) head.append(make("th", { scope: "col", class: "of-partner" }, "partner"));
    const body = make("tbody", {}, ...some.map(line));
    const caption = make("caption", { class: "unseen" }, "Latents");
    const className = record.other ? "latents compared" : "latents";
    byId("table").replaceChildren(make("table", { class: className }, caption, make("thead", {}, head), body));
    byId("table").hidden = order.length === 0;
  }

  /** Returns the row of the table about a latent. */
  function line(latent) {
    const kind = own.stateOf(latent);
    const link = own.link(latent);
    link.setAttribute("aria-label", `Latent ${latent}${kind && `, ${kind}`}`);
    const drawn = own.pictureOf(latent);
    if (drawn) link.append(drawn);
    link.append(make("span", {}, `${latent}`));
    const first = make("th", { scope: "row" }, link);
    if (kind) first.append(make("span", { class: "tag" }, kind));
    const cells = columnsShown.map(({ key, values }) => {
      const isMissing = key === "partner" && !own.partnerOf(latent);
      return make("td", { class: isLesser(key) ? "lesser" : null }, isMissing ? "\u2013" : brief(values[latent]));
    });
    const strongest = make("td", { class: "strongest" }, examples.strongest(own, latent));
    const row = make("tr", { "data-latent": latent }, first, ...cells, strongest);
    if (record.other) row.append(make("td", { class: "strongest of-partner" }, ...partner(latent)));
    return row;
  }

  /** Returns the other of the two models. */
  const others = () => sides[1 - sides.indexOf(own)];

  /** Returns what the table shows of the partner of a latent. */
  function partner(latent) {
    const found = own.partnerOf(latent);
    if (!found) return ["none"];
    return [others().link(found[0], `${found[0]}`), " ", examples.strongest(others(), found[0])];
  }

  /** Shows the latents of one of two models. */
  function show(side) {
    if (own === sides[side]) return;
    own = sides[side];
    measures = measuresOf(own);
    byId("ranges").replaceChildren();
    ranges = rangesOf(measures);
    listen();
    if (chosenModel) chosenModel.value = String(side);
    arrange();
  }

  /** Puts latents in the order of their similarity to one of them. */
  function sortBySimilarityTo(latent) {
    [sort.value, similarTo.value, ascending] = ["similarity", latent, false];
    arrange();
    byId("units-heading").scrollIntoView();
  }

  function listen() {
    for (const input of fields()) input.addEventListener("input", arrange);
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
  sortClass?.addEventListener("change", arrange);
  chosenModel?.addEventListener("change", () => show(Number(chosenModel.value)));
  listen();
  byId("reset").addEventListener("click", () => {
    for (const input of fields()) input.value = "";
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
  arrange();

  return {
    sides,
    show,
    sortBySimilarityTo,
    others,
    own: () => own,
    order: () => order,
    measures: () => measures,
    /** Turns to the page of the table that a latent is on. */
    reach(latent) {
      const number = Math.floor(order.indexOf(latent) / PER_PAGE);
      if (number !== page) turnTo(number);
    },
  };
})();
