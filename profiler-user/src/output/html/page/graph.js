// A flame graph on a canvas: draws one tree, as far as it can be seen, and is moved by pointer and keys. Used for the graph and
// for callers and callees. Whoever makes one says what frames are called, and hears of what is chosen.

const ROW = 20, LEAST_WIDTH = 0.5, TEXT_FROM = 26, ZOOM_MS = 140;
const SHADES = 8;

class Graph {
  // `on`: `point(node, event)`, `select(node)`, `zoom()`, `open(node)`; `look`: `text(key)`, `colour(key, node)`, `isFound(key)`.
  constructor(place, label, look, on) {
    this.look = look;
    this.on = on;
    this.place = place;
    this.room = document.createElement("div");
    this.room.className = "room";
    this.canvas = document.createElement("canvas");
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "application");
    this.canvas.setAttribute("aria-roledescription", "flame graph");
    this.canvas.setAttribute("aria-label", label);
    this.canvas.setAttribute("aria-describedby", "details-text");
    this.room.append(this.canvas);
    place.append(this.room);
    this.context = this.canvas.getContext("2d");
    this.isFlame = false;
    this.tree = null;
    this.from = 0;
    this.to = 1;
    this.zoomed = 0;
    this.selected = 0;
    this.isDue = false;
    place.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.resize()).observe(place);
    this.listen();
  }

  // Shows another tree. What is zoomed and selected stays, as far as it is there.
  show(tree) {
    const zoomed = this.tree && this.zoomed ? pathOf(this.tree, this.zoomed) : [];
    const selected = this.tree && this.selected ? pathOf(this.tree, this.selected) : [];
    this.tree = tree;
    this.zoomed = findPath(tree, zoomed);
    this.selected = findPath(tree, selected);
    [this.from, this.to] = this.rangeOf(this.zoomed);
    this.animation = null;
    this.resize();
  }

  rangeOf(node) {
    const from = this.tree.start[node];
    return [from, from + Math.max(this.tree.total[node], Number.MIN_VALUE)];
  }

  resize() {
    if (!this.tree || this.place.clientWidth === 0) return;
    const height = Math.max(this.tree.rows.length * ROW, this.place.clientHeight);
    const wasAtEnd = this.place.scrollTop + this.place.clientHeight >= this.height - 1;
    const isNew = height !== this.height || this.wasFlame !== this.isFlame;
    this.height = height;
    this.wasFlame = this.isFlame;
    this.room.style.height = `${height}px`;
    this.width = this.place.clientWidth;
    this.seen = this.place.clientHeight;
    const scale = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(this.width * scale);
    this.canvas.height = Math.round(this.seen * scale);
    this.canvas.style.width = `${this.width}px`;
    this.canvas.style.height = `${this.seen}px`;
    if (isNew && this.isFlame && wasAtEnd !== false) this.place.scrollTop = height;
    if (isNew && !this.isFlame) this.place.scrollTop = Math.min(this.place.scrollTop, height - this.seen);
    this.draw();
  }

  draw() {
    if (this.isDue) return;
    this.isDue = true;
    requestAnimationFrame((now) => {
      this.isDue = false;
      if (!this.tree || !this.width) return;
      this.step(now);
      this.paint();
    });
  }

  step(now) {
    if (!this.animation) return;
    const { began, from, to } = this.animation;
    this.animation.began = began ?? now;
    const part = Math.min(1, (now - (began ?? now)) / ZOOM_MS), eased = 1 - (1 - part) ** 3;
    this.from = from[0] + (to[0] - from[0]) * eased;
    this.to = from[1] + (to[1] - from[1]) * eased;
    if (part < 1) this.draw();
    else this.animation = null;
  }

  paint() {
    const { context, canvas, tree, width, seen } = this;
    const started = performance.now();
    const scale = canvas.width / width;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    const style = getComputedStyle(this.place);
    this.colours = { back: style.backgroundColor, rest: style.getPropertyValue("--rest"), edge: style.getPropertyValue("--edge"), faded: style.getPropertyValue("--faded"), mark: style.getPropertyValue("--mark"), fadedText: style.getPropertyValue("--faded-text") };
    context.fillStyle = this.colours.back;
    context.fillRect(0, 0, width, seen);
    context.font = `12px ${style.getPropertyValue("--mono")}`;
    context.textBaseline = "middle";
    this.letter = context.measureText("0").width;
    const above = new Set();
    for (let node = tree.parent[this.zoomed]; node >= 0; node = tree.parent[node]) above.add(node);
    for (let row = 0; row < tree.rows.length; row++) {
      const y = this.top(row);
      if (y + ROW > 0 && y < seen) this.paintRow(tree.rows[row], y, above);
    }
    this.painted = performance.now() - started;
  }

  top(row) {
    return (this.isFlame ? this.height - (row + 1) * ROW : row * ROW) - this.place.scrollTop;
  }

  paintRow(row, y, above) {
    const { tree, width, context, colours, look } = this;
    const scale = width / (this.to - this.from);
    let tiny = -1;
    const flush = (until) => {
      if (tiny < 0) return;
      context.fillStyle = colours.rest;
      context.fillRect(tiny, y, Math.max(until - tiny, LEAST_WIDTH), ROW - 1);
      tiny = -1;
    };
    for (let at = firstUntil(tree, row, this.from); at < row.length; at++) {
      const node = row[at];
      const x = (tree.start[node] - this.from) * scale;
      if (x > width) break;
      const wide = tree.total[node] * scale;
      if (wide < LEAST_WIDTH * 2) {
        // Too many of them to be told apart: one bar for all that touch.
        if (tiny >= 0 && x - this.tinyEnd > 1) flush(this.tinyEnd);
        if (tiny < 0) tiny = x;
        this.tinyEnd = x + wide;
        continue;
      }
      flush(this.tinyEnd);
      this.paintFrame(node, Math.max(x, 0), Math.min(x + wide, width), y, above.has(node), look);
    }
    flush(this.tinyEnd);
  }

  paintFrame(node, left, right, y, isAbove, look) {
    const { context, tree, colours } = this;
    const key = tree.key[node];
    const wide = Math.max(right - left - (right - left > 3 ? 1 : 0), LEAST_WIDTH);
    const isFound = look.isFound(key);
    context.globalAlpha = isAbove ? 0.55 : 1;
    context.fillStyle = isFound === false ? colours.faded : look.colour(key, node);
    context.fillRect(left, y, wide, ROW - 1);
    if (isFound) {
      context.fillStyle = colours.mark;
      context.fillRect(left, y + ROW - 4, wide, 3);
    }
    if (wide >= TEXT_FROM) {
      context.fillStyle = isFound === false ? colours.fadedText : "#111";
      this.paintText(look.text(key), left + 4, y + ROW / 2, wide - 7);
    }
    context.globalAlpha = 1;
    if (node === this.selected && node !== 0) {
      context.strokeStyle = colours.edge;
      context.lineWidth = 2;
      context.strokeRect(left + 1, y + 1, Math.max(wide - 2, 1), ROW - 3);
    }
  }

  paintText(text, x, y, wide) {
    const { context } = this;
    let room = Math.floor(wide / this.letter);
    if (room < 2) return;
    if (/^[\x20-\x7e]*$/.test(text)) {
      context.fillText(text.length > room ? `${text.slice(0, room - 1)}…` : text, x, y);
      return;
    }
    // Letters of other scripts are not all equally wide.
    const letters = Array.from(text.length > room * 2 ? text.slice(0, room * 2) : text);
    let shown = letters.slice(0, room).join("");
    while (room > 1 && context.measureText(shown).width > wide) {
      room = Math.floor(room * 0.8);
      shown = letters.slice(0, room).join("") + "…";
    }
    context.fillText(shown, x, y);
  }

  nodeAt(x, y) {
    const { tree } = this;
    if (!tree) return -1;
    const line = y + this.place.scrollTop;
    const row = tree.rows[Math.floor((this.isFlame ? this.height - line : line) / ROW)];
    if (!row) return -1;
    const value = this.from + (x / this.width) * (this.to - this.from);
    const node = row[firstUntil(tree, row, value)];
    return node !== undefined && tree.start[node] <= value ? node : -1;
  }

  zoom(node) {
    this.zoomed = node;
    this.goTo(this.rangeOf(node));
    this.on.zoom();
  }

  goTo([from, to]) {
    const isStill = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.animation = isStill ? null : { from: [this.from, this.to], to: [from, to] };
    if (isStill) [this.from, this.to] = [from, to];
    this.draw();
  }

  // By a factor, around a place between 0 and 1.
  zoomBy(factor, around) {
    const all = this.tree.total[0] || 1, wide = Math.min(all, (this.to - this.from) * factor);
    const from = this.from + (this.to - this.from - wide) * around;
    this.moveTo(from, Math.max(wide, all * 1e-9));
  }

  moveTo(from, wide) {
    const all = this.tree.total[0] || 1;
    this.from = Math.min(Math.max(0, from), all - wide);
    this.to = this.from + wide;
    this.animation = null;
    // Free movement: the frame that still fills everything is the one that is zoomed to.
    let node = 0;
    for (let below; (below = Array.from(childrenOf(this.tree, node)).find((child) => this.covers(child))) !== undefined; ) node = below;
    this.zoomed = node;
    this.on.zoom();
    this.draw();
  }

  covers(node) {
    const slack = (this.to - this.from) * 1e-9;
    return this.tree.start[node] <= this.from + slack && this.tree.start[node] + this.tree.total[node] >= this.to - slack;
  }

  select(node) {
    if (node < 0 || node >= this.tree.size) return;
    this.selected = node;
    const y = this.top(this.tree.depth[node]);
    if (y < 0) this.place.scrollTop += y;
    if (y + ROW > this.seen) this.place.scrollTop += y + ROW - this.seen;
    this.draw();
    this.on.select(node);
  }

  listen() {
    const { canvas } = this;
    const at = (event) => {
      const box = canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    canvas.addEventListener("pointermove", (event) => {
      if (this.drag) return this.dragTo(event);
      const node = this.nodeAt(...at(event));
      canvas.style.cursor = node >= 0 ? "pointer" : "default";
      this.on.point(node, event);
    });
    canvas.addEventListener("pointerleave", (event) => this.on.point(-1, event));
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button === 0) this.drag = { x: event.clientX, from: this.from, isMoved: false, pointer: event.pointerId };
    });
    canvas.addEventListener("pointerup", (event) => {
      const wasMoved = this.drag?.isMoved;
      this.drag = null;
      if (wasMoved || event.button !== 0) return;
      const node = this.nodeAt(...at(event));
      if (node < 0) return;
      this.select(node);
      this.zoom(node);
    });
    canvas.addEventListener("pointercancel", () => (this.drag = null));
    canvas.addEventListener("dblclick", (event) => {
      const node = this.nodeAt(...at(event));
      if (node >= 0) this.on.open(node);
    });
    canvas.addEventListener("wheel", (event) => this.wheel(event, at(event)[0]), { passive: false });
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  dragTo(event) {
    const moved = event.clientX - this.drag.x;
    if (!this.drag.isMoved && Math.abs(moved) < 4) return;
    if (!this.drag.isMoved) this.canvas.setPointerCapture(this.drag.pointer);
    this.drag.isMoved = true;
    const wide = this.to - this.from;
    this.moveTo(this.drag.from - (moved / this.width) * wide, wide);
  }

  wheel(event, x) {
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      this.zoomBy(Math.exp(Math.max(-100, Math.min(100, event.deltaY)) * 0.005), x / this.width);
    } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      const wide = this.to - this.from;
      this.moveTo(this.from + ((event.deltaX || event.deltaY) / this.width) * wide, wide);
    }
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.tree) return;
    const { tree, selected } = this;
    const outwards = this.isFlame ? "ArrowDown" : "ArrowUp", inwards = this.isFlame ? "ArrowUp" : "ArrowDown";
    const act = {
      [outwards]: () => this.select(Math.max(tree.parent[selected], 0)),
      [inwards]: () => this.select(childrenOf(tree, selected)[0] ?? selected),
      ArrowLeft: () => this.select(this.neighbour(-1)),
      ArrowRight: () => this.select(this.neighbour(1)),
      Home: () => this.select(0),
      Enter: () => this.zoom(selected),
      " ": () => this.zoom(selected),
      Backspace: () => this.zoom(Math.max(tree.parent[this.zoomed], 0)),
      "+": () => this.zoomBy(0.7, 0.5),
      "=": () => this.zoomBy(0.7, 0.5),
      "-": () => this.zoomBy(1 / 0.7, 0.5),
      s: () => this.on.open(selected),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }

  // The next frame of the same row.
  neighbour(step) {
    const row = this.tree.rows[this.tree.depth[this.selected]];
    return row[row.indexOf(this.selected) + step] ?? this.selected;
  }

  // The next frame that was found, in the order of rows.
  nextFound(step) {
    const all = this.tree.rows.flatMap((row) => Array.from(row)).filter((node) => this.look.isFound(this.tree.key[node]));
    if (all.length === 0) return;
    const order = all.indexOf(this.selected);
    const next = all[(order < 0 ? (step > 0 ? 0 : all.length - 1) : order + step + all.length) % all.length];
    this.select(next);
    if (this.tree.start[next] < this.from || this.tree.start[next] >= this.to) this.zoom(next);
  }
}

// Where the first node of a row is that ends after `value`.
function firstUntil(tree, row, value) {
  let low = 0, high = row.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (tree.start[row[middle]] + tree.total[row[middle]] <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}

function pathOf(tree, node) {
  const path = [];
  for (; node > 0; node = tree.parent[node]) path.unshift(tree.key[node]);
  return path;
}

function findPath(tree, path) {
  let node = 0;
  for (const key of path) {
    const below = childrenOf(tree, node).find((child) => tree.key[child] === key);
    if (below === undefined) break;
    node = below;
  }
  return node;
}
