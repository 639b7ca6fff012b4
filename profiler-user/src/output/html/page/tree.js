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
  constructor(expected = 0) {
    this.room = 1 << 12;
    while (this.room < expected) this.room *= 2;
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
    const start = new Float64Array(size), depth = new Int32Array(size), order = new Int32Array(size);
    const rows = [];
    for (let from = 0, end = 1; from < end; ) {
      rows.push(order.subarray(from, end));
      let next = end;
      for (let at = from; at < end; at++) {
        const node = order[at];
        largestFirst(children, first[node], first[node + 1], total, key);
        let x = start[node];
        for (let child = first[node]; child < first[node + 1]; child++) {
          const below = children[child];
          start[below] = x;
          depth[below] = depth[node] + 1;
          x += total[below];
          order[next++] = below;
        }
      }
      from = end;
      end = next;
    }
    return { size, key, parent, own, total, start, depth, rows, children, first };
  }
}

// Sorts a part of an array of nodes. Most nodes have few children, for which this is the fastest way.
function largestFirst(nodes, from, end, total, key) {
  const isBefore = (a, b) => total[a] > total[b] || (total[a] === total[b] && key[a] < key[b]);
  if (end - from > 32) {
    nodes.subarray(from, end).sort((a, b) => (isBefore(a, b) ? -1 : 1));
    return;
  }
  for (let at = from + 1; at < end; at++) {
    const node = nodes[at];
    let place = at;
    for (; place > from && isBefore(node, nodes[place - 1]); place--) nodes[place] = nodes[place - 1];
    nodes[place] = node;
  }
}

function childrenOf(tree, node) {
  return tree.children.subarray(tree.first[node], tree.first[node + 1]);
}

// The graph's tree. `shape.roots` are positions of facets of threads: frames above the stacks, outermost first.
function grow(recording, values, shape) {
  const { counts, nodes, functions } = recording;
  const growing = new Growing(nodes.size);
  const keys = shape.by === "line" ? nodes.line : nodes.function;
  const place = new Int32Array(nodes.size), stamp = new Int32Array(nodes.size), touched = new Int32Array(nodes.size);
  const self = new Float64Array(nodes.size);
  const { tops, members, ends } = groups(recording, values, shape.roots);
  for (let group = 0, at = 0; group < tops.length; group++) {
    let size = 0;
    for (; at < ends[group]; at++) {
      let node = counts.node[members[at]];
      self[node] += values[members[at]];
      for (; node >= 0 && stamp[node] !== group + 1; node = nodes.parent[node]) {
        stamp[node] = group + 1;
        touched[size++] = node;
      }
    }
    const top = tops[group].reduce((above, key) => growing.child(above, key), 0);
    // Callers first.
    for (const node of touched.subarray(0, size).sort()) {
      const above = nodes.parent[node] < 0 ? top : place[nodes.parent[node]];
      const isLeftOut = (shape.foldImports && functions.import[nodes.function[node]]) || (shape.foldLibraries && nodes.isFolded[node]);
      place[node] = isLeftOut ? above : growing.child(above, keys[node]);
      growing.own[place[node]] += self[node];
      self[node] = 0;
    }
  }
  return growing.finish();
}

// Positions of counts that are worth something, those with the same root frames side by side.
function groups({ counts, facets }, values, roots) {
  const tops = [], numbers = new Map(), ofThread = [], sizes = [];
  const group = new Int32Array(counts.size).fill(-1);
  for (let at = 0; at < counts.size; at++) {
    if (values[at] === 0) continue;
    const thread = counts.thread[at];
    if (ofThread[thread] === undefined) {
      const keys = roots.map((facet) => rootKey(facet, facets[facet].ofThread[thread]));
      const name = keys.join();
      if (!numbers.has(name)) {
        numbers.set(name, tops.push(keys) - 1);
        sizes.push(0);
      }
      ofThread[thread] = numbers.get(name);
    }
    group[at] = ofThread[thread];
    sizes[group[at]]++;
  }
  let end = 0;
  const next = sizes.map((size) => (end += size) - size);
  const ends = next.map((from, index) => from + sizes[index]);
  const members = new Int32Array(end);
  for (let at = 0; at < counts.size; at++) {
    if (group[at] >= 0) members[next[group[at]]++] = at;
  }
  return { tops, members, ends };
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

// Nodes that have no node with the same key above them.
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

// A regular expression; without capitals it finds capitals, too. `null` for nothing, a text that says why if it is not one.
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
