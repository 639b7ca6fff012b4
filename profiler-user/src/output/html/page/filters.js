// The filters by process, thread, container and the like: a menu of values for each, with what each of them took.

const CHOICES = 200;

class Filters {
  // `filters` maps the key of a facet to the values that are left; without an entry all are. `sums(facet)` says what each took.
  constructor(place, facets, filters, sums, changed) {
    this.filters = filters;
    this.sums = sums;
    this.changed = changed;
    this.menus = [];
    for (const facet of facets) {
      if (facet.values.length > 1) place.append(this.menu(facet));
    }
    document.addEventListener("pointerdown", (event) => {
      for (const { menu } of this.menus) if (!menu.contains(event.target)) menu.open = false;
    });
  }

  menu(facet) {
    const menu = make("details", "", "facet");
    menu.dataset.facet = facet.key;
    const summary = make("summary");
    const box = make("div", "", "choices");
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", facet.label);
    const list = make("ul");
    const find = make("input");
    find.type = "search";
    find.placeholder = "part of the name";
    find.setAttribute("aria-label", `Find in ${facet.label}`);
    find.hidden = facet.values.length <= 12;
    const entry = { facet, menu, summary, list, find };
    find.addEventListener("input", () => this.fill(entry));
    const buttons = make("p");
    for (const [text, values] of [["All", null], ["None", new Set()]]) {
      const button = make("button", text);
      button.type = "button";
      button.addEventListener("click", () => this.set(entry, values));
      buttons.append(button);
    }
    box.append(find, buttons, list);
    menu.append(summary, box);
    menu.addEventListener("toggle", () => {
      if (menu.open) this.fill(entry);
    });
    menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      menu.open = false;
      summary.focus();
    });
    this.menus.push(entry);
    this.say(entry);
    return menu;
  }

  set({ facet }, values) {
    if (values === null) this.filters.delete(facet.key);
    else this.filters.set(facet.key, values);
    this.update();
    this.changed();
  }

  // After the filters changed.
  update() {
    for (const entry of this.menus) {
      this.say(entry);
      if (entry.menu.open) this.fill(entry);
    }
  }

  say({ facet, summary, menu }) {
    const left = this.filters.get(facet.key);
    menu.classList.toggle("is-set", Boolean(left));
    const all = facet.values.length;
    summary.textContent = left ? `${facet.label}: ${left.size} of ${all}` : `${facet.label}: all ${all}`;
  }

  fill(entry) {
    const { facet, list, find } = entry;
    const sums = this.sums(facet);
    const total = sum(sums), wanted = find.value.toLowerCase();
    const values = Array.from(facet.values.keys()).filter((value) => facet.values[value].toLowerCase().includes(wanted));
    values.sort((a, b) => sums[b] - sums[a] || a - b);
    const focused = list.contains(document.activeElement) ? document.activeElement.closest("li")?.dataset.value : null;
    list.replaceChildren(...values.slice(0, CHOICES).map((value) => this.choice(entry, value, percentText(sums[value], total))));
    if (values.length > CHOICES) list.append(make("li", `and ${COUNT.format(values.length - CHOICES)} more: find them by name`, "hint"));
    if (focused) list.querySelector(`li[data-value="${Number(focused)}"] input`)?.focus();
  }

  choice(entry, value, share) {
    const { facet } = entry;
    const line = make("li"), label = make("label"), box = make("input");
    line.dataset.value = value;
    box.type = "checkbox";
    box.checked = this.filters.get(facet.key)?.has(value) ?? true;
    box.addEventListener("change", () => {
      const left = new Set(this.filters.get(facet.key) ?? facet.values.keys());
      if (box.checked) left.add(value);
      else left.delete(value);
      this.set(entry, left.size === facet.values.length ? null : left);
    });
    label.append(box, make("bdi", facet.values[value]));
    const only = make("button", "only", "link");
    only.type = "button";
    only.setAttribute("aria-label", `only ${facet.values[value]}`);
    only.addEventListener("click", () => this.set(entry, new Set([value])));
    line.append(label, make("span", share, "share"), only);
    return line;
  }
}
