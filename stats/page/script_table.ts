// The part of the page's script that fills tables and tiles.

/**
 * Class `Table`: rows that are kept and only changed where something is new; it can be sorted and
 * searched.
 */
export const TABLE_SCRIPT: string = String.raw`
class Table {
  /**
   * columns: list of { name, text (whether it is words), of: row to text, value (row to what it is sorted by),
   * link (row to an address), bar (row to a share), mood (row to a state), wrap }; the first one names the row.
   * options: sort: [index of the column, "ascending" or "descending"] where rows can be sorted and searched.
   */
  constructor(block, columns, { sort } = {}) {
    this.block = block;
    this.table = block.querySelector("table");
    this.region = block.querySelector(".scroll");
    this.empty = block.querySelector(".empty");
    this.caption = this.table.caption;
    this.body = this.table.tBodies[0];
    this.columns = columns;
    this.sort = sort ?? null;
    this.rows = [];
    const head = this.table.tHead.insertRow();
    this.heads = columns.map((column, index) => {
      const cell = make("th", column.text ? "text" : "");
      cell.scope = "col";
      if (sort === undefined) cell.textContent = column.name;
      else this.makeSortable(cell, column, index);
      head.append(cell);
      return cell;
    });
    this.find = block.querySelector(".find");
    if (this.find !== null) this.find.querySelector("input").addEventListener("input", () => this.show());
    this.setCaption(this.caption.textContent);
  }

  makeSortable(cell, { name, text }, index) {
    const button = make("button", "", name);
    button.type = "button";
    button.addEventListener("click", () => {
      const [current, order] = this.sort;
      const first = text ? "ascending" : "descending";
      const other = order === "ascending" ? "descending" : "ascending";
      this.sort = [index, current === index ? other : first];
      this.show();
    });
    cell.append(button);
  }

  setCaption(text) {
    setText(this.caption, text);
    this.region.setAttribute("aria-label", text);
    this.find?.querySelector("input").setAttribute("aria-label", "Find in: " + text);
  }

  update(rows) {
    this.rows = rows;
    this.show();
  }

  show() {
    const rows = this.chosen();
    while (this.body.rows.length > rows.length) this.body.deleteRow(-1);
    while (this.body.rows.length < rows.length) this.addRow();
    rows.forEach((row, index) => this.fill(this.body.rows[index].cells, row));
    this.region.hidden = rows.length === 0;
    if (this.empty) this.empty.hidden = this.rows.length > 0;
    if (this.find !== null) {
      this.find.hidden = this.rows.length < 2;
      setText(this.find.querySelector("output"), rows.length + " of " + this.rows.length);
    }
    this.heads.forEach((cell, index) => {
      if (this.sort?.[0] === index) cell.setAttribute("aria-sort", this.sort[1]);
      else cell.removeAttribute("aria-sort");
    });
  }

  /** The rows that were found, in their order. */
  chosen() {
    const wanted = (this.find?.querySelector("input").value ?? "").trim().toLowerCase();
    const found = wanted === "" ? [...this.rows] : this.rows.filter((row) => {
      return this.columns.some(({ text, of }) => text && String(of(row)).toLowerCase().includes(wanted));
    });
    if (this.sort === null) return found;
    const [index, order] = this.sort;
    const { of, value = of } = this.columns[index];
    const sign = order === "ascending" ? 1 : -1;
    return found.sort((left, right) => {
      const [a, b] = [value(left) ?? -Infinity, value(right) ?? -Infinity];
      return sign * (typeof a === "string" ? a.localeCompare(b, "en") : a < b ? -1 : a > b ? 1 : 0);
    });
  }

  fill(cells, row) {
    this.columns.forEach(({ of, full, link, bar, mood }, column) => {
      const cell = cells[column];
      const text = of(row);
      setText(cell.firstChild, text);
      // The first column is cut where it is long: the whole of it is shown on hovering.
      if (column === 0 || full) setAttribute(cell, "title", full ? full(row) : text);
      if (link) setAttribute(cell.firstChild, "href", link(row));
      if (mood) setAttribute(cell, "data-state", mood(row));
      if (bar) cell.firstChild.style.width = (100 * bar(row)).toFixed(1) + "%";
    });
  }

  addRow() {
    const row = this.body.insertRow();
    this.columns.forEach(({ text, link, bar, wrap }, index) => {
      const names = [text ? "text" : "", bar ? "bar" : "", wrap ? "wrap" : ""].filter((name) => name !== "");
      const cell = make(index === 0 ? "th" : "td", names.join(" "));
      if (index === 0) cell.scope = "row";
      // Names of any script keep their direction to themselves.
      cell.append(make(link ? "a" : bar ? "i" : "bdi"));
      row.append(cell);
    });
  }
}

/** Tiles: names and large numbers. */
class Tiles {
  constructor(list) {
    this.list = list;
    this.tiles = new Map();
  }

  set(name, [digits, unit], state) {
    let tile = this.tiles.get(name);
    if (tile === undefined) {
      const block = make("div");
      const value = make("dd");
      const number = value.appendChild(make("span"));
      const small = value.appendChild(make("small"));
      block.append(make("dt", "", name), value);
      this.list.append(block);
      tile = { block, number, small };
      this.tiles.set(name, tile);
    }
    setText(tile.number, digits);
    setText(tile.small, unit);
    setAttribute(tile.block, "data-state", state || "");
  }
}
`;
