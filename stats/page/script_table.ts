// The part of the page's script that fills tables.

/** Class `Table`: rows that are kept and only changed where something is new. */
export const TABLE_SCRIPT: string = String.raw`
class Table {
  /** columns: list of { name, text (whether it is words), of: row to text }; the first one names the row. */
  constructor(block, columns) {
    this.table = block.querySelector("table");
    this.region = block.querySelector(".scroll");
    this.empty = block.querySelector(".empty");
    this.caption = this.table.caption;
    this.body = this.table.tBodies[0];
    this.columns = columns;
    const head = this.table.tHead.insertRow();
    for (const { name, text } of columns) {
      const cell = make("th", text ? "text" : "", name);
      cell.scope = "col";
      head.append(cell);
    }
    this.region.setAttribute("aria-label", this.caption.textContent);
  }

  setCaption(text) {
    setText(this.caption, text);
    this.region.setAttribute("aria-label", text);
  }

  update(rows) {
    while (this.body.rows.length > rows.length) this.body.deleteRow(-1);
    while (this.body.rows.length < rows.length) this.addRow();
    rows.forEach((row, index) => {
      const cells = this.body.rows[index].cells;
      this.columns.forEach(({ of }, column) => setText(cells[column].firstChild, of(row)));
    });
    this.region.hidden = rows.length === 0;
    if (this.empty) this.empty.hidden = rows.length > 0;
  }

  addRow() {
    const row = this.body.insertRow();
    this.columns.forEach(({ text }, index) => {
      const cell = make(index === 0 ? "th" : "td", text ? "text" : "");
      if (index === 0) cell.scope = "row";
      // Names of any script keep their direction to themselves.
      cell.append(make("bdi"));
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
    tile.block.dataset.state = state || "";
  }
}
`;
