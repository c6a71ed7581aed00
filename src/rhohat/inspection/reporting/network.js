// The units of a network: a grid of tiles, and a dialog for each unit.
(() => {
  const { record, byId, make, show, brief, counted, breakable, nameOfRow, load, draw, picture } = common;
  const { bars, part, table, numberFilter, rangesOf, rangeFilter, dialogOf } = common;
  const dead = new Set(record.dead);
  const constant = new Set(record.constant);
  const measures = new Map(record.measures.map((measure) => [measure.key, measure]));

  const numbered = (unit, text) => (record.labels ? `${text} \u00b7 class\u00a0${record.labels[unit]}` : text);
  const capital = record.noun[0].toUpperCase() + record.noun.slice(1);
  const nameOf = (unit) => numbered(unit, `${capital} ${unit}`);
  const lowerNameOf = (unit) => numbered(unit, `${record.noun} ${unit}`);

  /** Returns in a word why a unit is of no use, or "". */
  const stateOf = (unit) => (dead.has(unit) ? "dead" : constant.has(unit) ? "constant" : "");

  /** Returns the strongest features of a unit as bars to the left and to the right. */
  const weights = (unit, most, short) => bars(record.bars.features[unit].slice(0, most), record.bars.weights[unit], short);

  // The grid.

  const grid = byId("grid");
  const sort = byId("sort");
  const direction = byId("direction");
  const state = byId("state");
  const numbers = byId("numbers");
  const size = byId("size");
  const items = [];
  const narrow = matchMedia("(max-width: 44rem)");
  let order = []; // all units, as they are sorted
  let shown = []; // those of them that the filters keep
  let ascending = true;
  let page = 0;

  const perPage = () => (record.image ? (narrow.matches ? 60 : 400) : narrow.matches ? 20 : 96);
  const onPage = () => shown.slice(page * perPage(), (page + 1) * perPage());

  if (record.image) {
    const { width, height } = record.image;
    document.documentElement.style.setProperty("--ratio", `${width} / ${height}`);
    const tile = record.n > 400 ? 60 : record.n > 100 ? 76 : 92;
    size.value = tile;
    grid.style.setProperty("--tile", innerWidth < 704 ? "60px" : `${tile}px`);
    size.addEventListener("input", () => grid.style.setProperty("--tile", `${size.value}px`));
  }

  // A tile is drawn when it comes near what is seen of the page, and all are drawn before the page is printed.

  const MARGIN = 600; // pixels
  const SEEN_AT_ONCE = 16; // features of a maximal input
  const undrawn = new Set();
  const nearby = new IntersectionObserver(
    (entries) => entries.filter((entry) => entry.isIntersecting).forEach(({ target }) => drawTile(target)),
    { rootMargin: `${MARGIN}px 0px` },
  );

  function drawTile(item) {
    if (!undrawn.delete(item)) return;
    nearby.unobserve(item);
    const unit = Number(item.dataset.unit);
    const button = item.firstElementChild;
    if (record.image) draw(button.firstElementChild, record.inputs, unit);
    else button.firstElementChild.append(...weights(unit, 4, true).children);
  }

  const drawAll = () => [...undrawn].forEach(drawTile);

  /** Draws what is near without waiting for the observer, which answers only after the page was shown once. */
  function drawNear() {
    for (const unit of onPage()) {
      const { top, bottom } = items[unit].getBoundingClientRect();
      if (top > innerHeight + MARGIN) break;
      if (bottom > -MARGIN) drawTile(items[unit]);
    }
  }

  if (record.image) record.inputs.files.forEach(load); // printing cannot wait for them
  addEventListener("beforeprint", drawAll);
  matchMedia("print").addEventListener("change", ({ matches }) => matches && drawAll());

  const all = document.createDocumentFragment();
  for (let unit = 0; unit < record.n; unit++) {
    const drawn = record.image ? make("canvas", { "aria-hidden": "true" }) : make("div", { class: "weights" });
    const caption = make("span", { class: "caption" }, make("span"), make("span"));
    caption.firstElementChild.textContent = record.labels ? lowerNameOf(unit) : unit;
    const attributes = { type: "button", class: `tile ${stateOf(unit)}`.trim(), tabindex: "-1" };
    const item = make("li", { "data-unit": unit }, make("button", attributes, drawn, caption));
    items.push(item);
    all.append(item);
    undrawn.add(item);
    nearby.observe(item);
  }
  grid.append(all);

  for (const [key, name] of [["number", "number"], ...record.measures.map(({ key, name }) => [key, name])]) {
    sort.append(make("option", { value: key }, name));
  }

  const ranges = rangesOf(record.measures);

  const buttonOf = (unit) => items[unit].firstElementChild;
  const visible = () => shown;

  /** Returns how far behind a unit comes, whatever units are sorted by: those that tell nothing come last. */
  const behind = (unit) => ["", "constant", "dead"].indexOf(stateOf(unit));

  /** Shows a page of the units that the filters keep; the others of them are on paper only. */
  function turnTo(number) {
    page = number;
    const here = new Set(onPage());
    items.forEach((item, unit) => item.classList.toggle("elsewhere", !here.has(unit)));
    const nPages = Math.max(1, Math.ceil(shown.length / perPage()));
    byId("page-place").textContent = `Page ${counted(page + 1)} of ${counted(nPages)}`;
    byId("page-previous").disabled = page === 0;
    byId("page-next").disabled = page + 1 >= nPages;
    byId("page-place").parentElement.hidden = nPages === 1;
  }

  function arrange() {
    const measure = measures.get(sort.value);
    const sign = ascending ? 1 : -1;
    order = items.map((_, unit) => unit);
    const compared = (a, b) => sign * (measure ? measure.values[a] - measure.values[b] : a - b) || a - b;
    order.sort((a, b) => behind(a) - behind(b) || compared(a, b));
    grid.append(...order.map((unit) => items[unit]));
    direction.textContent = ascending ? "Ascending" : "Descending";
    const told = measure || record.measures[0];
    for (const unit of order) {
      const value = show(told.values[unit], 3);
      const kind = stateOf(unit);
      buttonOf(unit).lastElementChild.lastElementChild.textContent = (!measure && kind) || brief(told.values[unit]);
      buttonOf(unit).setAttribute("aria-label", `${nameOf(unit)}, ${told.name} ${value}${kind && `, ${kind}`}`);
    }
    filter();
  }

  const isIn = {
    alive: (unit) => !stateOf(unit),
    dead: (unit) => dead.has(unit),
    constant: (unit) => constant.has(unit),
  };

  function filter() {
    const asked = numberFilter(numbers, record.labels);
    const within = rangeFilter(record.measures, ranges);
    items.forEach((item, unit) => {
      item.hidden = !(asked(unit) && (state.value === "all" || isIn[state.value](unit)) && within(unit));
    });
    shown = order.filter((unit) => !items[unit].hidden);
    byId("count").textContent = `${counted(shown.length)} of ${counted(record.n, record.noun)}`;
    byId("none").hidden = shown.length > 0;
    turnTo(0);
    rove(shown[0]);
  }

  sort.addEventListener("change", () => {
    ascending = sort.value === "number"; // of anything else, the largest are asked for
    arrange();
  });
  direction.addEventListener("click", () => {
    ascending = !ascending;
    arrange();
  });
  state.addEventListener("change", filter);
  for (const input of [numbers, ...[...ranges.values()].flat()]) input.addEventListener("input", filter);
  byId("reset").addEventListener("click", () => {
    for (const input of [numbers, ...[...ranges.values()].flat()]) input.value = "";
    state.value = "all";
    sort.value = "number";
    ascending = true;
    arrange();
  });
  for (const [id, step] of [["page-previous", -1], ["page-next", 1]]) {
    byId(id).addEventListener("click", () => {
      turnTo(page + step);
      rove(onPage()[0]);
      byId("units-heading").scrollIntoView();
    });
  }
  narrow.addEventListener("change", () => turnTo(Math.floor(Math.max(0, shown.indexOf(reached)) / perPage())));

  // One tile at a time is reached by Tab; arrow keys move between tiles.

  let reached = null;

  function rove(unit) {
    if (reached !== null) buttonOf(reached).tabIndex = -1;
    reached = unit ?? null;
    if (reached === null) return;
    buttonOf(reached).tabIndex = 0;
    const number = Math.floor(shown.indexOf(reached) / perPage());
    if (number >= 0 && number !== page) turnTo(number);
  }

  grid.addEventListener("keydown", (event) => {
    const item = event.target.closest("li");
    const columns = getComputedStyle(grid).gridTemplateColumns.split(" ").length;
    const units = visible();
    const place = units.indexOf(Number(item?.dataset.unit));
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
    const targets = { Home: 0, End: units.length - 1 };
    const target = event.key in steps ? place + steps[event.key] : targets[event.key];
    if (place < 0 || target === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    if (target < 0 || target >= units.length) return;
    rove(units[target]);
    buttonOf(units[target]).focus();
  });
  grid.addEventListener("click", (event) => {
    const item = event.target.closest("li");
    if (item) location.hash = `unit-${item.dataset.unit}`;
  });

  // One unit, in a dialog.

  function histogram(unit) {
    const { low, high, counts } = record.histogram;
    const [from, to, rows] = [low[unit], high[unit], counts[unit]];
    if (from === to) return [make("p", { class: "note" }, `The activation of this unit is ${show(from)} on every row.`)];
    if (constant.has(unit)) {
      return [make("p", { class: "note" }, `The activation of this unit hardly varies: from ${show(from)} to ${show(to)} over all rows.`)];
    }
    const [width, height, base] = [640, 128, 126];
    const tallest = Math.log1p(Math.max(...rows));
    const step = width / rows.length;
    const svg = make("svg", { class: "histogram", viewBox: `0 0 ${width} ${height}`, role: "img" });
    svg.setAttribute("aria-label", `Histogram of activations from ${show(from)} to ${show(to)}; see the table below it`);
    rows.forEach((count, place) => {
      const tall = (base * Math.log1p(count)) / tallest;
      svg.append(make("rect", { x: place * step + 1, y: base - tall, width: step - 2, height: tall }));
    });
    svg.append(make("line", { class: "axis", x1: 0, x2: width, y1: base + 0.5, y2: base + 0.5 }));
    const places = make("p", { class: "places" }, ...[from, (from + to) / 2, to].map((value) => make("span", {}, show(value))));
    const edge = (place) => show(from + ((to - from) * place) / rows.length);
    const lines = rows.map((count, place) => [`${edge(place)} to ${edge(place + 1)}`, counted(count)]);
    const scroll = make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Histogram as a table" });
    scroll.append(table("", ["activation", "rows"], lines, `Activations of ${record.noun} ${unit}`));
    return [svg, places, make("details", {}, make("summary", {}, "As a table"), scroll)];
  }

  function topRows(unit) {
    const { places, activations, values } = record.top;
    const title = "Rows that activate the unit most";
    const isConstant = constant.has(unit) || record.histogram.low[unit] === record.histogram.high[unit];
    if (isConstant) return part(title, "No row activates the unit more than any other.");
    const { labels } = record.rows;
    const rows = places[unit].map((place, rank) => [record.rows.numbers[place], activations[unit][rank], place]);
    if (record.image) {
      const strip = make("ul", { class: "strip" });
      for (const [row, activation, place] of rows) {
        const caption = make("span", { class: "caption" });
        const name = nameOfRow(row, labels?.[place]);
        caption.append(make("span", {}, name), make("span", {}, brief(activation)));
        strip.append(make("li", {}, picture(record.rows, place, name), caption));
      }
      return part(title, "Each row is shown with the activation of the unit.", strip);
    }
    const features = record.bars.features[unit].slice(0, values[unit][0].length);
    const head = ["row", ...(labels ? ["name"] : []), "activation", ...features.map((feature) => breakable(record.features[feature]))];
    const lines = rows.map(([row, activation, place], rank) => {
      const name = labels ? [labels[place]] : [];
      return [`${row}`, ...name, show(activation, 3), ...values[unit][rank].map((value) => show(value, 3))];
    });
    const scroll = make("div", { class: "scroll values-of-rows", tabindex: "0", role: "region", "aria-label": title });
    scroll.append(table(labels ? "values named" : "values", head, lines, title));
    const note = `Each row is shown with the activation of the unit, and with its values of the unit\u2019s strongest features. ${record.aboutValues}`.trim();
    return part(title, note, scroll);
  }

  function similar(unit) {
    const units = record.similar.units[unit];
    if (!units.length) return "";
    const strip = make("ul", { class: "strip few" });
    units.forEach((other, rank) => {
      const cosine = show(record.similar.cosines[unit][rank], 3);
      const caption = make("span", { class: "caption" }, make("span", {}, lowerNameOf(other)), make("span", {}, cosine));
      const drawn = record.image ? picture(record.inputs, other) : weights(other, 3, true);
      const link = make("a", { href: `#unit-${other}`, "aria-label": `${nameOf(other)}, cosine ${cosine}` }, drawn, caption);
      strip.append(make("li", {}, link));
    });
    const note = "Units are compared by the cosine of the angle between their maximal inputs: 1 means that the inputs are the same.";
    return part("Most similar units", note, strip);
  }

  function fill(unit) {
    const heading = byId("unit-heading");
    heading.replaceChildren(nameOf(unit));
    const reasons = { dead: `dead: never above ${record.threshold}`, constant: "constant: about the same on every row" };
    if (stateOf(unit)) heading.append(make("span", { class: "tag" }, reasons[stateOf(unit)]));
    const facts = record.measures.map(({ name, values }) => [name, show(values[unit])]);
    facts.splice(3, 0, ["smallest activation", show(record.histogram.low[unit])]);
    const figures = table("measures", null, facts, `Figures of ${record.noun} ${unit}`);
    const allBars = () => {
      const [features, values] = [record.bars.features[unit], record.bars.weights[unit]];
      const largest = Math.max(...values.map(Math.abs)) || 1;
      const [first, others] = [[0, SEEN_AT_ONCE], [SEEN_AT_ONCE]].map((some) => {
        const list = bars(features.slice(...some), values.slice(...some), false, largest);
        list.classList.add("all");
        return list;
      });
      if (features.length <= SEEN_AT_ONCE) return [first];
      return [first, make("details", {}, make("summary", {}, `${features.length - SEEN_AT_ONCE} more`), others)];
    };
    const few = !record.image && record.bars.features[unit].length < record.features.length;
    const input = record.image
      ? part("Maximal input", "", make("div", { class: "picture" }, picture(record.inputs, unit, `What ${nameOf(unit)} looks for`)))
      : part("Maximal input", `${few ? "The strongest features of the" : "The"} input of norm 1 that activates the unit most.`, ...allBars());
    const rows = topRows(unit);
    const right = make("div", {}, ...(record.image ? [rows] : []));
    right.append(part("Histogram of its activations", "Number of rows in each range of activations. Heights are logarithmic.", ...histogram(unit)));
    right.append(similar(unit));
    const body = byId("unit-body");
    body.className = record.image ? "body" : "body tabular";
    body.replaceChildren(make("div", {}, input, part("Figures", "", figures)), right);
    if (!record.image) body.append(make("div", { class: "whole-width" }, rows)); // they have many columns
  }

  const dialog = dialogOf({
    sides: [{ prefix: "unit-", n: record.n }],
    visible,
    fill,
    reached: rove,
    closed: () => {
      if (reached !== null && !items[reached].hidden) buttonOf(reached).focus();
    },
  });

  arrange();
  drawNear();
  dialog.follow();
})();
