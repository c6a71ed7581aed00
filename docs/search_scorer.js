"use strict";

/* How the search ranks what it finds: pages that show how to do something come first, records of decisions last. */

const PLACES = [
  [/^(how_to|getting_started)/, 2.5],
  [/^(guide|cli|gallery|comparison)/, 1.5],
  [/^api\//, 1],
  [/^(decisions|changelog|architecture|gradient-checks|policy)/, 0.1],
  [/^_modules\//, 0.1],
];

var Scorer = {
  // A result is [page, title, anchor, description, score, file, kind].
  score: ([page, , , , score]) => {
    const place = PLACES.find(([pattern]) => pattern.test(page));
    return score * (place ? place[1] : 0.5);
  },

  // The points below are Sphinx's own.
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
