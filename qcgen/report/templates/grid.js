const data = window.qcgenGrid;
const byId = (id) => document.getElementById(id);
const grid = byId("grid"), tall = byId("tall"), detail = byId("detail"), shown = byId("shown");

// ---- columns -------------------------------------------------------------------------------------------------------------
const unpack = (Kind, text) => {
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return new Kind(bytes.buffer);
};
const count = data.count;
const outcome = unpack(Uint8Array, data.outcome), hasTile = unpack(Uint8Array, data.tile);
const attempt = unpack(Uint32Array, data.attempt), seed = unpack(Float64Array, data.seed), jointP = unpack(Float32Array, data.jointP);
const reasonStart = unpack(Uint32Array, data.reasons.start), reasonList = unpack(Uint16Array, data.reasons.list);
const words = {};
for (const [name, column] of Object.entries(data.words)) words[name] = { values: column.values, index: unpack(Uint32Array, column.index) };
const word = (name, row) => words[name].values[words[name].index[row]];
const metricNames = Object.keys(data.metrics), metricColumns = new Map();
const metric = (name) => {
  // Unpacked when first needed: 18 columns of 100,000 rows would cost a third of the page's start.
  if (!metricColumns.has(name)) metricColumns.set(name, unpack(Float32Array, data.metrics[name]));
  return metricColumns.get(name);
};
const LOOKS = { accept: ["good", "Accepted"], review: ["warn", "Review"], reject: ["bad", "Rejected"], failed: ["none", "Failed"] };
const look = (row) => LOOKS[data.outcomes[outcome[row]]];
const reasonsOf = (row) => {
  const found = [];
  for (let i = reasonStart[row]; i < reasonStart[row + 1]; i++) found.push(i);
  return found;
};
const plain = (text) => text.replace(/[_-]/g, " ");
const make = (tag, className, text) => {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
};
const mark = (row) => {
  const [state, text] = look(row), node = make("span", "mark state-" + state);
  node.append(make("span", "key state-" + state), text);
  return node;
};

// ---- filter and sort -----------------------------------------------------------------------------------------------------
const controls = ["outcome", "reason", "product", "colour", "text", "sort", "direction"];
const fillSelect = (id, pairs) => {
  for (const [value, text] of pairs) {
    const option = make("option", "", text);
    option.value = value;
    byId(id).append(option);
  }
};
fillSelect("outcome", data.outcomes.map((name) => [name, LOOKS[name][1]]));
fillSelect("reason", [...data.reasons.values].sort().map((name) => [name, plain(name)]));
for (const name of ["product", "colour"]) {
  const values = words[name].values.filter((text) => text !== "").sort();
  fillSelect(name, values.map((text) => [text, text]));
  byId(name).parentElement.hidden = values.length === 0;
}
fillSelect("sort", [["item", "Item order"], ["joint-p", "Doubt (joint p)"], ["attempt", "Attempt"], ...metricNames.map((name) => ["m:" + name, plain(name)])]);

let order = new Uint32Array(count);
const matching = (name, test) => {
  const hit = new Uint8Array(words[name].values.length);
  words[name].values.forEach((text, place) => { hit[place] = test(text) ? 1 : 0; });
  return hit;
};
const select = () => {
  const wanted = data.outcomes.indexOf(byId("outcome").value), reason = data.reasons.values.indexOf(byId("reason").value);
  const product = byId("product").value, colour = byId("colour").value, text = byId("text").value.trim().toLowerCase();
  const productHit = product && matching("product", (value) => value === product);
  const colourHit = colour && matching("colour", (value) => value === colour);
  const holds = (value) => value.toLowerCase().includes(text);
  const promptHit = text && matching("prompt", holds), skuHit = text && matching("sku", holds);
  const found = new Uint32Array(count);
  let n = 0;
  rows: for (let row = 0; row < count; row++) {
    if (wanted >= 0 && outcome[row] !== wanted) continue;
    if (productHit && !productHit[words.product.index[row]]) continue;
    if (colourHit && !colourHit[words.colour.index[row]]) continue;
    if (text && !promptHit[words.prompt.index[row]] && !skuHit[words.sku.index[row]] && !data.ids[row].includes(text)) continue;
    if (reason >= 0) {
      let has = false;
      for (let i = reasonStart[row]; i < reasonStart[row + 1]; i++) if (reasonList[i] === reason) { has = true; break; }
      if (!has) continue rows;
    }
    found[n++] = row;
  }
  order = found.slice(0, n);
  const by = byId("sort").value, sign = byId("direction").value === "down" ? -1 : 1;
  const keys = by === "joint-p" ? jointP : by === "attempt" ? attempt : by.startsWith("m:") ? metric(by.slice(2)) : null;
  if (keys) {
    // Rows without a value go last in both directions; ties keep item order.
    order.sort((a, b) => {
      const x = keys[a], y = keys[b];
      if (x !== x || y !== y) return (x !== x) - (y !== y) || a - b;
      return sign * (x - y) || a - b;
    });
  } else if (sign < 0) order.reverse();
};

