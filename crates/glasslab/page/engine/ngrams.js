// N-gram hash embeddings: rows of a table for a character with those before it, found by a number computed from them.

import { plus, rowsAt } from "./operations.js";

const PRIME = 2 ** 31 - 1;
const FACTOR = 1_000_003; // products stay below 2⁵³

// The rows of the groups that end with the last of ids, the shortest first; a character before the text counts as −1.
export function groupRows({ longest, rows }, ids) {
  let number = ids[ids.length - 1] + 1;
  return Array.from({ length: longest - 1 }, (_, back) => {
    number = (number * FACTOR + (ids[ids.length - 2 - back] ?? -1) + 1) % PRIME;
    return number % rows;
  });
}

// The stream with the rows of each character's groups added, after the ids read before: (T, C) → (T, C)
export function withGroups(x, table, config, ids, before) {
  const known = [...before, ...ids];
  const rows = Array.from(ids, (_, at) => groupRows(config, known.slice(0, before.length + at + 1)));
  let added = rowsAt(table, rows.map((groups) => groups[0]));
  for (let back = 1; back < config.longest - 1; back++) added = plus(added, rowsAt(table, rows.map((groups) => groups[back])));
  return plus(x, added);
}
