// Some latents of a dictionary, one below another, with all contexts of each, which are filled in when they are near.
(() => {
  const { record, byId, make, show, counted, table } = common;
  const own = latentsOf(record);
  const { first } = record;

  const sections = Array.from({ length: own.n }, (_, place) => {
    const heading = make("h2", {}, `Latent ${first + place}`);
    if (own.stateOf(place)) heading.append(make("span", { class: "tag" }, own.stateOf(place)));
    return make("section", { id: `latent-${first + place}`, class: "one-latent" }, heading);
  });
  byId("latents").append(...sections);

  /** Writes what is known of a latent, unless it is there already. */
  function fill(place) {
    if (sections[place].dataset.filled !== undefined) return;
    sections[place].dataset.filled = "";
    const facts = [
      ["active on", counted(own.active[place], "row")],
      ["density", show(own.densities[place])],
      ["mean activation", show(own.column("mean")[place])],
      ["largest activation", show(own.largest[place])],
    ];
    const figures = make("div", {}, table("measures", null, facts, `Figures of latent ${first + place}`));
    sections[place].append(make("div", { class: "body tabular" }, figures, make("div", {}, ...examples.sections(own, place))));
  }

  const near = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) if (isIntersecting) fill(sections.indexOf(target));
    },
    { rootMargin: "600px" },
  );
  for (const section of sections) near.observe(section);

  function arrange() {
    const isFound = contexts.filter(own, byId("in-contexts").value);
    sections.forEach((section, place) => (section.hidden = !isFound(place)));
    const n = sections.filter((section) => !section.hidden).length;
    byId("count").textContent = `${counted(n)} of ${counted(own.n, "latent")}`;
  }

  /** Shows the latent that the address asks for. */
  function follow() {
    const place = Number(/^#latent-(\d+)$/.exec(location.hash)?.[1] ?? -1) - first;
    if (!sections[place]) return;
    fill(place);
    sections[place].scrollIntoView();
  }

  byId("in-contexts").addEventListener("input", arrange);
  addEventListener("hashchange", follow);
  arrange();
  follow();
})();
