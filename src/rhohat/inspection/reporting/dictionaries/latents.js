// What the page knows of the latents of a model: figures of each, and the rows that activate it.

/**
 * Returns the latents that a record and the columns whose names begin with a prefix are about. The addresses of latents
 * begin with `address`, and `model` says whose they are if there are two.
 */
function latentsOf(record, { prefix = "", address = "latent-", model = "" } = {}) {
  const NO_ROW = 2 ** 32 - 1;
  const LACKING = 0.5;
  const DENSE = 0.1;
  const { n, nTop, nSimilar } = record;
  const nSpread = record.nBands * record.perBand + record.nWeakest;
  const nExamples = nTop + nSpread;
  const column = (name) => columns.column(`${prefix}${name}`);

  /** Returns the numbers of one latent in a column with several for each. */
  const of = (name, latent, length) => column(name).subarray(latent * length, (latent + 1) * length);

  const active = column("active");
  const largest = column("largest");
  const densities = Float64Array.from(active, (count) => count / record.nRows);
  const isDead = (latent) => active[latent] === 0;
  const isDense = (latent) => densities[latent] > DENSE;
  const stateOf = (latent) => (isDead(latent) ? "dead" : isDense(latent) ? "dense" : "");

  /** Returns rows of a latent: its row number, its activation, and its place among all examples. */
  function rowsIn(latent, names, length, before) {
    const shares = of(names[1], latent, length);
    const rows = Array.from(of(names[0], latent, length), (row, rank) => {
      return { row, activation: (shares[rank] / 65535) * largest[latent], place: before + rank };
    });
    return rows.filter(({ row }) => row !== NO_ROW);
  }

  /** Returns the rows that activate a latent most, the strongest first. */
  const topRows = (latent) => rowsIn(latent, ["rows", "shares"], nTop, 0);

  /** Returns rows over the range of a latent's activations, each with its group: a quarter from 0, or that of the weakest. */
  function spreadRows(latent) {
    const rows = rowsIn(latent, ["spreadRows", "spreadShares"], nSpread, nTop);
    return rows.map((one) => {
      return { ...one, group: Math.min(record.nBands, Math.floor((one.place - nTop) / record.perBand)) };
    });
  }

  // Activations around rows: for each row, so many, one after another.

  let starts = null;

  function startOf(example) {
    if (!starts) {
      const counts = column("contextCounts");
      starts = new Uint32Array(counts.length + 1);
      for (let place = 0; place < counts.length; place++) starts[place + 1] = starts[place] + counts[place];
    }
    return starts[example];
  }

  /** Returns activations around a row, as shares of the largest, by offset of the token; null if the page has none. */
  function sharesAround(latent, place) {
    const example = latent * nExamples + place;
    const [start, stop] = [startOf(example), startOf(example + 1)];
    if (!(stop > start)) return null;
    const shares = new Map();
    for (let entry = start; entry < stop; entry++) {
      shares.set(column("contextOffsets")[entry], column("contextShares")[entry] / 65535);
    }
    return shares;
  }

  const hasContext = (latent, place) => startOf(latent * nExamples + place + 1) > startOf(latent * nExamples + place);

  const nearestCosine = (latent) => (nSimilar ? column("cosines")[latent * nSimilar] / 32767 : 0);

  /** Returns the latents whose directions are nearest, with the cosines of the angles. */
  function similar(latent) {
    const cosines = of("cosines", latent, nSimilar);
    return Array.from(of("similar", latent, nSimilar), (other, rank) => [other, cosines[rank] / 32767]);
  }

  /** Returns the cosines of the angles between the direction of a latent and those of all, or what is nearly these. */
  function similarityTo(latent) {
    const { dimensions, scale } = record.geometry;
    const coordinates = column("coordinates");
    const found = new Float64Array(n);
    for (let other = 0; other < n; other++) {
      let sum = 0;
      for (let axis = 0; axis < dimensions; axis++) {
        sum += coordinates[latent * dimensions + axis] * coordinates[other * dimensions + axis];
      }
      found[other] = Math.min(1, sum * scale ** 2);
    }
    for (const [other, cosine] of similar(latent)) found[other] = cosine; // these are exact
    found[latent] = 1;
    return found;
  }

  /** Returns the latent of the other model that is the partner of one, with the cosine; null if it has none. */
  function partnerOf(latent) {
    const partner = column("partners")[latent];
    return partner === NO_ROW ? null : [partner, column("partnerCosines")[latent] / 32767];
  }

  /** Returns the latent of the other model that is most similar to one, with the cosine; null if both are dead. */
  function nearestOther(latent) {
    const other = column("nearestOther")[latent];
    return other === NO_ROW ? null : [other, column("nearestOtherCosines")[latent] / 32767];
  }

  /** Returns whether no latent of the other model is similar to a latent that is alive. */
  const lacksCounterpart = (latent) => !isDead(latent) && column("nearestOtherCosines")[latent] / 32767 < LACKING;

  /** Returns the picture of the direction of a latent, or null if the page does not have it. */
  function pictureOf(latent, label) {
    if (!record.directions) return null;
    const drawn = `${prefix}drawn`;
    const place = columns.has(drawn) ? columns.placeOf(drawn, latent) : latent;
    return place < 0 ? null : common.picture(record.directions, place, label);
  }

  /** Returns a latent as a link, with what stands in it. */
  const link = (latent, ...children) => common.make("a", { href: `#${address}${latent}` }, ...children);

  return {
    record, address, model, partnerOf, nearestOther, lacksCounterpart, pictureOf, link,
    n, of, column, active, largest, densities, isDead, isDense, stateOf, topRows, spreadRows, sharesAround, hasContext,
    nearestCosine, similar, similarityTo,
  };
}
