// Contexts of rows: the tokens around the one that a row belongs to, with activations as colour and underline.
const contexts = (() => {
  const { record, make, show, counted } = common;
  const { column, placeBefore, placeOf, has } = columns;
  const N_LEVELS = 8;
  const known = record.contexts;
  const isThere = Boolean(known);

  /** Returns the context of a row: which tokens, the place of its own, and where it is from; null if there is none. */
  function contextOf(row) {
    const found = isThere ? placeOf("contextRows", row) : -1;
    if (found < 0) return null;
    const place = column("contextPlaces")[found];
    const passages = column("passages");
    const passage = placeBefore(passages, place);
    const [first, last] = [passages[passage], passages[passage + 1]];
    const [start, stop] = [Math.max(first, place - known.before), Math.min(last, place + known.after + 1)];
    const edges = column("passageEdges")[passage];
    return {
      place,
      start,
      stop,
      isCutBefore: start > first || !(edges & 1),
      isCutAfter: stop < last || !(edges & 2),
      position: column("passageFirst")[passage] + place - first,
      name: known.names[column("passageName")[passage]],
    };
  }

  const tokenAt = (place) => known.vocabulary[column("tokens")[place]];

  /** Returns a text in which the ends of lines and tabs are seen; a line may be broken after each. */
  const visible = (text) => text.replaceAll(/\r\n|\r|\n/g, "\u23ce\u200b").replaceAll("\t", "\u21e5\u200b");

  /** Returns a token as the white space before it and the rest, which is not empty. */
  function split(token) {
    const [, space, rest] = /^(\s*)([^]*)$/.exec(token);
    return rest ? [visible(space), visible(rest)] : ["", visible(space)];
  }

  const hasRow = (place) => !has("withRow") || column("withRow")[place] === 1;

  const levelOf = (share) => (share > 0 ? Math.max(1, Math.ceil(N_LEVELS * share - 1e-6)) : 0);

  /** Returns the tokens of a context as elements, of which those can be reached that the latent is active on. */
  function words(context, shares) {
    const line = make("p", { class: "words", dir: "auto" });
    if (context.isCutBefore) line.append(make("span", { class: "cut" }, "\u2026"));
    for (let place = context.start; place < context.stop; place++) {
      const share = shares.get(place - context.place) ?? 0;
      const isMarked = place === context.place;
      const attributes = { "data-share": hasRow(place) ? share : "none" };
      if (share > 0) Object.assign(attributes, { class: `token on-${levelOf(share)}`, tabindex: 0 });
      else attributes.class = hasRow(place) ? "token" : "token without";
      const [space, token] = split(tokenAt(place));
      line.append(space, make(isMarked ? "mark" : "span", attributes, token));
    }
    if (context.isCutAfter) line.append(make("span", { class: "cut" }, "\u2026"));
    return line;
  }

  /** Returns a row of a latent with its context as an item of a list; null if the page has no context of it. */
  function item(latents, latent, { row, activation, place }, label) {
    const context = contextOf(row);
    const shares = context && latents.sharesAround(latent, place);
    if (!shares) return null;
    const isPartOfText = context.isCutBefore || context.isCutAfter || context.stop - context.start > 1;
    const from = [context.name, label, isPartOfText ? `token ${context.position}` : "", `row ${row}`];
    const caption = make("p", { class: "source" }, make("b", {}, show(activation, 3)));
    for (const part of from.filter(Boolean)) caption.append(" ", make("span", {}, part));
    return make("li", { class: "context", "data-row": row }, words(context, shares), caption);
  }

  /** Returns the few tokens around that of a row, for the table; null if the page has no context of it. */
  function brief({ row }) {
    const context = contextOf(row);
    if (!context) return null;
    const line = make("span", { class: "snippet", dir: "auto" });
    const [start, stop] = [Math.max(context.start, context.place - 6), Math.min(context.stop, context.place + 4)];
    if (context.isCutBefore || start > context.start) line.append("\u2026");
    for (let place = start; place < stop; place++) {
      const [space, token] = split(tokenAt(place));
      line.append(space, place === context.place && stop - start > 1 ? make("mark", {}, token) : token);
    }
    if (context.isCutAfter || stop < context.stop) line.append("\u2026");
    return line;
  }

  /** Returns what explains the colours, for a latent with this largest activation. */
  function legend(largest) {
    const scale = make("p", { class: "scale" }, make("span", {}, "0"));
    for (let level = 1; level <= N_LEVELS; level++) {
      scale.append(make("span", { class: `token swatch on-${level}`, "aria-hidden": "true" }, "\u2002"));
    }
    scale.append(make("span", {}, `${show(largest, 3)}, the largest activation`));
    return scale;
  }

  /** Returns a line that tells the activation on the token that is pointed at or has the focus in an element. */
  function readout(element, largest) {
    const hint = "Point at a token, or move to it with the Tab key, to read its activation.";
    const line = make("p", { class: "readout", role: "status" }, hint);
    const tell = (event) => {
      const token = event.target.closest?.(".token[data-share]");
      if (!token) return;
      const share = Number(token.dataset.share);
      const said = Number.isNaN(share) ? "was not measured" : `activation ${show(share * largest, 3)}`;
      const name = make("bdi", {}, token.textContent.trim().slice(0, 40) || "white space");
      const percent = share > 0 ? `, ${show(100 * share, 2)} % of the largest` : "";
      line.replaceChildren("\u201c", name, `\u201d: ${said}${percent}`);
    };
    element.addEventListener("pointerover", tell);
    element.addEventListener("focusin", tell);
    return line;
  }

  // The search looks for a text in all passages, and then for the contexts that contain a place where it was found.

  let joined = null;

  /** Returns the texts of the passages, in lower case, and the place of the character at which each token begins. */
  function joinedTexts() {
    if (joined) return joined;
    const numbers = column("tokens");
    const lower = known.vocabulary.map((token) => token.toLowerCase());
    const begins = new Uint32Array(numbers.length + 1);
    const pieces = new Array(numbers.length);
    for (let place = 0; place < numbers.length; place++) {
      pieces[place] = lower[numbers[place]];
      begins[place + 1] = begins[place] + pieces[place].length;
    }
    joined = { text: pieces.join(""), begins };
    return joined;
  }

  /** Returns the first and the last token of each place at which a text is found within a passage, in ascending order. */
  function placesWith(text) {
    const { text: all, begins } = joinedTexts();
    const [firsts, lasts] = [[], []];
    for (let at = all.indexOf(text); at >= 0; at = all.indexOf(text, at + 1)) {
      const [first, last] = [placeBefore(begins, at), placeBefore(begins, at + text.length - 1)];
      if (placeBefore(column("passages"), first) !== placeBefore(column("passages"), last)) continue;
      firsts.push(first);
      lasts.push(last);
    }
    return { firsts, lasts };
  }

  /** Returns whether one of the contexts of a latent contains a text. */
  function filter(latents, text) {
    const asked = text.trim().toLowerCase();
    if (!asked || !isThere) return () => true;
    const { firsts, lasts } = placesWith(asked);
    const rows = column("contextRows");
    const matching = new Set();
    for (const row of firsts.length ? rows : []) {
      const { start, stop } = contextOf(row);
      let place = placeBefore(firsts, start - 1) + 1; // the first that begins within the context
      // Of places that begin at the same token, the shortest comes first only by chance.
      for (; place < firsts.length && firsts[place] < stop; place++) {
        if (lasts[place] >= stop) continue;
        matching.add(row);
        break;
      }
    }
    return (latent) => {
      return [...latents.topRows(latent), ...latents.spreadRows(latent)].some(
        ({ row, place }) => matching.has(row) && latents.hasContext(latent, place),
      );
    };
  }

  /** Returns a sentence on contexts that the page does not have; nothing if it has all. */
  function about() {
    if (!known.leftOut) return "";
    return `Up to ${counted(known.leftOut, "context")} of each latent are left out, because the page would be too large with them.`;
  }

  return { isThere, item, brief, legend, readout, filter, about };
})();
