// The source of a function, as far as the page has it, with what each line took.

class SourceView {
  constructor(recording) {
    this.recording = recording;
    this.files = new Map(recording.sources.map((file) => [file.path, { ...file, lines: new Map(file.lines) }]));
    // By function the lines of it that ran.
    this.linesOf = new Map();
    if (this.files.size === 0) return;
    for (const [index, of] of recording.lines.function.entries()) {
      if (!this.linesOf.has(of)) this.linesOf.set(of, []);
      this.linesOf.get(of).push(index);
    }
  }

  // The text of a line; empty where the page has none.
  text(index) {
    const { functions, lines } = this.recording;
    return this.files.get(functions.path[lines.function[index]])?.lines.get(lines.line[index])?.trim() ?? "";
  }

  // Shows a function: `table` is what lines took, `say` how that is written, `total` what all took.
  show(of, table, say, total) {
    const { functions, lines } = this.recording;
    const file = this.files.get(functions.path[of]);
    const ran = file ? this.linesOf.get(of) : [];
    const most = ran.reduce((line, index) => Math.max(line, lines.line[index]), 0) + 3;
    const least = functions.first_line[of] || ran.reduce((line, index) => Math.min(line, lines.line[index]), most) - 3;
    const took = new Map();
    for (const index of ran) took.set(lines.line[index], (took.get(lines.line[index]) ?? 0) + table.total[index]);
    const own = new Map();
    for (const index of ran) own.set(lines.line[index], (own.get(lines.line[index]) ?? 0) + table.own[index]);
    const rows = [];
    let before = null;
    for (const [line, text] of file?.lines ?? []) {
      if (line < least || line > most) continue;
      if (before !== null && line > before + 1) rows.push(this.row("⋯", "", "", "", 0));
      before = line;
      const spent = took.get(line) ?? 0;
      rows.push(this.row(line, own.get(line) ? say(own.get(line)) : "", spent ? say(spent) : "", text, total ? spent / total : 0));
    }
    byId("source").hidden = byId("source-title").hidden = rows.length === 0;
    byId("source-title").textContent = file?.changed ? "Source (changed after the recording: lines may be others)" : "Source";
    const table_ = make("table"), head = make("tr");
    for (const title of ["Line", "Own", "Total", "Source"]) {
      const cell = make("th", title);
      cell.scope = "col";
      head.append(cell);
    }
    const top = make("thead"), body = make("tbody");
    top.append(head);
    body.append(...rows);
    table_.append(top, body);
    byId("source").replaceChildren(table_);
  }

  row(number, own, total, text, share) {
    const row = make("tr");
    row.append(make("th", String(number)), make("td", own), make("td", total));
    row.firstChild.scope = "row";
    const code = make("td", "", "code");
    code.append(make("bdi", text));
    row.append(code);
    row.style.setProperty("--heat-share", `${(100 * share).toFixed(1)}%`);
    if (share > 0) row.className = "hot";
    return row;
  }
}