// ---- the virtual grid: only rows near the screen exist -----------------------------------------------------------------------
let columns = 1, cellWidth = 0, cellHeight = 0, active = 0, opened = -1;
const live = new Map();
const GAP = 8, CAPTION = 49;  // 44 for two lines of text, 5 for the borders: then the picture is square
const measure = () => {
  const narrow = window.innerWidth <= 760;
  const inside = grid.clientWidth - (narrow ? 20 : 32), least = narrow ? 104 : 136;
  columns = Math.max(1, Math.floor((inside + GAP) / (least + GAP)));
  cellWidth = Math.floor((inside - (columns - 1) * GAP) / columns);
  cellHeight = cellWidth - 2 + CAPTION;
};
const lineCount = () => Math.ceil(order.length / columns);
const showTile = (node, row, size) => {
  const { tile, side, sheet } = data.sprite, place = row % sheet, scale = size / tile;
  node.style.backgroundImage = `url("sprites/${String(Math.floor(row / sheet)).padStart(5, "0")}.webp")`;
  node.style.backgroundSize = `${side * tile * scale}px auto`;
  node.style.backgroundPosition = `${-(place % side) * tile * scale}px ${-Math.floor(place / side) * tile * scale}px`;
};
const makeCell = (place) => {
  const row = order[place], node = make("div", "tile-cell state-" + look(row)[0]);
  node.setAttribute("role", "gridcell");
  node.setAttribute("aria-colindex", place % columns + 1);
  node.setAttribute("aria-selected", place === opened);
  node.dataset.place = place;
  node.tabIndex = place === active ? 0 : -1;
  const why = reasonsOf(row).map((i) => plain(data.reasons.values[reasonList[i]])).join(", ");
  node.setAttribute("aria-label", `${word("sku", row)}, ${look(row)[1]}${why ? ": " + why : ""}, id ${data.ids[row]}`);
  const thumb = make("div", "thumb", hasTile[row] ? undefined : data.files[row] ? "not readable" : "no image");
  if (hasTile[row]) showTile(thumb, row, cellWidth - 2);
  const cap = make("div", "cap");
  cap.append(mark(row), make("span", "", why || word("sku", row)));
  cap.title = `${word("sku", row)}\n${word("prompt", row)}`;
  node.append(thumb, cap);
  return node;
};
const makeLine = (line) => {
  const node = make("div", "row");
  node.setAttribute("role", "row");
  node.setAttribute("aria-rowindex", line + 1);
  node.style.gridTemplateColumns = `repeat(${columns}, ${cellWidth}px)`;
  node.style.height = `${cellHeight}px`;
  node.style.transform = `translateY(${line * (cellHeight + GAP) + GAP}px)`;
  for (let place = line * columns; place < Math.min((line + 1) * columns, order.length); place++) node.append(makeCell(place));
  return node;
};
const draw = () => {
  const step = cellHeight + GAP, first = Math.max(0, Math.floor(grid.scrollTop / step) - 2);
  const last = Math.min(lineCount() - 1, Math.ceil((grid.scrollTop + grid.clientHeight) / step) + 2);
  const keep = Math.floor(active / columns);
  for (const [line, node] of live) if ((line < first || line > last) && line !== keep) { node.remove(); live.delete(line); }
  const add = (line) => {
    if (line < 0 || line >= lineCount() || live.has(line)) return;
    const node = makeLine(line);
    let next = null;
    for (const [other, there] of live) if (other > line && (next === null || other < next[0])) next = [other, there];
    tall.insertBefore(node, next && next[1]);
    live.set(line, node);
  };
  for (let line = first; line <= last; line++) add(line);
  add(keep);
};
const rebuild = () => {
  live.clear();
  tall.textContent = "";
  measure();
  tall.style.height = `${lineCount() * (cellHeight + GAP) + GAP}px`;
  grid.setAttribute("aria-rowcount", lineCount());
  grid.setAttribute("aria-colcount", columns);
  if (!order.length) tall.append(make("p", "empty", "No image fits these filters."));
  draw();
};
const cellAt = (place) => tall.querySelector(`[data-place="${place}"]`);
const reveal = (place) => {
  const top = Math.floor(place / columns) * (cellHeight + GAP);
  if (top < grid.scrollTop) grid.scrollTop = top;
  else if (top + cellHeight + 2 * GAP > grid.scrollTop + grid.clientHeight) grid.scrollTop = top + cellHeight + 2 * GAP - grid.clientHeight;
};
const activate = (place, focus) => {
  if (!order.length) return;
  const before = cellAt(active);
  if (before) before.tabIndex = -1;
  active = Math.max(0, Math.min(order.length - 1, place));
  reveal(active);
  draw();
  const node = cellAt(active);
  node.tabIndex = 0;
  if (focus) node.focus({ preventScroll: true });
};
