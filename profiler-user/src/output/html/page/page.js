// The page: what is shown of the recording, and what the controls do. Text of the recording reaches the page as text only.

const byId = (id) => document.getElementById(id);

class Page {
  constructor() {
    this.recording = readRecording(byId("recording").textContent);
    const { recording } = this;
    this.filters = new Map();
    this.slices = null;
    this.unit = recording.units[recording.unit];
    this.by = "function";
    this.roots = recording.roots.map((key) => recording.facets.findIndex((facet) => facet.key === key)).filter((facet) => facet >= 0);
    this.foldImports = false;
    this.foldLibraries = false;
    this.pattern = null;
    this.chosen = null;
    this.view = "graph";
    this.source = new SourceView(recording);
    this.difference = recording.difference ? new Difference(recording) : null;
    this.head();
    this.colours();
    this.makeGraphs();
    this.makeTables();
    this.makeFilters();
    this.makeControls();
    this.makeKeys();
    this.update();
  }

  head() {
    const { title, about, accounts } = this.recording;
    document.title = `${title} – pyebpf`;
    byId("title").textContent = title;
    byId("about").textContent = about;
    byId("accounts-part").hidden = accounts.length === 0;
    byId("accounts").append(...accounts.map((line) => make("li", line)));
  }

  // Same function, same colour: that of its owner, a little lighter or darker.
  colours() {
    const { owners, functions } = this.recording;
    const shades = owners.map(({ colour }) => Array.from({ length: SHADES }, (_, shade) => shaded(colour, shade)));
    this.colourOf = functions.name.map((name, index) => {
      const owner = functions.owner[index];
      return owner === NOBODY ? owners[owner].colour : shades[owner][shadeOf(name)];
    });
    if (this.difference) return this.legendOfChanges();
    const seen = new Set(functions.owner);
    for (const [index, { label, colour }] of owners.entries()) {
      if (!seen.has(index)) continue;
      const line = make("li"), sample = make("span", "", "colour");
      sample.style.backgroundColor = colour;
      line.append(sample, label);
      byId("legend").append(line);
    }
  }

  // Of two recordings, colours say what changed.
  legendOfChanges() {
    byId("legend").setAttribute("aria-label", "Colours: what changed");
    for (const [label, colour] of [["more than before", "rgb(255 110 110)"], ["less", "rgb(110 110 255)"], ["chance explains it", "#e8e8e8"]]) {
      const line = make("li"), sample = make("span", "", "colour");
      sample.style.backgroundColor = colour;
      line.append(sample, label);
      byId("legend").append(line);
    }
  }

  look(by, top) {
    const { recording } = this;
    const functionOf = (key) => (by() === "line" ? recording.lines.function[key] : key);
    const known = { function: [], line: [] };
    const look = {
      text: (key) => (key < -1 ? rootText(recording, key) : key < 0 ? top() : (known[by()][key] ??= (by() === "line" ? lineText : functionText)(recording, key))),
      colour: (key, node) => (key === -1 ? "#d4d8de" : this.difference ? this.colourOfChange(look, node) : key < 0 ? "#d4d8de" : this.colourOf[functionOf(key)]),
      // `null` while nothing is searched for.
      isFound: (key) => (this.found ? key >= 0 && this.found[by()][key] === 1 : null),
      functionOf: (key) => (key < 0 ? -1 : functionOf(key)),
    };
    return look;
  }

  colourOfChange(look, node) {
    return look === this.graph.look ? this.difference.colour(node) : "#e8e8e8";
  }

  makeGraphs() {
    const graph = (place, label, by, top) => {
      const look = this.look(by, top);
      const graph = new Graph(byId(place), label, look, {
        point: (node, event) => this.point(graph, node, event),
        select: (node) => this.describe(graph, node),
        zoom: () => this.zoomed(),
        open: (node) => this.openSandwich(look.functionOf(graph.tree.key[node])),
      });
      return graph;
    };
    this.graph = graph("graph", "Flame graph", () => this.by, () => "all");
    const chosen = () => functionText(this.recording, this.chosen);
    this.callers = graph("callers", "Callers", () => "function", chosen);
    this.callees = graph("callees", "Callees", () => "function", chosen);
    this.callers.isFlame = true;
  }

