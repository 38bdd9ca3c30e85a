/* The help: keys that can be changed, settings, and what each reason means, with pictures that got it. */
window.qcgen.help = (() => {
"use strict";
const { byId, make, ask, settings, keep, keys } = window.qcgen;
const dialog = byId("help"), rows = byId("key-table").querySelector("tbody");
let changed = () => {}, waiting = null;
const drawKeys = () => {
  rows.textContent = "";
  for (const [name, says] of keys.ACTIONS) {
    const row = make("tr"), cell = make("td"), button = make("button", "button");
    button.type = "button";
    button.append(make("kbd", "", waiting === name ? "press a key" : keys.shown(keys.keyOf(name))));
    button.setAttribute("aria-label", `${says}: ${keys.shown(keys.keyOf(name))}. Change`);
    button.addEventListener("click", () => { waiting = name; drawKeys(); focusOn(name); });
    button.dataset.key = name;
    cell.append(button);
    row.append(make("td", "", says), cell);
    rows.append(row);
  }
  for (const [key, says] of [[" ", "Accept"], ["ArrowRight", "On without an answer"], ["ArrowLeft", "Back without an answer"]]) {
    const row = make("tr"), cell = make("td");
    cell.append(make("kbd", "", keys.shown(key)));
    row.append(make("td", "", says), cell);
    rows.append(row);
  }
};
const focusOn = (name) => rows.querySelector(`[data-key="${name}"]`).focus();
dialog.addEventListener("keydown", (event) => {
  if (!waiting) return;
  event.preventDefault();
  event.stopPropagation();
  const name = waiting, key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (["Shift", "Control", "Alt", "Meta"].includes(key)) return;
  waiting = null;
  if (key !== "Escape" && key !== "Tab" && !(key in keys.FIXED) && !/^[1-9]$/.test(key)) keys.change(name, key);
  drawKeys();
  focusOn(name);
});
dialog.addEventListener("cancel", (event) => { if (waiting) { event.preventDefault(); waiting = null; drawKeys(); } });
byId("reset-keys").addEventListener("click", () => { keys.reset(); drawKeys(); });
const bind = (id, name) => {
  const box = byId(id);
  const isNumber = box.type === "number";
  if (isNumber) box.value = settings[name]; else box.checked = settings[name];
  box.addEventListener("change", () => {
    settings[name] = isNumber ? Math.max(0, Math.min(5000, Number(box.value) || 0)) : box.checked;
    keep();
    keys.paint();
    changed(name);
  });
};
bind("set-letters", "letters");
bind("set-blind", "blind");
bind("set-after", "findingsAfter");
bind("set-minimum", "minimumMs");
const drawReasons = async () => {
  const list = byId("reason-help");
  try {
    const { reasons } = await ask("GET", "/api/reasons");
    list.textContent = "";
    for (const one of reasons) {
      const term = make("dt"), said = make("dd");
      term.append(make("kbd", "", String(one.digit)));
      said.append(make("strong", "", one.name), make("span", "", " " + one.definition));
      if (one.examples.length) {
        const seen = make("div", "seen");
        for (const id of one.examples) {
          const image = make("img");
          image.alt = `Was rejected for ${one.name}`;
          image.loading = "lazy";
          image.src = `/api/tasks/${id}/thumbnail`;
          seen.append(image);
        }
        said.append(seen);
      }
      list.append(term, said);
    }
  } catch { list.textContent = "The list cannot be read now."; }
};
const open = () => {
  if (dialog.open) { dialog.close(); return; }
  waiting = null;
  drawKeys();
  drawReasons();
  dialog.showModal();
  dialog.querySelector("[data-close]").focus({ preventScroll: true });
  dialog.scrollTop = 0;
};
for (const node of document.querySelectorAll("dialog [data-close]")) node.addEventListener("click", () => node.closest("dialog").close());
byId("open-help").addEventListener("click", open);
return { open, onChange: (does) => { changed = does; } };
})();
