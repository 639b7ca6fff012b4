// The recording: tables out of the JSON block, numbers as typed arrays, texts of frames and amounts. Knows nothing of the page.

const PROGRAM = 0, PACKAGE = 1, STANDARD_LIBRARY = 2, NOBODY = 6;

function readRecording(json) {
  const raw = JSON.parse(json);
  const functions = raw.functions;
  functions.owner = Uint8Array.from(functions.owner);
  functions.import = Uint8Array.from(functions.import);
  const lines = { function: Int32Array.from(raw.lines.function), line: raw.lines.line, about: raw.lines.about };
  const size = raw.nodes.line.length;
  const nodes = {
    size,
    // Callers come first, and everything below a node comes right after it.
    parent: new Int32Array(size),
    depth: new Int32Array(size),
    line: Int32Array.from(raw.nodes.line),
    function: new Int32Array(size),
    inLibrary: new Uint8Array(size),
    isFolded: new Uint8Array(size),
  };
  for (let node = 0; node < size; node++) {
    const up = raw.nodes.up[node];
    const parent = up === 0 ? -1 : node - up;
    nodes.parent[node] = parent;
    nodes.depth[node] = parent < 0 ? 0 : nodes.depth[parent] + 1;
    nodes.function[node] = lines.function[nodes.line[node]];
    foldLibrary(nodes, functions, node);
  }
  const counts = {
    size: raw.counts.node.length,
    source: Uint8Array.from(raw.counts.source),
    thread: Int32Array.from(raw.counts.thread),
    node: Int32Array.from(raw.counts.node),
    samples: Float64Array.from(raw.counts.samples),
    weight: Float64Array.from(raw.counts.weight),
    slice: raw.time ? Int32Array.from(raw.counts.slice) : null,
  };
  const recording = { ...raw, functions, lines, nodes, counts };
  recording.facets = [...raw.facets, ...stackFacets(recording)];
  return recording;
}

// The rule of `report --tree`: of each run of a library's code the function that was called into is shown, and what a library
// runs on belongs to it.
function foldLibrary(nodes, functions, node) {
  const parent = nodes.parent[node];
  const inLibrary = parent >= 0 && nodes.inLibrary[parent] === 1;
  const owner = functions.owner[nodes.function[node]];
  const isLibrary = owner === PACKAGE || owner === STANDARD_LIBRARY || (owner > STANDARD_LIBRARY && owner < NOBODY && inLibrary);
  nodes.isFolded[node] = inLibrary && isLibrary ? 1 : 0;
  nodes.inLibrary[node] = owner !== PROGRAM && (inLibrary || isLibrary) ? 1 : 0;
}

// What stacks are told apart by, beside their threads.
function stackFacets(recording) {
  const { nodes, functions, owners } = recording;
  const owner = new Int32Array(nodes.size);
  const wait = new Int32Array(nodes.size);
  const waits = ["not waiting"], waitIndex = new Map();
  for (let node = 0; node < nodes.size; node++) {
    const of = nodes.function[node], parent = nodes.parent[node];
    owner[node] = functions.owner[of] === NOBODY && parent >= 0 ? owner[parent] : functions.owner[of];
    if (functions.owner[of] === NOBODY && /^<(waiting|sleeping)/.test(functions.name[of])) {
      if (!waitIndex.has(of)) waitIndex.set(of, waits.push(functions.name[of]) - 1);
      wait[node] = waitIndex.get(of);
    }
  }
  return [
    { key: "owner", label: "Innermost code", values: owners.map((of) => of.label), ofNode: owner },
    { key: "waiting", label: "Waiting for", values: waits, ofNode: wait },
  ];
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