  makeTables() {
    const { recording } = this;
    const numbers = (of) => {
      const number = (title, value) => ({ title, text: (row) => numberText(value(row), this.unit), order: value });
      const share = (title, value) => ({ title, text: (row) => percentText(value(row), this.total), order: value, share: (row) => value(row) / (this.total || 1) });
      const own = (row) => this.tables[of].own[row], total = (row) => this.tables[of].total[row];
      return [share("Own %", own), number("Own", own), share("Total %", total), number("Total", total)];
    };
    const name = (title, text, functionOf) => ({
      title,
      isName: true,
      text,
      order: (row) => text(row).toLowerCase(),
      colour: (row) => this.colourOf[functionOf(row)],
      owner: (row) => recording.owners[recording.functions.owner[functionOf(row)]].label,
    });
    const columns = this.difference ? (of) => this.columnsOfChange(of) : numbers;
    this.functionTable = new Table(byId("functions"), "Functions", [...columns("functions"), name("Function", (row) => functionText(recording, row), (row) => row)], (row) => this.openSandwich(row));
    const lines = [...columns("lines"), name("Line", (row) => lineText(recording, row), (row) => recording.lines.function[row])];
    if (recording.sources.length) lines.push({ title: "Source", isCode: true, text: (row) => this.source.text(row), order: (row) => this.source.text(row) });
    this.lineTable = new Table(byId("lines"), "Lines", lines, (row) => this.openSandwich(recording.lines.function[row]));
  }

  // What changed, then what was before and is after; each of the rows is one of so many.
  columnsOfChange(of) {
    const { difference } = this;
    const columns = [];
    for (const [title, name] of [["Own", "own"], ["Total", "total"]]) {
      const pair = (row) => [0, 1].map((side) => this.bothTables[side][of][name][row]);
      const mark = (row) => (difference.chance(...pair(row)) * this.rowsOf(of) < SIGNIFICANT ? "*" : "");
      columns.push({ title: `${title} +/−`, text: (row) => signed(difference.change(...pair(row))) + mark(row), order: (row) => Math.abs(difference.change(...pair(row))) });
      for (const [side, when] of [[0, "before"], [1, "after"]]) {
        const share = (row) => difference.percent(pair(row)[side], side);
        columns.push({ title: `${title} ${when}`, text: (row) => `${share(row).toFixed(1)} %`, order: share, share: (row) => Math.min(1, share(row) / 100) });
      }
    }
    return columns;
  }

  // How many rows of a table there are in either recording.
  rowsOf(of) {
    const [before, after] = this.bothTables;
    return (this.knownRows[of] ??= before[of].total.reduce((rows, value, row) => rows + (value > 0 || after[of].total[row] > 0 ? 1 : 0), 0) * 2);
  }

  makeFilters() {
    const { recording } = this;
    const sums = (facet) => {
      const sums = new Float64Array(facet.values.length), { counts } = recording;
      const values = select(recording, this.unit, this.filters, this.slices, facet.key);
      for (let at = 0; at < counts.size; at++) sums[facet.ofNode ? facet.ofNode[counts.node[at]] : facet.ofThread[counts.thread[at]]] += values[at];
      return sums;
    };
    this.menus = new Filters(byId("facets"), recording.facets, this.filters, sums, () => this.update());
    if (recording.time) {
      this.time = new TimeLine(recording.time, (range) => {
        this.slices = range;
        this.update();
      });
    }
  }

