// A table of functions or of lines, as real HTML: sorted by a column, the first rows of it, more on demand.

const ROWS = 100;

class Table {
  // `columns`: `title`, `text(row)`, `share(row)` for a bar, `order(row)` to sort by; of names `isName`, `colour(row)`, `owner(row)`; `open(row)` when a row is chosen.
  constructor(place, caption, columns, open) {
    this.columns = columns;
    this.open = open;
    this.sorted = 0;
    this.isAscending = false;
    this.table = make("table");
    this.table.append(make("caption", caption, "unseen"));
    const head = make("tr");
    this.heads = columns.map((column, index) => {
      const cell = make("th", "", styleOf(column));
      cell.scope = "col";
      const button = make("button", column.title);
      button.type = "button";
      button.addEventListener("click", () => this.sortBy(index));
      cell.append(button);
      head.append(cell);
      return cell;
    });
    const top = make("thead");
    top.append(head);
    this.body = make("tbody");
    this.table.append(top, this.body);
    this.more = make("button", "Show more", "more");
    this.more.type = "button";
    this.more.addEventListener("click", () => {
      this.shown += ROWS * 5;
      this.fill();
    });
    this.nothing = make("p", "Nothing fits.", "nothing");
    place.append(this.table, this.more, this.nothing);
  }

  show(rows) {
    this.rows = rows;
    this.shown = ROWS;
    this.fill();
  }

  sortBy(index) {
    this.isAscending = this.sorted === index ? !this.isAscending : Boolean(this.columns[index].isName);
    this.sorted = index;
    this.fill();
  }

  choose(row) {
    this.chosen = row;
    for (const line of this.body.rows) line.toggleAttribute("aria-current", Number(line.dataset.row) === row);
  }

  fill() {
    const { order } = this.columns[this.sorted];
    const sign = this.isAscending ? 1 : -1;
    const values = new Map(this.rows.map((row) => [row, order(row)]));
    const compare = (a, b) => (values.get(a) < values.get(b) ? -sign : values.get(a) > values.get(b) ? sign : a - b);
    const rows = this.rows.slice().sort(compare);
    this.heads.forEach((head, index) => {
      const direction = this.isAscending ? "ascending" : "descending";
      head.setAttribute("aria-sort", index === this.sorted ? direction : "none");
    });
    this.body.replaceChildren(...rows.slice(0, this.shown).map((row) => this.line(row)));
    const left = rows.length - this.shown;
    this.more.hidden = left <= 0;
    this.more.textContent = `Show more (${COUNT.format(Math.max(left, 0))} left)`;
    this.nothing.hidden = rows.length > 0;
    this.table.hidden = rows.length === 0;
  }

  line(row) {
    const line = make("tr");
    line.dataset.row = row;
    line.toggleAttribute("aria-current", row === this.chosen);
    for (const column of this.columns) {
      const cell = make(column.isName ? "th" : "td", "", styleOf(column));
      if (column.isName) {
        cell.scope = "row";
        const colour = make("span", "", "colour");
        colour.style.backgroundColor = column.colour(row);
        colour.title = column.owner(row);
        const button = make("button", "", "link");
        button.type = "button";
        button.append(make("bdi", column.text(row)));
        button.addEventListener("click", () => this.open(row));
        const both = make("span", "", "both");
        both.append(colour, button);
        cell.append(both);
      } else if (column.isCode) {
        cell.append(make("bdi", column.text(row)));
      } else {
        cell.textContent = column.text(row);
        if (column.share) cell.style.setProperty("--share", `${(100 * column.share(row)).toFixed(2)}%`);
      }
      line.append(cell);
    }
    return line;
  }
}

function styleOf(column) {
  return column.isName ? "name" : column.isCode ? "code" : "number";
}

function make(name, text = "", style = "") {
  const element = document.createElement(name);
  element.textContent = text;
  if (style) element.className = style;
  return element;
}
