// ---- details ---------------------------------------------------------------------------------------------------------------
const addFacts = (pairs) => {
  const list = make("dl", "facts");
  for (const [name, value] of pairs) list.append(make("dt", "", name), make("dd", "", value));
  return list;
};
const path = (row) => [word("folder", row), data.files[row]].filter(Boolean).join("/");
// What a person set stays for the next picture: going through fifty of them must not mean fifty times the same clicks.
const view = { zoom: "fit", opacity: 60, wide: false };
const ZOOMS = [["fit", "Fit"], ["1", "1:1"], ["2", "2x"], ["4", "4x"], ["8", "8x"]];
const scale = (box) => {
  const image = box.querySelector(".photo"), fit = view.zoom === "fit";
  box.classList.toggle("fit", fit);
  image.style.width = fit || !image.naturalWidth ? "" : `${image.naturalWidth * Number(view.zoom)}px`;
  image.style.imageRendering = !fit && Number(view.zoom) > 1 ? "pixelated" : "";
};
const setZoom = (value) => {
  view.zoom = value;
  const box = detail.querySelector(".full"), control = byId("zoom");
  if (control) control.value = value;
  if (box?.querySelector(".photo")) scale(box);
};
const label = (text, control) => {
  const node = make("label", "", text);
  node.append(control);
  return node;
};
const addTools = (row) => {
  const tools = make("div", "tools"), zoom = make("select");
  zoom.id = "zoom";
  for (const [value, text] of ZOOMS) {
    const option = make("option", "", text);
    option.value = value;
    zoom.append(option);
  }
  zoom.value = view.zoom;
  zoom.addEventListener("input", () => setZoom(zoom.value));
  tools.append(label("Zoom ", zoom));
  if (data.overlays[row] !== undefined) {
    const slider = make("input");
    slider.type = "range";
    slider.id = "overlay";
    slider.max = "100";
    slider.value = view.opacity;
    slider.addEventListener("input", () => {
      view.opacity = Number(slider.value);
      const over = detail.querySelector(".over");
      if (over) over.style.opacity = view.opacity / 100;
    });
    tools.append(label("Evidence ", slider));
  }
  const wide = make("button", "button", view.wide ? "Smaller" : "Larger");
  wide.type = "button";
  wide.setAttribute("aria-pressed", view.wide);
  wide.addEventListener("click", () => {
    view.wide = !view.wide;
    detail.classList.toggle("wide", view.wide);
    wide.textContent = view.wide ? "Smaller" : "Larger";
    wide.setAttribute("aria-pressed", view.wide);
  });
  tools.append(wide);
  return tools;
};
const address = (relative) => (data.images + "/" + relative).split("/").map(encodeURIComponent).join("/");
const addPicture = (row) => {
  const fallback = () => {
    const box = make("div", "full"), tile = make("div", "tile-big");
    if (hasTile[row]) { showTile(tile, row, 192); box.append(tile); }
    box.append(make("p", "note", data.files[row] ? "The full-size file is not where it was written." : "This item has no image."));
    return box;
  };
  if (!data.files[row]) return fallback();
  const whole = make("div"), box = make("div", "full"), frame = make("div", "frame"), image = make("img", "photo");
  box.tabIndex = 0;
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", "Picture; plus and minus zoom, arrow keys scroll it");
  image.alt = word("prompt", row);
  image.addEventListener("error", () => whole.replaceWith(fallback()));
  image.addEventListener("load", () => scale(box));
  image.src = address(path(row));
  frame.append(image);
  if (data.overlays[row] !== undefined) {
    const over = make("img", "over");
    over.alt = "";
    over.style.opacity = view.opacity / 100;
    over.addEventListener("error", () => over.remove());
    over.src = address(data.overlays[row]);
    frame.append(over);
  }
  box.append(frame);
  scale(box);
  const file = make("a", "", "Open the file");
  file.href = address(path(row));
  const foot = make("p", "note");
  foot.append(file);
  whole.append(addTools(row), box, foot);
  return whole;
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
  detail.classList.toggle("wide", view.wide);
  detail.scrollTop = 0;
  keepHash();
  if (grid.clientWidth !== widthBefore) { rebuild(); reveal(place); draw(); }
  const node = cellAt(place);
  if (node) node.setAttribute("aria-selected", "true");
  closer.focus();
};
function close() {
  if (detail.hidden) return;
  detail.hidden = true;
  opened = -1;
  keepHash();
  rebuild();
  activate(active, true);
}

// ---- events ------------------------------------------------------------------------------------------------------------------
function keepHash() {
  const state = new URLSearchParams();
  for (const id of controls) if (byId(id).value && byId(id).value !== byId(id).options?.[0].value) state.set(id, byId(id).value);
  if (opened >= 0) state.set("picture", data.ids[order[opened]]);
  // Not on every browser may a page from disk touch its address; the filters work without it.
  try { history.replaceState(null, "", "#" + state); } catch { /* stays as it is */ }
}
const update = (fromHash) => {
  select();
  active = 0;
  opened = -1;
  detail.hidden = true;
  grid.scrollTop = 0;
  rebuild();
  const one = count === 1 ? " image" : " images";
  shown.textContent = order.length === count ? count.toLocaleString("en") + one : `${order.length.toLocaleString("en")} of ${count.toLocaleString("en")}${one}`;
  if (!fromHash) keepHash();
};
const openById = (id) => {
  const row = data.ids.indexOf(id);
  if (row < 0) return;
  // A link to a picture must show it, whatever the filters say.
  if (!order.includes(row)) { byId("filters").reset(); update(true); }
  const place = order.indexOf(row);
  activate(place, false);
  open(place);
};
const readHash = () => {
  const state = new URLSearchParams(location.hash.slice(1));
  for (const id of controls) {
    const control = byId(id);
    control.value = state.get(id) ?? control.options?.[0].value ?? "";
    if (control.selectedIndex === -1) control.selectedIndex = 0;
  }
  update(true);
  if (state.has("picture")) openById(state.get("picture"));
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
detail.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || /^(INPUT|SELECT)$/.test(event.target.tagName)) return;
  const at = ZOOMS.findIndex(([value]) => value === view.zoom), step = { "+": 1, "=": 1, "-": -1 }[event.key];
  if (step) setZoom(ZOOMS[Math.max(0, Math.min(ZOOMS.length - 1, at + step))][0]);
  // Inside a zoomed picture the arrows scroll it.
  else if (/^Arrow(Left|Right)$/.test(event.key) && !(event.target.closest(".full") && view.zoom !== "fit")) {
    const place = opened + (event.key === "ArrowRight" ? 1 : -1);
    if (place < 0 || place >= order.length) return;
    activate(place, false);
    open(place);
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