  makeControls() {
    const { recording } = this;
    const choose = (id, values, chosen, act) => {
      byId(id).append(...values.map((text, index) => new Option(text, index)));
      byId(id).value = chosen;
      byId(id).addEventListener("change", () => {
        act(Number(byId(id).value));
        this.update();
      });
    };
    choose("unit", recording.units.map((unit) => unit.label), recording.unit, (index) => (this.unit = recording.units[index]));
    byId("unit-label").hidden = recording.units.length < 2;
    const facets = recording.facets.map((_, index) => index).filter((index) => recording.facets[index].ofThread);
    const ways = [[], ...facets.map((facet) => [facet])];
    if (this.roots.length > 1) ways.push(this.roots);
    const label = (way) => way.map((facet) => recording.facets[facet].label.toLowerCase()).join(", ") || "nothing";
    choose("roots", ways.map(label), ways.findIndex((way) => way.join() === this.roots.join()), (index) => (this.roots = ways[index]));
    const has = (flags) => flags.some((flag) => flag);
    byId("fold-imports-label").hidden = !has(recording.functions.import);
    byId("fold-libraries-label").hidden = !has(recording.nodes.isFolded);
    for (const [id, name] of [["fold-imports", "foldImports"], ["fold-libraries", "foldLibraries"]]) {
      byId(id).addEventListener("change", () => {
        this[name] = byId(id).checked;
        this.update();
      });
    }
    byId("by").addEventListener("change", () => {
      this.by = byId("by").value;
      this.update();
    });
    byId("by").closest("label").hidden = !recording.has_lines;
    byId("side-label").hidden = !this.difference;
    if (this.difference) {
      choose("side", this.difference.names.map((name, side) => `${["before", "after"][side]}: ${name}`), 1, (side) => (this.difference.shown = side));
    }
    byId("tab-lines").hidden = !recording.has_lines;
    byId("layout").addEventListener("change", () => this.turn(byId("layout").value === "flame"));
    byId("search").addEventListener("input", () => this.search());
    byId("search").addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.shownGraph()?.nextFound(event.shiftKey ? -1 : 1);
    });
    byId("reset").addEventListener("click", () => this.reset());
    byId("unzoom").addEventListener("click", () => this.graph.zoom(0));
    byId("help-button").addEventListener("click", () => byId("help").showModal());
    for (const view of ["graph", "functions", "lines"]) byId(`tab-${view}`).addEventListener("click", () => this.open(view));
    this.makeTheme();
  }

  makeTheme() {
    const themes = ["system", "light", "dark"];
    let theme = 0;
    // A page out of a file may have no memory of its own.
    try {
      theme = Math.max(0, themes.indexOf(localStorage.getItem("pyebpf-theme")));
    } catch {}
    const set = (next) => {
      theme = next % themes.length;
      document.documentElement.dataset.theme = themes[theme];
      byId("theme").textContent = `Theme: ${themes[theme]}`;
      for (const drawn of [this.graph, this.callers, this.callees, this.time]) drawn?.draw();
    };
    this.nextTheme = () => {
      set(theme + 1);
      try {
        localStorage.setItem("pyebpf-theme", themes[theme]);
      } catch {}
    };
    byId("theme").addEventListener("click", this.nextTheme);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => set(theme));
    set(theme);
  }

  makeKeys() {
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
      if (event.key === "Escape") return event.target.id === "search" ? event.target.blur() : this.escape();
      if (event.target.closest("input, select, textarea")) return;
      const act = {
        "/": () => byId("search").focus(),
        "?": () => byId("help").showModal(),
        n: () => this.shownGraph()?.nextFound(1),
        N: () => this.shownGraph()?.nextFound(-1),
        f: () => this.turn(!this.graph.isFlame),
        t: () => this.nextTheme(),
        1: () => this.open("graph"),
        2: () => this.open("functions"),
        3: () => this.recording.has_lines && this.open("lines"),
      }[event.key];
      if (!act) return;
      event.preventDefault();
      act();
    });
    const tabs = ["graph", "functions", "lines"].map((view) => byId(`tab-${view}`)).filter((tab) => !tab.hidden);
    for (const [index, tab] of tabs.entries()) {
      tab.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        const next = tabs[(index + step + tabs.length) % tabs.length];
        next.click();
        next.focus();
      });
    }
  }

  escape() {
    if (this.graph.zoomed || this.graph.from > 0 || this.graph.to < this.graph.tree.total[0]) this.graph.zoom(0);
    else this.reset();
  }

  reset() {
    byId("search").value = "";
    this.pattern = this.found = null;
    byId("found").textContent = "";
    this.filters.clear();
    this.slices = null;
    this.menus.update();
    this.time?.clear();
    this.graph.selected = 0;
    this.update();
    this.graph.zoom(0);
  }

  open(view) {
    this.view = view;
    for (const other of ["graph", "functions", "lines"]) {
      byId(`panel-${other}`).hidden = other !== view;
      byId(`tab-${other}`).setAttribute("aria-selected", String(other === view));
      byId(`tab-${other}`).tabIndex = other === view ? 0 : -1;
    }
    byId("tip").hidden = true;
    this.fill();
  }

  turn(isFlame) {
    this.graph.isFlame = isFlame;
    byId("layout").value = isFlame ? "flame" : "icicle";
    this.graph.resize();
  }

  shownGraph() {
    return { graph: this.graph, functions: this.chosen === null ? null : this.callees }[this.view];
  }

  // After what is shown has changed: numbers, then whatever is on view.
  update() {
    const { recording } = this;
    const { difference } = this;
    let values = select(recording, this.unit, this.filters, this.slices, null);
    if (difference) {
      difference.split(values, select(recording, { ...this.unit, value: "samples" }, this.filters, this.slices, null));
      values = difference.values[difference.shown];
    }
    this.values = values;
    this.total = sum(values);
    this.knownTables = this.knownBoth = null;
    this.knownRows = {};
    const isAll = (this.filters.size === 0 && !this.slices) || difference;
    const all = isAll ? this.total : sum(select(recording, this.unit, new Map(), null, null));
    const part = this.total === all ? "" : ` of ${amountText(all, this.unit)} (${percentText(this.total, all)})`;
    byId("shown").textContent = `${amountText(this.total, this.unit)}${part}`;
    const { by, foldImports, foldLibraries, roots } = this;
    const shape = { by, foldImports, foldLibraries, roots };
    const tree = grow(recording, values, shape);
    if (difference) difference.setTrees(tree, grow(recording, difference.values[1 - difference.shown], shape));
    this.graph.show(tree);
    if (this.time) {
      const slices = new Float64Array(recording.time.slices);
      const ofAllTime = this.slices ? select(recording, this.unit, this.filters, null, null) : values;
      for (let at = 0; at < ofAllTime.length; at++) slices[recording.counts.slice[at]] += ofAllTime[at];
      this.time.show(slices);
    }
    this.zoomed();
    this.search();
  }

  // Made when somebody looks at them.
  get tables() {
    return (this.knownTables ??= tables(this.recording, this.values));
  }

  // Of both recordings.
  get bothTables() {
    return (this.knownBoth ??= this.difference.values.map((values) => tables(this.recording, values)));
  }

  search() {
    const { recording } = this;
    const wanted = pattern(byId("search").value);
    const isWrong = typeof wanted === "string";
    byId("search").setAttribute("aria-invalid", String(isWrong));
    this.found = null;
    if (wanted instanceof RegExp) {
      const test = (text, size) => Uint8Array.from({ length: size }, (_, index) => (wanted.test(text(recording, index)) ? 1 : 0));
      this.found = { function: test(functionText, recording.functions.name.length), line: test(lineText, recording.lines.line.length) };
    }
    byId("found").textContent = isWrong ? wanted : this.found ? this.foundText() : "";
    this.fill();
    for (const graph of [this.graph, this.callers, this.callees]) graph.draw();
  }

  foundText() {
    const { total, frames } = foundIn(this.graph.tree, this.graph.look.isFound);
    return `${COUNT.format(frames)} ${frames === 1 ? "frame" : "frames"}, ${percentText(total, this.total)}`;
  }

  // The tables, as far as they are on view.
  fill() {
    if (this.view === "functions") this.functionTable.show(this.rows("functions", "function"));
    if (this.view === "lines") this.lineTable.show(this.rows("lines", "line"));
    if (this.view === "functions" && this.chosen !== null) this.fillSandwich();
  }

  rows(table, by) {
    const rows = [];
    const other = this.difference ? this.bothTables[1 - this.difference.shown][table].total : null;
    for (const [row, total] of this.tables[table].total.entries()) {
      if ((total > 0 || other?.[row] > 0) && (!this.found || this.found[by][row])) rows.push(row);
    }
    return rows;
  }

  openSandwich(of) {
    if (of < 0) return;
    this.chosen = of;
    this.open("functions");
    this.functionTable.choose(of);
  }

  fillSandwich() {
    const { recording, chosen } = this;
    const { own, total } = this.tables.functions;
    const { callers, callees } = sandwich(recording, this.tables, chosen);
    const share = (value) => `${amountText(value, this.unit)} (${percentText(value, this.total)})`;
    byId("sandwich-title").replaceChildren(make("bdi", functionText(recording, chosen)), make("span", `total ${share(total[chosen])}, own ${share(own[chosen])}`));
    for (const [name, tree] of [["callers", callers], ["callees", callees]]) {
      byId(`${name}-title`).hidden = false;
      byId(name).hidden = tree.size <= 1;
      byId(`${name}-title`).textContent = tree.size > 1 ? `${name === "callers" ? "Callers" : "Callees"}` : `No ${name}`;
      byId(name).style.height = `${Math.min(Math.max(tree.rows.length, 2), 18) * ROW + 2}px`;
      this[name].show(tree);
    }
    this.fillSource(chosen);
  }

  fillSource(of) {
    this.source.show(of, this.tables.lines, (value) => numberText(value, this.unit), this.tables.functions.total[of]);
  }

  zoomed() {
    byId("unzoom").disabled = !(this.graph.zoomed || this.graph.to - this.graph.from < this.graph.tree.total[0] * (1 - 1e-9));
  }

  facts(graph, node) {
    const { tree, look } = graph;
    const key = tree.key[node], of = look.functionOf(key);
    const shares = [`total ${amountText(tree.total[node], this.unit)} (${percentText(tree.total[node], this.total)})`, `own ${amountText(tree.own[node], this.unit)} (${percentText(tree.own[node], this.total)})`];
    const above = tree.parent[node];
    if (above > 0) shares.push(`${percentText(tree.total[node], tree.total[above])} of the frame ${graph === this.callers ? "it calls" : "that called it"}`);
    if (this.difference && graph === this.graph && node > 0) shares.push(this.difference.text(...this.difference.pair(node), tree.size));
    const path = of >= 0 ? this.recording.functions.path[of] : "";
    const owner = of >= 0 ? this.recording.owners[this.recording.functions.owner[of]].label : "";
    return { name: look.text(key), shares, path, owner };
  }

  describe(graph, node) {
    const { name, shares, path, owner } = this.facts(graph, node);
    const parts = [make("bdi", name, "what"), make("span", shares.join(" · "))];
    if (path) parts.push(make("bdi", path, "path"));
    if (owner) parts.push(make("span", owner));
    byId("details-text").replaceChildren(...parts.flatMap((part) => [part, " "]));
  }

  point(graph, node, event) {
    const tip = byId("tip");
    tip.hidden = node < 0;
    if (node < 0) return;
    const { name, shares, path, owner } = this.facts(graph, node);
    tip.replaceChildren(make("bdi", name, "what"), ...shares.map((share) => make("div", share)), make("bdi", path, "path"), make("div", owner));
    const { offsetWidth: wide, offsetHeight: high } = tip;
    const left = Math.min(event.clientX + 14, innerWidth - wide - 8), top = event.clientY + 18;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${top + high > innerHeight ? Math.max(8, event.clientY - high - 10) : top}px`;
  }
}

// FNV-1a, folded to a few shades.
function shadeOf(text) {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return ((hash >>> 24) ^ (hash & 0xff)) % SHADES;
}

function shaded(colour, shade) {
  const step = Math.round((shade / (SHADES - 1) - 0.5) * 22);
  const channels = [1, 3, 5].map((at) => Math.max(0, Math.min(255, parseInt(colour.slice(at, at + 2), 16) + step)));
  return `rgb(${channels.join(" ")})`;
}

const page = new Page();
