// The recording: tables out of the JSON block, numbers as typed arrays, texts of frames and amounts. Knows nothing of the page.

const PROGRAM = 0, PACKAGE = 1, STANDARD_LIBRARY = 2, NOBODY = 6;

function readRecording(json) {
  const raw = JSON.parse(json);
  const functions = raw.functions;
  for (const name of ["first_line", "owner", "import"]) functions[name] = numbers(functions[name]);
  const lines = { function: numbers(raw.lines.function), line: numbers(raw.lines.line), about: numbers(raw.lines.about) };
  const nodes = readNodes(raw.nodes, lines, functions.owner);
  const counts = {
    source: numbers(raw.counts.source),
    thread: numbers(raw.counts.thread),
    node: numbers(raw.counts.node),
    samples: numbers(raw.counts.samples, Float64Array),
    weight: numbers(raw.counts.weight, Float64Array),
    slice: raw.counts.slice ? numbers(raw.counts.slice) : null,
  };
  counts.size = counts.node.length;
  const recording = { ...raw, functions, lines, nodes, counts };
  const facets = raw.facets.map((facet) => ({ ...facet, ofThread: numbers(facet.of_thread) }));
  recording.facets = [...facets, ...stackFacets(recording)];
  return recording;
}

// A column of numbers, as `columns.rs` writes it: how much each differs from the one before, seven bits in a byte, the lowest
// first; of the number that they make the lowest bit is the sign; all in base64.
function numbers(text, Kind = Int32Array) {
  const bytes = Uint8Array.fromBase64 ? Uint8Array.fromBase64(text) : Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  let size = 0;
  for (let at = 0; at < bytes.length; at++) size += bytes[at] < 128 ? 1 : 0;
  const column = new Kind(size);
  let last = 0;
  for (let at = 0, index = 0; index < size; index++) {
    let value = 0, scale = 1, byte;
    do {
      byte = bytes[at++];
      value += (byte & 127) * scale;
      scale *= 128;
    } while (byte >= 128);
    // Beyond 2^53 the last digits are lost, as in any number of a page.
    const half = Math.floor(value / 2);
    last += value % 2 === 0 ? half : -half - 1;
    column[index] = last;
  }
  return column;
}

// Stacks as a tree: callers come first, and everything below a node comes right after it.
function readNodes(raw, lines, owners) {
  const up = numbers(raw.up), line = numbers(raw.line), size = up.length;
  const parent = new Int32Array(size), depth = new Int32Array(size), of = new Int32Array(size);
  // The rule of `report --tree`: of each run of a library's code the function that was called into is shown, and what a library
  // runs on belongs to it.
  const inLibrary = new Uint8Array(size), isFolded = new Uint8Array(size);
  for (let node = 0; node < size; node++) {
    const above = up[node] === 0 ? -1 : node - up[node];
    const wasIn = above >= 0 && inLibrary[above] === 1;
    const owner = owners[lines.function[line[node]]];
    const isLibrary = owner === PACKAGE || owner === STANDARD_LIBRARY || (owner > STANDARD_LIBRARY && owner < NOBODY && wasIn);
    parent[node] = above;
    depth[node] = above < 0 ? 0 : depth[above] + 1;
    of[node] = lines.function[line[node]];
    isFolded[node] = wasIn && isLibrary ? 1 : 0;
    inLibrary[node] = owner !== PROGRAM && (wasIn || isLibrary) ? 1 : 0;
  }
  return { size, parent, depth, line, function: of, isFolded };
}

// What stacks are told apart by, beside their threads: whose code was running, and what was waited for.
function stackFacets({ nodes, functions, owners, counts }) {
  const { parent, function: of, size } = nodes;
  const waits = ["not waiting"];
  // By function: the owner of its code, and the position of what is waited for.
  const waitOf = Int32Array.from(functions.name, (name, index) => (functions.owner[index] === NOBODY && /^<(waiting|sleeping)/.test(name) ? waits.push(name) - 1 : 0));
  const owner = new Int32Array(size), wait = new Int32Array(size);
  for (let node = 0; node < size; node++) {
    const own = functions.owner[of[node]];
    owner[node] = own === NOBODY && parent[node] >= 0 ? owner[parent[node]] : own;
    wait[node] = waitOf[of[node]];
  }
  const facet = (key, label, texts, ofNode) => {
    // Only what occurs is in a menu.
    const place = new Int32Array(texts.length).fill(-1), values = [];
    for (let at = 0; at < counts.size; at++) {
      const value = ofNode[counts.node[at]];
      if (place[value] < 0) place[value] = values.push(texts[value]) - 1;
    }
    return { key, label, values, ofNode: ofNode.map((value) => place[value]) };
  };
  return [facet("owner", "Innermost code", owners.map((of) => of.label), owner), facet("waiting", "Waiting for", waits, wait)];
}

// As `--function` writes it: with the line at which it begins.
function functionText({ functions }, index) {
  return frameText(functions, index, functions.first_line[index], false);
}

function lineText({ functions, lines }, index) {
  return frameText(functions, lines.function[index], lines.line[index], lines.about[index] === 1);
}

function frameText({ name, place }, index, line, isAbout) {
  if (!place[index]) return name[index];
  return line ? `${name[index]} (${place[index]}:${isAbout ? "~" : ""}${line})` : `${name[index]} (${place[index]})`;
}

// The frame above the stacks of a group of threads.
const ROOT_BITS = 20;
const rootKey = (facet, value) => -2 - (facet * (1 << ROOT_BITS) + value);

function rootText(recording, key) {
  const code = -2 - key;
  return recording.facets[code >> ROOT_BITS].values[code & ((1 << ROOT_BITS) - 1)];
}

const COUNT = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

// For people; of time three digits.
function amountText(value, unit) {
  if (unit.unit === "nanoseconds") return timeText(value);
  return `${COUNT.format(value)} ${value === 1 ? unit.one : unit.unit}`;
}

// The same without the unit's name, where a column says it.
function numberText(value, unit) {
  return unit.unit === "nanoseconds" ? timeText(value) : COUNT.format(value);
}

function timeText(nanoseconds) {
  for (const [size, name] of [[1e9, "s"], [1e6, "ms"], [1e3, "µs"]]) {
    if (nanoseconds >= size * 0.9995) {
      const value = nanoseconds / size;
      return `${value >= 1000 ? COUNT.format(value) : value.toPrecision(3)} ${name}`;
    }
  }
  return `${COUNT.format(nanoseconds)} ns`;
}

function percentText(value, total) {
  const percent = total > 0 ? (100 * value) / total : 0;
  return `${percent.toFixed(percent > 0 && percent < 0.1 ? 2 : 1)} %`;
}
