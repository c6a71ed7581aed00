// The classes of labelled rows: the latents that are correlated most with each, and how well probes tell it from others.
(() => {
  const { record, byId, make, show, brief, counted, table } = common;
  const chosen = byId("class");
  if (!chosen) return;
  const { names, counts, latents, correlations, inside, outside, probing } = record.classes;
  const own = latentTable.sides[0];
  names.forEach((name, number) => chosen.append(make("option", { value: number }, name)));

  /** Returns what probes say of a class, as text; nothing if it was not probed. */
  function ofProbes(number) {
    const accuracy = probing?.accuracy[number];
    if (!accuracy) return "";
    const parts = probing.k.map((k, place) => `${show(accuracy[place], 3)} with ${counted(k, "latent")}`);
    return ` Accuracy of probes: ${parts.join(", ")} (${counted(probing.nRows, "row")}).`;
  }

  function fill() {
    const number = Number(chosen.value);
    byId("class-facts").textContent = `${counted(counts[number], "row")}.${ofProbes(number)}`;
    const percent = (share) => `${brief(100 * share)} %`;
    const lines = latents[number].map((latent, rank) => [
      own.link(latent, `${latent}`),
      show(correlations[number][rank], 3),
      percent(inside[number][rank]),
      percent(outside[number][rank]),
      examples.strongest(own, latent),
    ]);
    const strongest = contexts.isThere ? "strongest context" : "strongest rows";
    const head = ["latent", "correlation", "active inside", "active outside", strongest];
    byId("class-latents").replaceChildren(table("top near of-class", head, lines, "Strongest latents of the class"));
  }

  chosen.addEventListener("change", fill);
  fill();
})();
