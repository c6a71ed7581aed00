// The rows that activate a latent, in the form that the page has: with contexts, as pictures, or as lines of a table.
const examples = (() => {
  const { record, make, show, brief, nameOfRow, picture, part, table } = common;
  const { placeOf, column } = columns;
  const hasLabels = Boolean(record.labels);
  const GROUPS = [
    "From the strongest quarter of the other rows",
    "From the second quarter",
    "From the third quarter",
    "From the weakest quarter",
    "The weakest of all",
  ];

  const labelOf = (row) => (hasLabels ? record.labels[placeOf("labelled", row)] : undefined);

  /** Returns the picture of a row, or null if the page does not have it. */
  function pictureOfRow(row, label) {
    const place = record.pictures ? placeOf("pictured", row) : -1;
    return place < 0 ? null : picture(record.pictures, place, label);
  }

  /** Returns an empty picture, in place of one that the page does not have. */
  const blank = () => make("canvas", { "aria-hidden": "true" });

  function pictures(rows) {
    const strip = make("ul", { class: "strip" });
    for (const { row, activation } of rows) {
      const name = nameOfRow(row, labelOf(row));
      const caption = make("span", { class: "caption" });
      caption.append(make("span", { class: "name", title: name }, name), make("span", {}, brief(activation)));
      strip.append(make("li", {}, pictureOfRow(row, name) ?? blank(), caption));
    }
    return strip;
  }

  function lines(rows, className, caption) {
    const head = ["row", ...(hasLabels ? ["name"] : []), "activation"];
    const cells = rows.map(({ row, activation }) => {
      return [`${row}`, ...(hasLabels ? [labelOf(row) ?? ""] : []), show(activation, 3)];
    });
    return table(className, head, cells, caption);
  }

  /** Returns the contexts of some rows as a list, or null if the page has none of them. */
  function withContexts(latents, latent, rows) {
    const items = rows.map((one) => contexts.item(latents, latent, one, labelOf(one.row))).filter(Boolean);
    return items.length ? make("ul", { class: "contexts" }, ...items) : null;
  }

  /** Returns the rows of a latent under headings: those that activate it most, then others over the range. */
  function sections(latents, latent) {
    const top = latents.topRows(latent);
    const title = contexts.isThere ? "Contexts that activate the latent most" : "Rows that activate the latent most";
    if (!top.length) return [part(title, "No row activates this latent.")];
    if (contexts.isThere) return contextSections(latents, latent, top, title);
    const spread = latents.spreadRows(latent);
    const about = record.contexts === null && !record.pages ? "The contexts are left out, because the page would be too large with them." : "";
    if (record.image) {
      const isWhole = [...top, ...spread].every(({ row }) => placeOf("pictured", row) >= 0);
      const missing = isWhole ? "" : " Some pictures are left out, because the page would be too large with them.";
      const found = [part(title, `Each row is shown with the activation of the latent.${missing} ${about}`, pictures(top))];
      return [...found, ...overTheRange(spread, pictures)];
    }
    const link = record.pages ? [make("p", {}, further(latents, latent))] : [];
    const found = [part(title, about, ...link, lines(top, hasLabels ? "top named" : "top", title))];
    return [...found, ...overTheRange(spread, (rows) => lines(rows, hasLabels ? "spread named" : "spread", "Other rows"))];
  }

  /** Returns rows over the range of activations, group by group, behind a heading; nothing if there are none. */
  function overTheRange(spread, draw) {
    const groups = GROUPS.map((name, group) => [name, spread.filter((one) => one.group === group)]);
    const drawn = groups.filter(([, rows]) => rows.length).map(([name, rows]) => [name, draw(rows)]);
    const parts = drawn.filter(([, element]) => element).flatMap(([name, element]) => [make("h4", {}, name), element]);
    if (!parts.length) return [];
    const note = "A random sample of the other rows that activate it, from strong to weak.";
    return [make("details", { class: "range" }, make("summary", {}, "Over the range of its activations"), make("p", { class: "note" }, note), ...parts)];
  }

  /** Returns a link to the page with all contexts of a latent, where the page has not all of them. */
  function further(latents, latent) {
    if (!record.pages) return contexts.isThere ? contexts.about() : "";
    const number = String(Math.floor(latent / record.pages.perPage)).padStart(5, "0");
    const file = `${latents.address === "other-" ? "other-" : "latents-"}${number}.html`;
    return make("a", { class: "further", href: `${file}#latent-${latent}` }, "All contexts of this latent");
  }

  function contextSections(latents, latent, top, title) {
    const box = make("div", { class: "with-contexts" });
    const largest = latents.largest[latent];
    const shown = withContexts(latents, latent, top);
    const note = "The framed token is the one whose row has the activation below it. Colour and underline show the activation on each token.";
    const list = shown ?? make("p", { class: "note" }, "The contexts of this latent are left out, because the page would be too large with them.");
    const section = part(title, note, contexts.legend(largest), list);
    section.querySelector(".note").append(" ", further(latents, latent));
    box.append(section);
    box.append(...overTheRange(latents.spreadRows(latent), (rows) => withContexts(latents, latent, rows)));
    for (const details of box.querySelectorAll("details")) details.open = true;
    box.append(contexts.readout(box, largest));
    return [box];
  }

  /** Returns the few rows that activate a latent most, for the table: a context, pictures, a name, or numbers. */
  function strongest(latents, latent) {
    const rows = latents.topRows(latent);
    const context = rows.length && contexts.isThere ? contexts.brief(rows[0]) : null;
    if (context) return context;
    if (record.image) {
      const some = rows.slice(0, 6).map(({ row }) => pictureOfRow(row, nameOfRow(row, labelOf(row))));
      return make("span", { class: "few" }, ...some.filter(Boolean));
    }
    const label = rows.length ? labelOf(rows[0].row) : undefined;
    return label ?? rows.slice(0, 3).map(({ row }) => row).join(", ");
  }

  /** Returns whether the name of one of the rows that activate a latent most contains a text. */
  function nameFilter(latents, text) {
    const asked = text.trim().toLowerCase();
    if (!asked) return () => true;
    const labelled = column("labelled");
    const found = new Set();
    record.labels.forEach((label, place) => label.toLowerCase().includes(asked) && found.add(labelled[place]));
    return (latent) => latents.topRows(latent).some(({ row }) => found.has(row));
  }

  return { sections, strongest, nameFilter, blank };
})();
