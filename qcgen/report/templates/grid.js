(() => {
"use strict";
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

// ---- details ---------------------------------------------------------------------------------------------------------------
const addFacts = (pairs) => {
  const list = make("dl", "facts");
  for (const [name, value] of pairs) list.append(make("dt", "", name), make("dd", "", value));
  return list;
};
const path = (row) => [word("folder", row), data.files[row]].filter(Boolean).join("/");
const addPicture = (row) => {
  const fallback = () => {
    const box = make("div", "full"), tile = make("div", "tile-big");
    if (hasTile[row]) { showTile(tile, row, 192); box.append(tile); }
    box.append(make("p", "note", data.files[row] ? "The full-size file is not where it was written." : "This item has no image."));
    return box;
  };
  if (!data.files[row]) return fallback();
  const link = make("a", "full"), image = make("img");
  image.alt = word("prompt", row);
  image.addEventListener("error", () => link.replaceWith(fallback()));
  image.src = link.href = (data.images + "/" + path(row)).split("/").map(encodeURIComponent).join("/");
  link.append(image);
  return link;
};
const number = (value) => value !== value ? "not scored" : Number(value.toPrecision(5)).toString();
const open = (place) => {
  const row = order[place], before = opened < 0 ? null : cellAt(opened);
  if (before) before.setAttribute("aria-selected", "false");
  const widthBefore = grid.clientWidth;
  opened = place;
  detail.textContent = "";
  const line = make("div", "line");
  const button = (text, does, able) => {
    const node = make("button", "button", text);
    node.type = "button";
    node.disabled = !able;
    node.addEventListener("click", does);
    line.append(node);
    return node;
  };
  const go = (step) => () => { activate(place + step, false); open(place + step); };
  button("Previous", go(-1), place > 0);
  button("Next", go(1), place < order.length - 1);
  const closer = button("Close", close, true);
  const title = make("h2", "", word("sku", row));
  title.id = "detail-title";
  const reasons = make("ul");
  for (const i of reasonsOf(row)) reasons.append(make("li", "", data.reasons.messages[i]));
  detail.append(line, addPicture(row), title, mark(row), make("p", "prompt", word("prompt", row)));
  if (reasons.childElementCount) detail.append(make("h3", "", "Reasons"), reasons);
  detail.append(make("h3", "", "Image"), addFacts([
    ["Id", data.ids[row]], ["Seed", String(seed[row])], ["Attempt", String(attempt[row])], ["Joint p", number(jointP[row])],
    ["Decision", word("decision", row) || "none"], ["File", path(row) || "none"],
  ]));
  if (metricNames.length) detail.append(make("h3", "", "Scores"), addFacts(metricNames.map((name) => [plain(name), number(metric(name)[row])])));
  detail.hidden = false;
  detail.scrollTop = 0;
  if (grid.clientWidth !== widthBefore) { rebuild(); reveal(place); draw(); }
  const node = cellAt(place);
  if (node) node.setAttribute("aria-selected", "true");
  closer.focus();
};
function close() {
  if (detail.hidden) return;
  detail.hidden = true;
  opened = -1;
  rebuild();
  activate(active, true);
}

// ---- events ------------------------------------------------------------------------------------------------------------------
const update = (keepHash) => {
  select();
  active = 0;
  opened = -1;
  detail.hidden = true;
  grid.scrollTop = 0;
  rebuild();
  const one = count === 1 ? " image" : " images";
  shown.textContent = order.length === count ? count.toLocaleString("en") + one : `${order.length.toLocaleString("en")} of ${count.toLocaleString("en")}${one}`;
  if (keepHash) return;
  const state = new URLSearchParams();
  for (const id of controls) if (byId(id).value && byId(id).value !== byId(id).options?.[0].value) state.set(id, byId(id).value);
  // Not on every browser may a page from disk touch its address; the filters work without it.
  try { history.replaceState(null, "", "#" + state); } catch { /* stays as it is */ }
};
const readHash = () => {
  const state = new URLSearchParams(location.hash.slice(1));
  for (const id of controls) {
    const control = byId(id);
    control.value = state.get(id) ?? control.options?.[0].value ?? "";
    if (control.selectedIndex === -1) control.selectedIndex = 0;
  }
  update(true);
};
grid.addEventListener("keydown", (event) => {
  const page = Math.max(1, Math.floor(grid.clientHeight / (cellHeight + GAP))) * columns, start = active - active % columns;
  const moves = {
    ArrowRight: active + 1, ArrowLeft: active - 1, ArrowDown: active + columns, ArrowUp: active - columns,
    PageDown: active + page, PageUp: active - page,
    Home: event.ctrlKey ? 0 : start, End: event.ctrlKey ? order.length - 1 : start + columns - 1,
  };
  if (event.altKey || event.metaKey) return;
  if (event.key === "Enter" && order.length) open(active);
  else if (event.key in moves) {
    let place = moves[event.key];
    // At the edges a step up or down stays in its column instead of jumping to a corner.
    if (place < 0 && (event.key === "ArrowUp" || event.key === "PageUp")) place = active % columns;
    if (event.key === "ArrowUp" && active < columns) place = active;
    activate(place, true);
  } else return;
  event.preventDefault();
});
document.addEventListener("keydown", (event) => { if (event.key === "Escape" && !detail.hidden) { close(); event.preventDefault(); } });
grid.addEventListener("click", (event) => {
  const cell = event.target.closest(".tile-cell");
  if (cell) { activate(Number(cell.dataset.place), false); open(active); }
});
let waiting = 0;
grid.addEventListener("scroll", () => { if (!waiting) waiting = requestAnimationFrame(() => { waiting = 0; draw(); }); }, { passive: true });
let typing = 0;
byId("filters").addEventListener("input", (event) => {
  clearTimeout(typing);
  typing = setTimeout(update, event.target.id === "text" ? 120 : 0);
});
byId("filters").addEventListener("submit", (event) => event.preventDefault());
byId("clear").addEventListener("click", () => { byId("filters").reset(); update(); });
window.addEventListener("hashchange", readHash);
let sized = window.innerWidth;
new ResizeObserver(() => {
  if (!order.length || (grid.clientWidth === sized)) { draw(); return; }
  sized = grid.clientWidth;
  const focused = document.activeElement?.classList.contains("tile-cell");
  rebuild();
  activate(active, focused);
}).observe(grid);
byId("filter-box").open = window.innerWidth > 760;
readHash();
})();
