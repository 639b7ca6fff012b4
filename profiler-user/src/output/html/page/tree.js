// Trees and tables made of the counts that filters leave. Pure: numbers in, numbers out; nothing here touches the page.

// What each count is worth in a unit, 0 where a filter excludes it. `except` names a facet that is not applied.
function select(recording, unit, filters, slices, except) {
  const { counts, facets } = recording;
  const values = new Float64Array(counts.size);
  const of = unit.value === "samples" ? counts.samples : counts.weight;
  const sources = new Uint8Array(256);
  for (const source of unit.sources) sources[source] = 1;
  const byThread = [], byNode = [];
  for (const facet of facets) {
    const allowed = filters.get(facet.key);
    if (!allowed || facet.key === except) continue;
    const mask = Uint8Array.from(facet.values, (_, index) => (allowed.has(index) ? 1 : 0));
    (facet.ofNode ? byNode : byThread).push([facet.ofNode ?? facet.ofThread, mask]);
  }
  for (let at = 0; at < counts.size; at++) {
    if (!sources[counts.source[at]]) continue;
    if (slices && (counts.slice[at] < slices[0] || counts.slice[at] > slices[1])) continue;
    if (byThread.every(([index, mask]) => mask[index[counts.thread[at]]]) && byNode.every(([index, mask]) => mask[index[counts.node[at]]])) {
      values[at] = of[at];
    }
  }
  return values;
}

