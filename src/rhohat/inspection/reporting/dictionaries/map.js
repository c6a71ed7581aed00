// A map of the directions of latents: a dot for each, on a canvas.
const latentMap = (() => {
  const { record, byId, brief, make } = common;
  const RADIUS = 3;
  const NEAR = 14; // pixels from a dot within which it is pointed at
  const known = record.geometry;
  const canvas = byId("map");

  /** Draws the map, and tells of the latents that are pointed at; `describe` returns what is said of one. */
  function mapOf(describe) {
    if (!known || !canvas) return { show: () => {} };
    const tip = byId("map-tip");
    let [latents, n, places] = [null, 0, []];
    let shown = new Uint8Array(0);
    let pointed = -1;
    let [width, height] = [0, 0];

    const margin = 10;
    const left = (latent) => margin + (places[2 * latent] / 65535) * side() + (width - 2 * margin - side()) / 2;
    const top = (latent) => margin + (places[2 * latent + 1] / 65535) * side() + (height - 2 * margin - side()) / 2;
    const side = () => Math.min(width, height) - 2 * margin;

    function draw() {
      const ratio = devicePixelRatio || 1;
      [width, height] = [canvas.clientWidth, canvas.clientHeight];
      [canvas.width, canvas.height] = [width * ratio, height * ratio];
      const context = canvas.getContext("2d");
      const styles = getComputedStyle(canvas);
      const colours = Object.fromEntries(["accent", "warm", "soft", "ink"].map((name) => [name, colourOf(styles, name)]));
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.clearRect(0, 0, width, height);
      const radius = n > 5000 ? RADIUS / 2 : RADIUS;
      for (const isShown of [0, 1]) {
        for (let latent = 0; latent < n; latent++) {
          if (shown[latent] === isShown) dot(context, colours, latent, radius, isShown);
        }
      }
      if (pointed >= 0) {
        context.globalAlpha = 1;
        context.strokeStyle = colours.ink;
        context.lineWidth = 2;
        context.beginPath();
        context.arc(left(pointed), top(pointed), 2 * RADIUS, 0, 7);
        context.stroke();
      }
      canvas.dataset.drawn = String(shown.reduce((sum, one) => sum + one, 0));
    }

    /** Draws one latent: a disc, a square if it is dense, a ring if it is dead; pale if it is not in the table. */
    function dot(context, colours, latent, radius, isShown) {
      const [x, y] = [left(latent), top(latent)];
      context.globalAlpha = isShown ? 0.75 : 0.12;
      context.fillStyle = latents.isDense(latent) ? colours.warm : colours.accent;
      context.strokeStyle = colours.soft;
      context.lineWidth = 1;
      if (latents.isDense(latent)) {
        context.fillRect(x - 1.5 * radius, y - 1.5 * radius, 3 * radius, 3 * radius);
        return;
      }
      context.beginPath();
      context.arc(x, y, radius, 0, 7);
      if (latents.isDead(latent)) context.stroke();
      else context.fill();
    }

    const colourOf = (styles, name) => {
      const probe = make("span", { class: `colour-${name}` });
      canvas.parentElement.append(probe);
      const { color } = getComputedStyle(probe);
      probe.remove();
      return color;
    };

    /** Returns the latent of the table that is nearest to a place on the canvas, or -1 if none is near. */
    function nearestTo(x, y) {
      let [best, distance] = [-1, NEAR ** 2];
      for (let latent = 0; latent < n; latent++) {
        if (!shown[latent]) continue;
        const away = (left(latent) - x) ** 2 + (top(latent) - y) ** 2;
        if (away < distance) [best, distance] = [latent, away];
      }
      return best;
    }

    function point(event) {
      const latent = nearestTo(event.offsetX, event.offsetY);
      if (latent === pointed) return latent;
      pointed = latent;
      canvas.classList.toggle("on-dot", latent >= 0);
      const state = latent >= 0 ? latents.stateOf(latent) : "";
      const about = latent >= 0 ? `density ${brief(latents.densities[latent])}${state && `, ${state}`}. ` : "";
      if (latent < 0) tip.replaceChildren("Point at a dot to see which latent it is; click it to open the latent.");
      else tip.replaceChildren(make("b", {}, `Latent ${latent}`), `, ${about}`, describe(latents, latent));
      draw();
      return latent;
    }

    canvas.addEventListener("pointermove", point);
    canvas.addEventListener("pointerleave", () => point({ offsetX: -99, offsetY: -99 }));
    canvas.addEventListener("click", (event) => {
      const latent = point(event);
      if (latent >= 0) location.hash = `#${latents.address}${latent}`;
    });
    new ResizeObserver(draw).observe(canvas);
    new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

    return {
      /** Shows the latents of a model, of which those that are not in the table are pale. */
      show(ofModel, order) {
        if (latents !== ofModel) [latents, n, places, pointed] = [ofModel, ofModel.n, ofModel.column("places"), -1];
        shown = new Uint8Array(n);
        for (const latent of order) shown[latent] = 1;
        draw();
      },
    };
  }

  return { mapOf };
})();
