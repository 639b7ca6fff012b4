// The time line: how much each slice of the recording took, and which of them are shown. A drag or two numbers choose.

class TimeLine {
  // `time`: `slices` and `slice_ns`; `changed(range)` with the first and last slice, or `null` for all.
  constructor(time, changed) {
    this.time = time;
    this.changed = changed;
    this.range = null;
    this.values = new Float64Array(time.slices);
    this.canvas = byId("time-canvas");
    this.from = byId("time-from");
    this.to = byId("time-to");
    this.seconds = (time.slices * time.slice_ns) / 1e9;
    byId("time").hidden = false;
    byId("time-form").addEventListener("submit", (event) => event.preventDefault());
    byId("time-all").addEventListener("click", () => this.set(null));
    for (const input of [this.from, this.to]) {
      input.max = this.seconds;
      input.addEventListener("change", () => this.readNumbers());
    }
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    this.listen();
    this.say();
  }

  // `values` by slice.
  show(values) {
    this.values = values;
    this.draw();
  }

  set(range) {
    this.range = range;
    this.say();
    this.draw();
    this.changed(range);
  }

  // Without telling anybody.
  clear() {
    this.range = null;
    this.say();
  }

  say() {
    const { slices, slice_ns } = this.time;
    const [first, last] = this.range ?? [0, slices - 1];
    const seconds = (slice) => Number(((slice * slice_ns) / 1e9).toPrecision(6));
    this.from.value = seconds(first);
    this.to.value = seconds(last + 1);
    byId("time-all").disabled = this.range === null;
  }

  readNumbers() {
    const { slices, slice_ns } = this.time;
    const slice = (input, other) => (Number.isFinite(input.valueAsNumber) ? (input.valueAsNumber * 1e9) / slice_ns : other);
    const first = Math.max(0, Math.min(slices - 1, Math.floor(slice(this.from, 0) + 1e-6)));
    const last = Math.max(first, Math.min(slices - 1, Math.ceil(slice(this.to, slices) - 1e-6) - 1));
    this.set(first === 0 && last === slices - 1 ? null : [first, last]);
  }

  listen() {
    const { canvas } = this;
    const sliceAt = (event) => {
      const box = canvas.getBoundingClientRect();
      const slice = Math.floor(((event.clientX - box.left) / box.width) * this.time.slices);
      return Math.max(0, Math.min(this.time.slices - 1, slice));
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.began = sliceAt(event);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (this.began === undefined) return;
      const slice = sliceAt(event);
      this.brushed = [Math.min(this.began, slice), Math.max(this.began, slice)];
      this.draw();
    });
    canvas.addEventListener("pointerup", () => {
      const brushed = this.brushed;
      this.began = this.brushed = undefined;
      // A click without a drag ends the choice.
      this.set(brushed ?? null);
    });
    canvas.addEventListener("pointercancel", () => {
      this.began = this.brushed = undefined;
      this.draw();
    });
  }

  draw() {
    const { canvas, values } = this;
    const box = canvas.getBoundingClientRect(), scale = window.devicePixelRatio || 1;
    if (box.width === 0) return;
    canvas.width = Math.round(box.width * scale);
    canvas.height = Math.round(box.height * scale);
    const context = canvas.getContext("2d"), style = getComputedStyle(canvas);
    const { width, height } = canvas;
    // One bar for as many slices as fit into a few pixels: equally many in each, or they would look like waves.
    const each = Math.ceil(values.length / Math.max(1, Math.floor(width / (3 * scale))));
    const bars = Math.ceil(values.length / each), sums = new Float64Array(bars);
    for (let slice = 0; slice < values.length; slice++) sums[Math.floor(slice / each)] += values[slice];
    const most = sums.reduce((a, b) => Math.max(a, b), 0) || 1;
    const range = this.brushed ?? this.range;
    if (range) {
      context.fillStyle = style.getPropertyValue("--chosen");
      context.fillRect((range[0] / values.length) * width, 0, ((range[1] + 1 - range[0]) / values.length) * width, height);
    }
    for (let bar = 0; bar < bars; bar++) {
      const middle = (bar + 0.5) * each;
      const isIn = !range || (middle >= range[0] && middle <= range[1] + 1);
      context.fillStyle = style.getPropertyValue(isIn ? "--bar" : "--bar-out");
      const high = (sums[bar] / most) * (height - 2);
      const left = Math.round((bar * each * width) / values.length), right = Math.round(((bar + 1) * each * width) / values.length);
      context.fillRect(left, height - high, Math.max(right - left - scale, 1), high);
    }
  }
}