function sum(values) {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

// A tree that grows: nodes by parent and key, found in an open hash table.
class Growing {
  constructor() {
    this.room = 1 << 12;
    this.size = 1;
    this.key = new Int32Array(this.room);
    this.parent = new Int32Array(this.room);
    this.own = new Float64Array(this.room);
    this.key[0] = -1;
    this.parent[0] = -1;
    this.places = new Int32Array(this.room * 2);
  }

  child(parent, key) {
    const mask = this.places.length - 1;
    let at = (Math.imul(parent, 0x9e3779b1) ^ Math.imul(key, 0x85ebca6b)) >>> 0;
    at = (at ^ (at >>> 15)) & mask;
    for (let node; (node = this.places[at]) !== 0; at = (at + 1) & mask) {
      if (this.parent[node] === parent && this.key[node] === key) return node;
    }
    if (this.size === this.room) {
      this.enlarge();
      return this.child(parent, key);
    }
    const node = this.size++;
    this.parent[node] = parent;
    this.key[node] = key;
    this.places[at] = node;
    return node;
  }

  enlarge() {
    this.room *= 2;
    for (const name of ["key", "parent", "own"]) {
      const larger = new this[name].constructor(this.room);
      larger.set(this[name]);
      this[name] = larger;
    }
    this.places = new Int32Array(this.room * 2);
    const mask = this.places.length - 1;
    for (let node = 1; node < this.size; node++) {
      let at = (Math.imul(this.parent[node], 0x9e3779b1) ^ Math.imul(this.key[node], 0x85ebca6b)) >>> 0;
      at = (at ^ (at >>> 15)) & mask;
      while (this.places[at] !== 0) at = (at + 1) & mask;
      this.places[at] = node;
    }
  }

  // The finished tree: totals, the largest child first, rows of nodes from left to right.
  finish() {
    const { size } = this;
    const [key, parent, own] = [this.key, this.parent, this.own].map((array) => array.slice(0, size));
    const total = own.slice();
    for (let node = size - 1; node > 0; node--) total[parent[node]] += total[node];
    const first = new Int32Array(size + 2);
    for (let node = 1; node < size; node++) first[parent[node] + 2]++;
    for (let node = 1; node < first.length; node++) first[node] += first[node - 1];
    const children = new Int32Array(size - 1);
    for (let node = 1; node < size; node++) children[first[parent[node] + 1]++] = node;
    const start = new Float64Array(size), depth = new Int32Array(size);
    const rows = [Int32Array.of(0)];
    for (let row = rows[0]; row.length; ) {
      const next = [];
      for (const node of row) {
        const own = children.subarray(first[node], first[node + 1]);
        if (own.length > 1) own.sort((a, b) => total[b] - total[a] || key[a] - key[b]);
        let x = start[node];
        for (const child of own) {
          start[child] = x;
          depth[child] = depth[node] + 1;
          x += total[child];
          next.push(child);
        }
      }
      row = Int32Array.from(next);
      if (row.length) rows.push(row);
    }
    return { size, key, parent, own, total, start, depth, rows, children, first };
  }
}

function childrenOf(tree, node) {
  return tree.children.subarray(tree.first[node], tree.first[node + 1]);
}

// The graph's tree. `shape.roots` are positions of facets of threads: frames above the stacks, outermost first.
function grow(recording, values, shape) {
  const { counts, nodes, functions } = recording;
  const growing = new Growing();
  const keys = shape.by === "line" ? nodes.line : nodes.function;
  const place = new Int32Array(nodes.size), stamp = new Int32Array(nodes.size).fill(-1);
  const self = new Float64Array(nodes.size);
  let number = 0;
  for (const { roots, members } of groups(recording, values, shape.roots)) {
    const touched = [];
    for (const at of members) {
      let node = counts.node[at];
      self[node] += values[at];
      for (; node >= 0 && stamp[node] !== number; node = nodes.parent[node]) {
        stamp[node] = number;
        touched.push(node);
      }
    }
    number++;
    const top = roots.reduce((above, key) => growing.child(above, key), 0);
    for (const node of Int32Array.from(touched).sort()) {
      const above = nodes.parent[node] < 0 ? top : place[nodes.parent[node]];
      const isLeftOut = (shape.foldImports && functions.import[nodes.function[node]]) || (shape.foldLibraries && nodes.isFolded[node]);
      place[node] = isLeftOut ? above : growing.child(above, keys[node]);
      growing.own[place[node]] += self[node];
      self[node] = 0;
    }
  }
  return growing.finish();
}

// Positions of counts that are worth something, by the root frames of their threads.
function groups({ counts, facets }, values, roots) {
  const groups = new Map(), ofThread = [];
  for (let at = 0; at < counts.size; at++) {
    if (values[at] === 0) continue;
    const thread = counts.thread[at];
    let group = ofThread[thread];
    if (!group) {
      const keys = roots.map((facet) => rootKey(facet, facets[facet].ofThread[thread]));
      const name = keys.join();
      if (!groups.has(name)) groups.set(name, { roots: keys, members: [] });
      group = ofThread[thread] = groups.get(name);
    }
    group.members.push(at);
  }
  return groups.values();
}

// What functions and lines took, themselves and with all they called. What calls itself counts once.
function tables(recording, values) {
  const { counts, nodes, functions, lines } = recording;
  const own = new Float64Array(nodes.size);
  for (let at = 0; at < counts.size; at++) own[counts.node[at]] += values[at];
  const total = own.slice();
  for (let node = nodes.size - 1; node >= 0; node--) {
    if (nodes.parent[node] >= 0) total[nodes.parent[node]] += total[node];
  }
  const tally = (of, size) => {
    const table = { own: new Float64Array(size), total: new Float64Array(size) };
    for (const node of outermost(nodes, of, size)) table.total[of[node]] += total[node];
    for (let node = 0; node < nodes.size; node++) table.own[of[node]] += own[node];
    return table;
  };
  return {
    own,
    total,
    functions: tally(nodes.function, functions.name.length),
    lines: tally(nodes.line, lines.line.length),
  };
}

// Nodes above which there is none with the same key.
function* outermost(nodes, of, size) {
  const open = new Int32Array(size), path = [];
  for (let node = 0; node < nodes.size; node++) {
    while (path.length > nodes.depth[node]) open[of[path.pop()]]--;
    path.push(node);
    if (open[of[node]]++ === 0) yield node;
  }
}

// Who calls a function, and what it calls: two trees with the function at their root.
function sandwich(recording, table, of) {
  const { nodes } = recording;
  const callers = new Growing(), callees = new Growing();
  const place = new Int32Array(nodes.size);
  for (const node of outermost(nodes, nodes.function, recording.functions.name.length)) {
    if (nodes.function[node] !== of || table.total[node] === 0) continue;
    let caller = 0;
    for (let above = nodes.parent[node]; above >= 0; above = nodes.parent[above]) caller = callers.child(caller, nodes.function[above]);
    callers.own[caller] += table.total[node];
    place[node] = 0;
    callees.own[0] += table.own[node];
    for (let below = node + 1; below < nodes.size && nodes.depth[below] > nodes.depth[node]; below++) {
      if (table.total[below] === 0) continue;
      place[below] = callees.child(place[nodes.parent[below]], nodes.function[below]);
      callees.own[place[below]] += table.own[below];
    }
  }
  return { callers: callers.finish(), callees: callees.finish() };
}

// A regular expression; without capitals it finds capitals, too. `null` for nothing, a text that says why if it is none.
function pattern(text) {
  if (text === "") return null;
  const letters = text.replace(/\\./g, "");
  try {
    return new RegExp(text, letters === letters.toLowerCase() ? "i" : "");
  } catch {
    return "not a regular expression";
  }
}

// The part of a tree that was found: the outermost nodes, whatever is below them.
function foundIn(tree, isFound) {
  const found = new Uint8Array(tree.size);
  let total = 0, frames = 0;
  for (const row of tree.rows) {
    for (const node of row) {
      const hit = isFound(tree.key[node]);
      frames += hit ? 1 : 0;
      const above = tree.parent[node] >= 0 && found[tree.parent[node]] ? 1 : 0;
      if (hit && !above) total += tree.total[node];
      found[node] = hit || above ? 1 : 0;
    }
  }
  return { total, frames };
}
