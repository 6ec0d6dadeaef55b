// Merging the parts of a word: the pair that comes first in its tokenizer's order, first; of equal ones, the one further left.
// A heap holds the pairs that may be merged, so a word of N parts takes about N log N steps.

// Merges parts, [{ id, from, to }] with the places of their bytes, as far as merge(first, second) → { when, id } or undefined
// says; gives what is left of them.
export function mergedParts(parts, merge) {
  const waiting = new Heap();
  parts.forEach((part, place) => Object.assign(part, { before: place - 1, after: place + 1, gone: false }));
  const pairAt = (place) => {
    const [first, second] = [parts[place], parts[parts[place]?.after]];
    return first && second && !first.gone ? merge(first, second) : undefined;
  };
  const look = (place) => {
    const pair = pairAt(place);
    if (pair) waiting.push({ when: pair.when, place, id: pair.id });
  };
  parts.forEach((_, place) => look(place));
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    // What was merged since makes another pair, or none.
    if (pairAt(next.place)?.id !== next.id) continue;
    const first = parts[next.place];
    const second = parts[first.after];
    Object.assign(first, { id: next.id, to: second.to, after: second.after });
    second.gone = true;
    if (parts[first.after]) parts[first.after].before = next.place;
    look(first.before);
    look(next.place);
  }
  return parts.filter((part) => !part.gone);
}

// The smallest first: by `when`, then by place.
class Heap {
  constructor() {
    this.items = [];
  }

  push(item) {
    const { items } = this;
    let at = items.push(item) - 1;
    while (at > 0 && comesBefore(item, items[(at - 1) >> 1])) {
      items[at] = items[(at - 1) >> 1];
      at = (at - 1) >> 1;
    }
    items[at] = item;
  }

  pop() {
    const { items } = this;
    const [first, last] = [items[0], items.pop()];
    if (items.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && comesBefore(items[child + 1], items[child])) child += 1;
      if (!comesBefore(items[child], last)) break;
      items[at] = items[child];
      at = child;
    }
    items[at] = last;
    return first;
  }
}

function comesBefore(one, other) {
  return one.when !== other.when ? one.when < other.when : one.place < other.place;
}
