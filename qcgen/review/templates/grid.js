/* The grid: flagged pictures of one reason or one product, and one answer for those that are selected. */
(() => {
"use strict";
const { byId, make, ask, toast, plain, keys, help } = window.qcgen;
const REASONS = JSON.parse(document.body.dataset.reasons);
const VERBS = { accept: ["Accept", "accepted"], reject: ["Reject", "rejected"], regenerate: ["Make again", "to be made again"] };
const ANY = "*", TYPED_ABOVE = 50, PREVIEW = 20, MOST = 2000, cells = byId("cells");
let all = [], shown = [], picked = new Set(), active = 0, anchor = 0, columns = 1, openedAt = 0;
const reasonName = (code) => REASONS.find((one) => one.code === code)?.name ?? plain(code);
const several = (count) => `${count.toLocaleString("en")} ${count === 1 ? "picture" : "pictures"}`;

// ---- what is shown -----------------------------------------------------------------------------------------------------------
const loadGroups = async () => {
  const { groups } = await ask("GET", "/api/groups"), select = byId("group"), before = select.value;
  select.textContent = "";
  for (const one of groups) {
    const option = make("option", "", `${reasonName(one.code)} (${one.open.toLocaleString("en")})`);
    option.value = one.code;
    select.append(option);
  }
  if (groups.length > 1) {
    const option = make("option", "", "Any reason, one product");
    option.value = ANY;
    select.append(option);
  }
  if ([...select.options].some((one) => one.value === before)) select.value = before;
  await loadCells();
};
let loading = 0;
const loadCells = async () => {
  const code = byId("group").value, mine = ++loading;
  all = [];
  if (!code) fill(code);
  // The first page is shown while the others are on their way.
  for (let after = 0; code && after !== null && all.length < MOST;) {
    const page = await ask("POST", "/api/group", code === ANY ? { after } : { code, after });
    if (mine !== loading) return;
    all.push(...page.cells.slice(0, MOST - all.length));
    after = page.after;
    fill(code);
  }
};
const fill = (code) => {
  const products = byId("product"), before = products.value, names = [...new Set(all.map((one) => one.stratum))].sort();
  products.textContent = "";
  const any = make("option", "", "All");
  any.value = "";
  products.append(...(code === ANY ? [] : [any]), ...names.map((name) => { const option = make("option", "", name || "(none)"); option.value = name; return option; }));
  products.value = names.includes(before) ? before : products.options[0]?.value ?? "";
  draw();
};
const draw = () => {
  const product = byId("product").value;
  shown = product ? all.filter((one) => one.stratum === product) : all;
  picked = new Set([...picked].filter((id) => shown.some((one) => one.id === id)));
  active = Math.min(active, Math.max(0, shown.length - 1));
  cells.textContent = "";
  measure();
  for (let from = 0; from < shown.length; from += columns) {
    const row = make("div");
    row.setAttribute("role", "row");
    shown.slice(from, from + columns).forEach((one, step) => row.append(makeCell(one, from + step)));
    cells.append(row);
  }
  byId("nothing").hidden = shown.length > 0;
  byId("nothing").textContent = "No flagged picture waits here. Audits, planted defects and second looks are never in the grid: they are judged one by one.";
  byId("shown").textContent = several(shown.length);
  drawPicked();
};
const measure = () => { columns = Math.max(1, Math.floor((cells.clientWidth - 32 + 11) / (168 + 11))) || 1; if (innerWidth <= 760) columns = 2; };
const makeCell = (one, place) => {
  const node = make("div", "cell"), image = make("img"), cap = make("div", "cap");
  node.setAttribute("role", "gridcell");
  node.dataset.place = place;
  node.tabIndex = place === active ? 0 : -1;
  node.setAttribute("aria-selected", picked.has(one.id));
  node.setAttribute("aria-label", `${one.sku}, ${one.prompt}: ${one.why.join(" ")}`);
  image.loading = "lazy";
  image.alt = "";
  image.src = `/api/tasks/${one.id}/thumbnail`;
  cap.append(make("strong", "", one.sku), make("span", "", one.why[0] ?? one.prompt));
  cap.title = [one.prompt, ...one.why].join("\n");
  node.append(image, cap, make("span", "tick"));
  return node;
};
const cellAt = (place) => cells.querySelector(`[data-place="${place}"]`);
const drawPicked = () => {
  for (const node of cells.querySelectorAll(".cell")) node.setAttribute("aria-selected", picked.has(shown[Number(node.dataset.place)].id));
  byId("picked").textContent = picked.size ? `${picked.size.toLocaleString("en")} selected` : "None selected";
  byId("none").disabled = !picked.size;
  byId("all").disabled = !shown.length;
  for (const name of ["accept", "reject", "regenerate"]) document.querySelector(`.actions [data-does="${name}"]`).disabled = !picked.size;
};
const activate = (place) => {
  if (!shown.length) return;
  cellAt(active)?.setAttribute("tabindex", "-1");
  active = Math.max(0, Math.min(shown.length - 1, place));
  const node = cellAt(active);
  node.tabIndex = 0;
  node.focus({ preventScroll: true });
  node.scrollIntoView({ block: "nearest" });
};
const toggle = (place, upTo) => {
  if (!shown[place]) return;
  if (upTo) for (let each = Math.min(anchor, place); each <= Math.max(anchor, place); each++) picked.add(shown[each].id);
  else { const id = shown[place].id; if (picked.has(id)) picked.delete(id); else picked.add(id); anchor = place; }
  drawPicked();
};

// ---- one answer for many -------------------------------------------------------------------------------------------------------
const dialog = byId("confirm");
for (const one of REASONS) { const option = make("option", "", `${one.digit} ${one.name}`); option.value = one.code; byId("reason").append(option); }
const shuffled = (list) => {
  const mixed = [...list];
  for (let place = mixed.length - 1; place > 0; place--) {
    const other = crypto.getRandomValues(new Uint32Array(1))[0] % (place + 1);
    [mixed[place], mixed[other]] = [mixed[other], mixed[place]];
  }
  return mixed;
};
let asked = "";
const confirmBulk = (choice) => {
  const chosen = shown.filter((one) => picked.has(one.id));
  if (!chosen.length) { toast("Nothing is selected. X selects a picture."); return; }
  asked = choice;
  openedAt = performance.now();
  byId("confirm-title").textContent = `${VERBS[choice][0]} ${several(chosen.length)}`;
  byId("confirm-about").textContent = `${[byId("group").value === ANY ? "" : reasonName(byId("group").value), byId("product").value].filter(Boolean).join(", ")}. ` +
    (chosen.length > PREVIEW ? `${PREVIEW} of them, drawn at random:` : "All of them:");
  byId("preview").textContent = "";
  for (const one of shuffled(chosen).slice(0, PREVIEW)) {
    const image = make("img");
    image.alt = `${one.sku}, ${one.prompt}`;
    image.src = `/api/tasks/${one.id}/thumbnail`;
    byId("preview").append(image);
  }
  byId("confirm-reason").hidden = choice !== "reject";
  byId("reason").value = byId("group").value === ANY ? "other" : byId("group").value;
  byId("bulk-note").value = byId("typed").value = byId("confirm-told").textContent = "";
  byId("confirm-typed").hidden = chosen.length <= TYPED_ABOVE;
  byId("confirm-typed").querySelector("label").textContent = `Type ${chosen.length} to confirm`;
  byId("confirm-do").textContent = `${VERBS[choice][0]} ${chosen.length.toLocaleString("en")}`;
  dialog.showModal();
  (chosen.length > TYPED_ABOVE ? byId("typed") : byId("confirm-do")).focus();
};
byId("confirm-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const chosen = shown.filter((one) => picked.has(one.id)), typed = byId("typed").value.trim();
  if (chosen.length > TYPED_ABOVE && typed !== String(chosen.length)) { byId("confirm-told").textContent = `Type ${chosen.length} to confirm.`; return; }
  byId("confirm-do").disabled = true;
  try {
    const said = await ask("POST", "/api/bulk", {
      tasks: chosen.map((one) => ({ task: one.id, revision: one.revision, sha256: one.sha256 })), choice: asked,
      code: asked === "reject" ? byId("reason").value : "", note: byId("bulk-note").value.trim(),
      dwell_ms: Math.round(performance.now() - openedAt), typed: /^[0-9]{1,6}$/.test(typed) ? Number(typed) : null,
    });
    dialog.close();
    picked.clear();
    toast(`${several(said.count)} ${VERBS[asked][1]}. Undo takes all of them back.`);
    await loadGroups();
    activate(active);
  } catch (error) {
    byId("confirm-told").textContent = error.code === "conflict"
      ? "Somebody else has one of them on the screen or has answered it. Nothing was stored: close this, the list is read again." : error.message;
    if (error.code === "conflict") await loadGroups();
  } finally { byId("confirm-do").disabled = false; }
});
const undo = async () => {
  try {
    const said = await ask("POST", "/api/undo", {});
    toast(said.count ? `${said.count === 1 ? "One answer" : said.count.toLocaleString("en") + " answers"} taken back.` : "There is nothing to take back.");
    await loadGroups();
  } catch (error) { toast(error.code === "conflict" ? "Too late: somebody has decided on the ground of that answer." : error.message); }
};

// ---- events ------------------------------------------------------------------------------------------------------------------------
const does = {
  accept: () => confirmBulk("accept"), reject: () => confirmBulk("reject"), regenerate: () => confirmBulk("regenerate"), undo,
  select: () => toggle(active, false), grid: () => location.assign("/"), help: () => help.open(),
};
document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]")) return;
  const inGrid = event.target.closest?.(".cell");
  const moves = { ArrowRight: active + 1, ArrowLeft: active - 1, ArrowDown: active + columns, ArrowUp: active - columns, Home: 0, End: shown.length - 1, PageDown: active + 3 * columns, PageUp: active - 3 * columns };
  if (inGrid && event.key in moves && !event.altKey && !event.metaKey) {
    if (event.key === "ArrowUp" && active < columns) return;
    activate(moves[event.key]);
    event.preventDefault();
  } else if (inGrid && (event.key === " " || event.key === "Enter")) { toggle(active, event.shiftKey); event.preventDefault(); }
  else if (inGrid && (event.ctrlKey || event.metaKey) && event.key === "a") { byId("all").click(); event.preventDefault(); }
  else if (event.key === "Escape") location.assign("/");
  else {
    const name = keys.actionOf(event);
    if (!name || !does[name] || event.repeat) return;
    event.preventDefault();
    if (name === "select") toggle(active, event.shiftKey); else does[name]();
  }
});
cells.addEventListener("click", (event) => {
  const node = event.target.closest(".cell");
  if (!node) return;
  activate(Number(node.dataset.place));
  toggle(active, event.shiftKey);
});
for (const node of document.querySelectorAll(".actions [data-does]")) node.addEventListener("click", () => does[node.dataset.does]());
byId("all").addEventListener("click", () => { for (const one of shown) picked.add(one.id); drawPicked(); activate(active); });
byId("none").addEventListener("click", () => { picked.clear(); drawPicked(); activate(active); });
byId("group").addEventListener("change", () => { picked.clear(); loadCells().catch((error) => toast(error.message)); });
byId("product").addEventListener("change", () => { picked.clear(); draw(); });
let width = innerWidth;
window.addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; draw(); } });
loadGroups().then(() => activate(0)).catch((error) => toast(error.status ? error.message : "The server does not answer."));
})();
