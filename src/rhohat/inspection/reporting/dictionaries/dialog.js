// One latent at a time in a dialog: its figures, the rows that activate it, its neighbours, its partner.
(() => {
  const { record, byId, make, show, brief, counted, bars, part, table, dialogOf } = common;

  /** Returns the latents whose directions are nearest to that of a latent. */
  function similar(own, latent) {
    const others = own.similar(latent);
    if (!others.length) return "";
    const title = "Nearest latents";
    const note = "Latents are compared by the cosine of the angle between their rows of the decoder: 1 means the same direction.";
    const all = make("button", { type: "button", class: "quiet" }, "Sort all latents by similarity");
    all.addEventListener("click", () => {
      byId("close").click();
      latentTable.sortBySimilarityTo(latent);
    });
    if (own.record.directions) {
      const strip = make("ul", { class: "strip" });
      for (const [other, number] of others) {
        const cosine = show(number, 3);
        const caption = make("span", { class: "caption" }, make("span", {}, `latent ${other}`), make("span", {}, cosine));
        const link = own.link(other, own.pictureOf(other) ?? examples.blank(), caption);
        link.setAttribute("aria-label", `Latent ${other}, cosine ${cosine}`);
        strip.append(make("li", {}, link));
      }
      return part(title, note, strip, all);
    }
    const lines = others.map(([other, cosine]) => {
      const link = own.link(other, `latent ${other}`);
      return [link, show(cosine, 3), brief(own.densities[other]), examples.strongest(own, other)];
    });
    const head = ["latent", "cosine", "density", contexts.isThere ? "strongest context" : "strongest rows"];
    return part(title, note, table("top near", head, lines, title), all);
  }

  /** Returns the figures of a latent, its picture, and the features on which its direction is strongest. */
  function figures(own, latent, measures) {
    const facts = [
      ["active on", counted(own.active[latent], "row")],
      ...measures.filter(({ key }) => key !== "partner").map(({ name, values }) => [name, show(values[latent])]),
      ["encoder\u2013decoder cosine", show(own.column("encoder")[latent] / 32767)],
    ];
    const left = make("div", {});
    const drawn = own.pictureOf(latent, `Row of the decoder of latent ${latent}`);
    if (drawn) left.append(part("Row of the decoder", "", make("div", { class: "picture" }, drawn)));
    left.append(part("Figures", "", table("measures", null, facts, `Figures of latent ${latent}`)));
    if (own.record.nFeatures) {
      const [features, weights] = ["features", "weights"].map((name) => [...own.of(name, latent, own.record.nFeatures)]);
      left.append(part("Row of the decoder", "The features with the largest weights.", bars(features, weights, false)));
    }
    return left;
  }

  /** Returns what the other model has in place of a latent: its partner, or the nearest latent, with its rows. */
  function counterpart(own, latent) {
    const others = latentTable.others();
    const partner = own.partnerOf(latent);
    const found = partner ?? own.nearestOther(latent);
    const title = `In the ${others.model}`;
    if (!found) return make("div", {}, part(title, "There is nothing to compare: a dead latent has no counterpart."));
    const [other, cosine] = found;
    const what = partner ? "is the partner of this latent" : "is the most similar latent, but has another partner, so that this one has none";
    const lacking = own.lacksCounterpart(latent) ? " No latent there is similar: this one is lacking." : "";
    const note = make("p", { class: "note" }, others.link(other, `Latent ${other}`), ` ${what}; the cosine is ${show(cosine, 3)}.${lacking}`);
    const facts = [
      ["density", show(others.densities[other])],
      ["largest activation", show(others.largest[other])],
    ];
    const drawn = others.pictureOf(other, `Row of the decoder of latent ${other}`);
    const head = part(title, "", note, table("measures", null, facts, `Figures of latent ${other}`));
    if (drawn) head.append(make("div", { class: "picture" }, drawn));
    return make("div", {}, head, ...examples.sections(others, other));
  }

  function fill(latent) {
    const own = latentTable.own();
    const heading = byId("unit-heading");
    heading.replaceChildren(`Latent ${latent}`);
    if (own.model) heading.append(make("span", { class: "of-model" }, ` of the ${own.model}`));
    const reasons = { dead: "dead: active on none of these rows", dense: "dense: active on more than a tenth of the rows" };
    if (own.stateOf(latent)) heading.append(make("span", { class: "tag" }, reasons[own.stateOf(latent)]));
    const left = figures(own, latent, latentTable.measures());
    const right = make("div", {}, ...examples.sections(own, latent));
    if (record.other) {
      left.append(...right.children, similar(own, latent));
      byId("unit-body").className = "body compared";
      byId("unit-body").replaceChildren(left, counterpart(own, latent));
      return;
    }
    right.append(similar(own, latent));
    byId("unit-body").className = record.image ? "body" : "body tabular";
    byId("unit-body").replaceChildren(left, right);
  }

  let reached = null;

  const dialog = dialogOf({
    sides: latentTable.sides.map(({ address, n }) => ({ prefix: address, n })),
    opening: latentTable.show,
    visible: latentTable.order,
    fill,
    reached: (latent) => {
      reached = latent;
      latentTable.reach(latent);
    },
    closed: () => document.querySelector(`#table tr[data-latent="${reached}"] a`)?.focus(),
  });

  dialog.follow();
})();
