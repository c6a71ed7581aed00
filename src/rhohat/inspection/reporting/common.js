"use strict";
// What the scripts of all pages share. Everything that comes from data or from a model enters the page as text, never
// as HTML.
const common = (() => {
  const record = JSON.parse(document.getElementById("record").textContent);
  const byId = (id) => document.getElementById(id);

  /** Returns an element with attributes and children; texts become text. */
  function make(tag, attributes = {}, ...children) {
    const svg = ["svg", "rect", "line", "text", "title"].includes(tag);
    const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== undefined && value !== null) element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  /** Returns a number as text, of so many digits. */
  function show(value, digits = 4) {
    if (value === null) return "\u2013"; // past the end of a sequence
    if (typeof value === "string") return value; // of a table
    if (value === 0) return "0";
    const size = Math.abs(value);
    let text = String(Number(value.toPrecision(digits)));
    if (size >= 1e3) text = counted(Math.round(value));
    if (size < 1e-4 || size >= 1e9) text = value.toExponential(2);
    return withMinus(text);
  }

  /** Returns a number as text of few letters, for narrow places. */
  function brief(value) {
    const size = Math.abs(value);
    return size === 0 || (size >= 1e-3 && size < 1e4) ? show(value, 3) : withMinus(value.toExponential(1));
  }

  const withMinus = (text) => text.replace("e+", "e").replaceAll("-", "\u2212");

  /** Returns a whole number with its noun, which is in the plural unless there is one; or without any. */
  function counted(number, noun) {
    const text = number.toLocaleString("en");
    return noun ? `${text} ${noun}${number === 1 ? "" : "s"}` : text;
  }

  /** Returns a name that may be broken after each part of it. */
  function breakable(name) {
    const parts = document.createDocumentFragment();
    for (const piece of name.split(/(?<=[_.\-/ ])/)) parts.append(piece, make("wbr"));
    return parts;
  }

  /** Returns the name of a row: its number, and its label if rows have labels. */
  const nameOfRow = (number, label) => (label ? `row ${number}: ${label}` : `row ${number}`);

  // Pictures. Sheets are loaded when they are asked for the first time.

  const loaded = new Map();

  /** Returns an image once it is loaded: itself, where it is already, else a promise. */
  function load(uri) {
    if (!loaded.has(uri)) {
      const image = new Image();
      loaded.set(uri, new Promise((resolve) => image.addEventListener("load", () => resolve(image))));
      loaded.get(uri).then(() => loaded.set(uri, image));
      image.src = uri;
    }
    return loaded.get(uri);
  }

  function draw(canvas, sheets, place) {
    const sheet = load(sheets.files[Math.floor(place / sheets.perSheet)]);
    if (sheet instanceof Image) drawFrom(sheet, canvas, sheets, place);
    else sheet.then((image) => drawFrom(image, canvas, sheets, place));
  }

  function drawFrom(sheet, canvas, sheets, place) {
    const { width, height } = record.image;
    const inSheet = place % sheets.perSheet;
    const left = (inSheet % sheets.columns) * width;
    const top = Math.floor(inSheet / sheets.columns) * height;
    canvas.width = width;
    canvas.height = height;
    canvas.getContext("2d").drawImage(sheet, left, top, width, height, 0, 0, width, height);
    canvas.dataset.drawn = "";
  }

  function picture(sheets, place, label) {
    const canvas = make("canvas", label ? { role: "img", "aria-label": label } : { "aria-hidden": "true" });
    draw(canvas, sheets, place);
    return canvas;
  }

  /** Returns features with their weights as bars to the left and to the right; the largest fills half of the width. */
  function bars(features, values, short, largest = Math.max(...values.map(Math.abs)) || 1) {
    const list = make("div", { class: "weights" });
    features.forEach((feature, rank) => {
      const level = make("i", { class: values[rank] < 0 ? "negative" : "positive" });
      const share = (50 * Math.abs(values[rank])) / largest;
      level.style.width = `${share}%`;
      level.style.left = `${values[rank] < 0 ? 50 - share : 50}%`;
      const row = make("div", { class: short ? "weight short" : "weight" });
      row.append(make("span", { title: record.features[feature] }, record.features[feature]));
      row.append(make("span", { class: "level", "aria-hidden": "true" }, level));
      if (!short) row.append(make("span", { class: "number" }, show(values[rank])));
      list.append(row);
    });
    return list;
  }

  function part(title, note, ...children) {
    const section = make("section", {}, make("h3", {}, title));
    if (note) section.append(make("p", { class: "note" }, note));
    section.append(...children);
    return section;
  }

  function table(className, head, rows, caption) {
    const body = rows.map(([first, ...others]) =>
      make("tr", {}, make("th", { scope: "row" }, first), ...others.map((cell) => make("td", {}, cell))),
    );
    const element = make("table", { class: className }, make("caption", { class: "unseen" }, caption));
    if (head) element.append(make("thead", {}, make("tr", {}, ...head.map((cell) => make("th", { scope: "col" }, cell)))));
    element.append(make("tbody", {}, ...body));
    return element;
  }

  /** Returns whether a unit is asked for by its number, as in "3, 17, 40-60", or by what it stands for. */
  function numberFilter(numbers, labels) {
    const parts = numbers.value.split(/[,;\s]+/).filter(Boolean);
    const spans = parts.map((part) => /^(\d+)(?:[-\u2013](\d+))?$/.exec(part));
    const known = spans.every(Boolean);
    const text = numbers.value.trim().toLowerCase();
    numbers.setAttribute("aria-invalid", String(!known && !labels));
    if (!parts.length) return () => true;
    return (unit) =>
      spans.some((span) => span && unit >= Number(span[1]) && unit <= Number(span[2] ?? span[1])) ||
      Boolean(labels && !known && labels[unit].toLowerCase().includes(text));
  }

  /** Adds fields for the smallest and the largest value of each measure, and returns them by key. */
  function rangesOf(measures) {
    const ranges = new Map();
    for (const { key, name, values } of measures) {
      const [smallest, largest] = [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
      const inputs = [["at least", smallest], ["at most", largest]].map(([bound, extreme]) =>
        make("input", { type: "number", step: "any", placeholder: show(extreme), "aria-label": `${name}, ${bound}` }),
      );
      ranges.set(key, inputs);
      byId("ranges").append(make("fieldset", {}, make("legend", {}, name), inputs[0], "to", inputs[1]));
    }
    return ranges;
  }

  /** Returns whether a unit is within all ranges that were entered. */
  function rangeFilter(measures, ranges) {
    const bounds = measures.map(({ key, values }) => {
      const [low, high] = ranges.get(key).map((input) => (input.value === "" ? null : Number(input.value)));
      return { values, low: low ?? -Infinity, high: high ?? Infinity };
    });
    return (unit) => bounds.every(({ values, low, high }) => low <= values[unit] && values[unit] <= high);
  }

  /**
   * Shows one unit at a time in a dialog. The address says which, so that it can be linked to and the back button
   * closes it.
   *
   * `sides` has the beginning of the addresses and the number of units, for each kind of units. `opening(side)` is told
   * before a unit of this kind is shown, `visible()` returns those shown in their order, `fill(unit)` writes what is in
   * the dialog, `reached(unit)` is told of a unit that is shown, and `closed()` puts the focus back.
   */
  function dialogOf({ sides, opening = () => {}, visible, fill, reached, closed }) {
    const dialog = byId("unit");
    const heading = byId("unit-heading");
    let opened = null;

    function open(unit, side) {
      opened = { unit, side };
      opening(side);
      const units = visible();
      const place = units.indexOf(unit);
      byId("previous").disabled = place <= 0;
      byId("next").disabled = place < 0 || place + 1 >= units.length;
      fill(unit);
      if (!dialog.open) dialog.showModal();
      dialog.scrollTop = 0;
      if (!dialog.contains(document.activeElement) || document.activeElement === document.body) heading.focus();
      if (place >= 0) reached(unit);
    }

    /** Returns the unit that the address asks for, and its kind; null if it asks for none. */
    function asked() {
      for (const [side, { prefix, n }] of sides.entries()) {
        const number = location.hash.startsWith(`#${prefix}`) ? location.hash.slice(prefix.length + 1) : "";
        if (/^\d+$/.test(number) && Number(number) < n) return { unit: Number(number), side };
      }
      return null;
    }

    function follow() {
      const found = asked();
      if (found) open(found.unit, found.side);
      else if (dialog.open) dialog.close();
    }

    function move(step) {
      const units = visible();
      const place = units.indexOf(opened.unit);
      const unit = units[place + step];
      if (unit === undefined || place < 0) return;
      history.replaceState(null, "", `#${sides[opened.side].prefix}${unit}`);
      open(unit, opened.side);
    }

    byId("previous").addEventListener("click", () => move(-1));
    byId("next").addEventListener("click", () => move(1));
    byId("close").addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close(); // beside it
    });
    dialog.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: -1, ArrowRight: 1 };
      if (!(event.key in steps) || event.target.closest(".scroll")) return;
      event.preventDefault();
      move(steps[event.key]);
    });
    dialog.addEventListener("close", () => {
      if (sides.some(({ prefix }) => location.hash.startsWith(`#${prefix}`))) history.replaceState(null, "", location.href.split("#")[0]);
      closed();
    });
    addEventListener("hashchange", follow);
    return { follow };
  }

  // Light and dark.

  const theme = byId("theme");
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme ?? (prefersDark.matches ? "dark" : "light")) === "dark";
  const name = () => {
    theme.textContent = isDark() ? "Light" : "Dark";
    theme.setAttribute("aria-label", `Switch to ${isDark() ? "light" : "dark"} colours`);
  };
  theme.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    name();
  });
  prefersDark.addEventListener("change", name);
  name();

  return {
    record, byId, make, show, brief, counted, breakable, nameOfRow, load, draw, picture, bars, part, table,
    numberFilter, rangesOf, rangeFilter, dialogOf,
  };
})();
