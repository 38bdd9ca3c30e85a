/* The desk: a list of pictures, one on the screen; keys answer and go on. */
(() => {
"use strict";
const { byId, make, ask, toast, remembered, remember, plain, settings, keep, keys, help, outbox, stage } = window.qcgen;
const body = document.body, disputes = body.dataset.mode === "disputes";
const REASONS = JSON.parse(body.dataset.reasons), LENSES = JSON.parse(body.dataset.lenses);
const WORDS = { accept: "Accepted", reject: "Rejected", regenerate: "To be made again", skip: "Skipped", lost: "Decided by somebody else" };
const AHEAD = 5, BEHIND = 3, LOW = 6, BATCH = 12, RENEW_MS = 240_000;
const tasks = [];
let at = -1, paintedAt = 0, flicker = false, compareWith = 0, mapOn = remembered("map", false), total = 0, done = 0, busy = false, dry = false;
const reasonName = (code) => REASONS.find((one) => one.code === code)?.name ?? plain(code);
const current = () => tasks[at];
const addressOf = (task) => `/api/tasks/${task.id}/picture`;
const siblingOf = (task, number) => `/api/tasks/${task.id}/siblings/${number}`;

// ---- the list --------------------------------------------------------------------------------------------------------------
const isOpen = (task) => !task.answer;
const openAfter = (from) => tasks.findIndex((task, place) => place > from && isOpen(task));
const merge = (views) => {
  for (const view of views) {
    const known = tasks.find((task) => task.id === view.id && (isOpen(task) || task.answer.choice !== "skip"));
    if (!known) tasks.push({ ...view, answer: null, note: "" });
    else if (isOpen(known)) Object.assign(known, view);
  }
};
const refill = () => {
  if (busy) return;
  busy = true;
  outbox.inOrder(async () => {
    try {
      const said = await ask("POST", "/api/next", { n: BATCH, blind: settings.blind, disputes });
      const before = tasks.length;
      merge(said.tasks);
      dry = tasks.length === before && !tasks.some(isOpen);
      total = said.total;
      done = said.done;
      drawProgress();
    } catch (error) {
      toast(error.status === 401 ? "You are logged out." : error.status ? error.message : "The server does not answer.");
      dry = !tasks.some(isOpen);
    } finally { busy = false; }
    if (at < 0 || !current() || !isOpen(current()) && waitingForMore) {
      const next = openAfter(at);
      if (next >= 0) show(next); else drawEmpty();
    } else { preload(); if (isOpen(current())) drawFacts(); }
  });
};
let waitingForMore = true;
setInterval(() => { if (!document.hidden && tasks.some(isOpen)) refill(); }, RENEW_MS);

// ---- showing ---------------------------------------------------------------------------------------------------------------
const preload = () => {
  const wanted = new Set();
  for (let place = Math.max(0, at - BEHIND); place <= Math.min(tasks.length - 1, at + AHEAD); place++) {
    wanted.add(addressOf(tasks[place]));
    if (!stage.view.compare && place !== at) continue;
    const number = tasks[place].siblings?.length ? compareWith % tasks[place].siblings.length : -1;
    if (number >= 0) wanted.add(siblingOf(tasks[place], number));
  }
  stage.keepOnly(wanted);
  for (const address of wanted) stage.load(address);
  if (stage.view.compare) for (let place = at; place <= Math.min(tasks.length - 1, at + 2); place++) findSiblings(tasks[place]);
};
const drawPicture = (task) => {
  const shown = flicker && task.siblings?.length ? siblingOf(task, compareWith % task.siblings.length) : addressOf(task);
  const entry = stage.load(shown), since = performance.now();
  entry.done.then(() => requestAnimationFrame(() => requestAnimationFrame(() => {
    if (current() !== task || entry.failed || flicker || task.paintedAt) return;
    task.paintedAt = paintedAt = performance.now();
    performance.measure("next-picture", { start: task.askedAt ?? since, end: paintedAt });
  })));
  const put = () => {
    if (current() !== task) return;
    entry.image.alt = task.prompt || task.sku || "Picture";
    stage.show(stage.main, entry.failed ? null : entry.image);
    if (entry.failed) badge("This picture cannot be read. Skip it, or reject it.", false);
    drawMap();
  };
  // A decoded picture goes up at once; otherwise the old one stays until the new one is whole.
  if (entry.image.complete && entry.image.naturalWidth) put(); else entry.done.then(put);
};
const badge = (text, flick) => {
  byId("badge").hidden = !text;
  byId("badge").textContent = text ?? "";
  byId("badge").classList.toggle("flick", Boolean(flick));
};
const show = (place) => {
  const before = current();
  if (before && isOpen(before)) before.note = byId("note").value;
  at = place;
  const task = current();
  task.askedAt = performance.now();
  if (isOpen(task)) task.paintedAt = 0;
  flicker = false;
  byId("panes").hidden = false;
  byId("empty").hidden = true;
  drawPicture(task);
  drawFacts();
  drawSecond();
  preload();
  if (tasks.filter(isOpen).length - 1 < LOW && !dry) refill();
};
const drawFacts = () => {
  const task = current();
  byId("sku").textContent = task.sku;
  byId("prompt").textContent = task.prompt;
  const list = byId("fields");
  list.textContent = "";
  for (const [name, value] of Object.entries(task.fields)) if (name !== "sku") list.append(make("dt", "", plain(name)), make("dd", "", value));
  const told = isOpen(task) ? task.findings : settings.findingsAfter ? task.told?.findings : null;
  byId("findings").hidden = !told;
  fillFindings(byId("finding-list"), told ?? []);
  byId("blind-note").hidden = !isOpen(task) || Boolean(told);
  byId("note").value = isOpen(task) ? task.note : task.answer.note;
  byId("note").readOnly = !isOpen(task);
  for (const name of ["accept", "reject", "regenerate", "skip"]) button(name).disabled = !isOpen(task);
  badge(isOpen(task) ? null : WORDS[task.answer.choice] + (task.answer.code ? `: ${reasonName(task.answer.code)}` : ""), false);
  drawProgress();
};
const fillFindings = (list, findings) => {
  list.textContent = "";
  for (const one of findings) list.append(make("li", "", one.message));
  if (!findings.length) list.append(make("li", "muted", "Nothing."));
};
const button = (name) => document.querySelector(`.actions [data-does="${name}"]`);
const drawEmpty = () => {
  byId("panes").hidden = true;
  byId("empty").hidden = false;
  const nothing = total === 0;
  byId("empty-title").textContent = nothing ? "Nothing to review" : done >= total ? "All done" : disputes ? "No dispute waits" : "Nothing is left for you";
  byId("empty-text").textContent = nothing ? "No picture waits for a person." : done >= total
    ? `${total === 1 ? "The one picture has" : `All ${total.toLocaleString("en")} pictures have`} an answer. Thank you.`
    : total - done === 1 ? "One picture waits, but somebody else has it on the screen, or it needs another pair of eyes."
    : `${(total - done).toLocaleString("en")} pictures wait, but others have them on their screens, or they need another pair of eyes.`;
  for (const name of ["accept", "reject", "regenerate", "skip"]) button(name).disabled = true;
  byId("sku").textContent = byId("prompt").textContent = byId("fields").textContent = "";
  byId("findings").hidden = byId("blind-note").hidden = true;
};

// ---- the picture beside it ---------------------------------------------------------------------------------------------------
const findSiblings = async (task) => {
  if (!task || task.siblings || task.asking) return;
  task.asking = true;
  try { task.siblings = (await ask("GET", `/api/tasks/${task.id}/siblings`)).labels; } catch { task.asking = false; return; }
  if (task === current()) { drawSecond(); if (flicker) drawPicture(task); }
  preload();
};
const drawSecond = () => {
  const task = current();
  press("compare", stage.view.compare);
  press("flicker", flicker);
  press("pixels", stage.view.crisp);
  press("overlay", mapOn);
  if (!task || !stage.view.compare && !flicker) return;
  if (!task.siblings) { findSiblings(task); return; }
  const count = task.siblings.length, number = count ? compareWith % count : 0;
  byId("second-badge").textContent = count ? `${task.siblings[number]} (${number + 1} of ${count})` : "No other picture of this product";
  if (flicker) badge(count ? task.siblings[number] : "No other picture of this product", true);
  if (!count) { stage.show(stage.second, null); return; }
  const entry = stage.load(siblingOf(task, number));
  entry.done.then(() => {
    if (current() !== task || !stage.view.compare) return;
    entry.image.alt = task.siblings[number];
    // While it flickers the same picture stands in the large pane.
    if (!flicker) stage.show(stage.second, entry.failed ? null : entry.image);
  });
};
const press = (name, on) => document.querySelector(`.tools [data-does="${name}"]`).setAttribute("aria-pressed", String(on));

// ---- maps ----------------------------------------------------------------------------------------------------------------------
const lens = byId("lens");
LENSES.forEach((name, number) => { const option = make("option", "", name); option.value = number; lens.append(option); });
const checked = make("option", "", "What the check saw");
checked.value = "check";
/* The check's own map, where its findings are shown and it has one; else the map that fits best. */
const mapAddress = (task) => {
  const number = task.findings?.findIndex((one) => one.map) ?? -1;
  if (number >= 0 && !checked.isConnected) lens.prepend(checked);
  if (number < 0 && checked.isConnected) { checked.remove(); lens.value = remembered("lens", 0); }
  return lens.value === "check" ? `/api/tasks/${task.id}/evidence/${number}` : `/api/tasks/${task.id}/lenses/${lens.value}`;
};
lens.value = remembered("lens", 0);
byId("opacity").value = stage.opacity();
let mapFor = "", mapUrl = "";
const drawMap = async () => {
  byId("mapping").hidden = !mapOn;
  press("overlay", mapOn);
  const task = current();
  stage.setMap(null);
  mapFor = "";
  if (!mapOn || !task || flicker) return;
  const address = mapAddress(task);
  mapFor = address;
  byId("lens-says").textContent = "";
  try {
    const answer = await fetch(address, { credentials: "same-origin" });
    if (!answer.ok || mapFor !== address) return;
    const url = URL.createObjectURL(await answer.blob()), image = make("img");
    image.src = url;
    await image.decode();
    if (mapUrl) URL.revokeObjectURL(mapUrl);
    mapUrl = url;
    if (mapFor !== address) return;
    stage.setMap(image);
    byId("lens-says").textContent = decodeURIComponent(answer.headers.get("x-says") ?? "");
  } catch { byId("lens-says").textContent = "The map cannot be drawn."; }
};
lens.addEventListener("change", () => { if (lens.value !== "check") remember("lens", Number(lens.value)); drawMap(); lens.blur(); });
byId("opacity").addEventListener("input", (event) => stage.opacity(Number(event.target.value)));

// ---- answers ------------------------------------------------------------------------------------------------------------------
const say = (text) => { byId("spoken").textContent = text; };
const answer = (choice, code = "") => {
  const task = current();
  if (!task) return;
  if (!isOpen(task)) { toast("This one has its answer. Undo takes back the newest answer."); return; }
  const note = byId("note").value.trim(), stood = task.paintedAt ? performance.now() - task.paintedAt : 0;
  if (choice !== "skip" && !task.paintedAt) { toast("The picture is not on the screen yet."); return; }
  if (choice === "accept" && stood < settings.minimumMs) { toast(`Look first: an accept counts after ${settings.minimumMs} ms.`); return; }
  if (choice === "reject" && code === "other" && !note) { explain(task); return; }
  explain(null);
  task.answer = { choice, code, note };
  const sent = { task: task.id, revision: task.revision, sha256: task.sha256, choice, code, note, dwell_ms: Math.round(Math.min(stood, 86_400_000)), blind: !task.findings };
  if (choice !== "skip") { done += 1; count(); }
  outbox.send(sent, (result) => settle(task, result));
  say(`${WORDS[choice]}${code ? ": " + reasonName(code) : ""}.`);
  if (disputes && choice !== "skip") { waitingForMore = false; drawFacts(); return; }
  goOn();
};
/* The reason other needs a note: the field asks for it, and Ctrl+Enter there rejects. */
let explaining = null;
const explain = (task) => {
  explaining = task;
  byId("note-says").textContent = task ? "What is wrong? Ctrl+Enter rejects, Escape goes back" : "Note";
  if (task) byId("note").focus();
};
const goOn = () => {
  waitingForMore = true;
  const next = openAfter(at);
  if (next >= 0) show(next);
  else { const any = openAfter(-1); if (any >= 0) show(any); else { drawFacts(); dry = false; refill(); } }
};
const settle = (task, { said, error }) => {
  if (error) {
    if (task.answer.choice !== "skip") done -= 1;
    task.answer = { choice: "lost", code: "", note: "" };
    toast(error.code === "conflict" ? `${task.sku || "The picture"}: somebody else was faster, or its file or verdict changed. Your answer was not stored.` : `Not stored. ${error.message}`);
  } else task.told = said;
  if (task === current()) drawFacts();
  if (!error) drawLast(task);
};
const drawLast = (task) => {
  const box = byId("last-body");
  byId("last").hidden = task.answer === null;
  if (!task.answer) return;
  box.textContent = "";
  const line = make("p");
  line.append(make("span", "mark " + task.answer.choice, WORDS[task.answer.choice]), make("span", "", `${task.answer.code ? ": " + reasonName(task.answer.code) : ""} (${task.sku})`));
  box.append(line);
  if (task.told?.earlier) {
    const list = make("ul");
    for (const one of task.told.earlier) list.append(make("li", "", `${one.who}: ${WORDS[one.choice] ?? one.choice}${one.code ? ", " + reasonName(one.code) : ""}${one.note ? ". “" + one.note + "”" : ""}`));
    box.append(make("p", "muted", "The two before you said:"), list);
  }
  if (settings.findingsAfter && task.told?.findings) {
    const list = make("ul");
    fillFindings(list, task.told.findings);
    box.append(make("p", "muted", "The checks said:"), list);
  }
};
const undo = () => outbox.inOrder(async () => {
  try {
    const said = await ask("POST", "/api/undo", {});
    if (!said.count) { toast("There is nothing to take back."); return; }
    done -= said.count;
    for (const view of said.tasks) {
      const place = tasks.findLastIndex((task) => task.id === view.id);
      if (place >= 0) Object.assign(tasks[place], view, { note: tasks[place].answer?.note ?? "", answer: null, told: null });
      else tasks.splice(Math.max(0, at), 0, { ...view, answer: null, note: "" });
    }
    byId("last").hidden = true;
    dry = false;
    waitingForMore = true;
    const place = tasks.findIndex((task) => task.id === said.tasks[0]?.id);
    if (place >= 0) { at = -1; show(place); } else refill();
    if (!settings.blind) refill();
    toast(said.count === 1 ? "Taken back." : `${said.count} answers of one bulk taken back.`);
  } catch (error) { toast(error.code === "conflict" ? "Too late: somebody has decided on the ground of that answer." : error.message); }
});

// ---- reasons -----------------------------------------------------------------------------------------------------------------
const sheet = byId("reasons");
for (const one of REASONS) {
  const choose = make("button", "button");
  choose.type = "button";
  choose.append(make("kbd", "", String(one.digit)), one.name);
  choose.title = one.definition;
  choose.addEventListener("click", () => { sheet.close(); answer("reject", one.code); });
  byId("reason-list").append(choose);
}
sheet.addEventListener("keydown", (event) => {
  const one = REASONS.find((each) => String(each.digit) === event.key);
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  if (one) { event.preventDefault(); event.stopPropagation(); sheet.close(); answer("reject", one.code); }
});
// The keys belong to the picture again, wherever the focus was before.
const letGo = () => { if (document.activeElement instanceof HTMLElement) document.activeElement.blur(); };
sheet.addEventListener("close", () => { if (!explaining) letGo(); });

// ---- progress and pace ---------------------------------------------------------------------------------------------------------
const times = [], FIVE = 300_000, HALF_HOUR = 1_800_000, PAUSE = 300_000;
let workingSince = remembered("working-since", 0), lastAnswer = remembered("last-answer", 0);
const count = () => {
  const now = Date.now();
  // Five minutes without an answer are a break.
  if (!workingSince || now - lastAnswer > PAUSE) workingSince = now;
  lastAnswer = now;
  times.push(now);
  remember("working-since", workingSince);
  remember("last-answer", lastAnswer);
  byId("break-banner").hidden = now - workingSince < HALF_HOUR;
};
byId("break-done").addEventListener("click", () => { workingSince = Date.now(); remember("working-since", workingSince); byId("break-banner").hidden = true; });
const drawProgress = () => {
  const now = Date.now();
  while (times.length && times[0] < now - FIVE) times.shift();
  byId("progress-bar").max = Math.max(1, total);
  byId("progress-bar").value = done;
  byId("progress-text").textContent = `${done.toLocaleString("en")} of ${total.toLocaleString("en")}`;
  const span = times.length > 1 ? (now - times[0]) / 60_000 : 0;
  byId("rate").textContent = times.length > 2 && span > 0.02 ? `${Math.round((times.length - 1) / span)} a minute` : "";
  // Only what was answered can be behind: a number of its own would look like a second count of the queue.
  const behind = at >= 0 ? tasks.slice(at).filter((one) => !isOpen(one)).length : 0;
  byId("place").textContent = behind ? `${behind} back` : "";
};

// ---- keys ------------------------------------------------------------------------------------------------------------------------
const does = {
  accept: () => answer("accept"), regenerate: () => answer("regenerate"), skip: () => answer("skip"), undo,
  reject: () => { if (current() && isOpen(current())) { sheet.showModal(); sheet.querySelector(".button").focus(); } },
  forward: () => { if (disputes && current() && !isOpen(current()) && openAfter(at) === at + 1 || at + 1 < tasks.length) show(at + 1); else if (current() && !isOpen(current())) goOn(); },
  back: () => { if (at > 0) show(at - 1); },
  zoom: () => stage.toggleZoom(),
  pixels: () => { stage.change({ crisp: !stage.view.crisp }); press("pixels", stage.view.crisp); },
  compare: () => { stage.change({ compare: !stage.view.compare }); drawSecond(); preload(); },
  other: () => { compareWith += 1; if (!stage.view.compare && !flicker) stage.change({ compare: true }); drawSecond(); if (flicker) drawPicture(current()); preload(); },
  flicker: () => { if (!current()) return; flicker = !flicker; if (!flicker) badge(null); drawSecond(); drawPicture(current()); },
  overlay: () => { mapOn = !mapOn; remember("map", mapOn); if (mapOn) suggestLens(); drawMap(); },
  note: () => byId("note").focus(),
  grid: () => location.assign("/grid"),
  select: () => toast("Pictures are selected in the grid."),
  help: () => help.open(),
};
/* Where a finding is shown anyway, the map starts with what it measures. */
const suggestLens = () => {
  const task = current(), fitting = task?.findings?.find((one) => one.lens !== null);
  if (fitting) lens.value = fitting.lens;
  if (task) mapAddress(task);
  if (checked.isConnected) lens.value = "check";
};
document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]")) return;
  if (event.target === byId("note") && (event.key === "Escape" || event.key === "Enter" && event.ctrlKey)) {
    event.preventDefault();
    letGo();
    if (event.key === "Enter" && explaining === current()) answer("reject", "other"); else explain(null);
    return;
  }
  const name = keys.actionOf(event);
  if (!name || !does[name]) return;
  event.preventDefault();
  if (event.repeat && !["forward", "back"].includes(name)) return;
  does[name]();
});
for (const node of document.querySelectorAll("[data-does]")) node.addEventListener("click", (event) => {
  does[node.dataset.does]();
  // After a click with the mouse the keys go back to the picture; a keyboard user keeps the place.
  if (event.detail && node.dataset.does !== "note") letGo();
});
byId("look-again").addEventListener("click", () => { dry = false; waitingForMore = true; refill(); });
help.onChange((name) => {
  if (name === "blind") { for (const task of tasks) if (isOpen(task) && settings.blind) delete task.findings; refill(); }
  if (current()) drawFacts();
});
window.addEventListener("pagehide", () => {
  // What is held and not answered goes back, so that colleagues need not wait for the lease to end.
  if (outbox.count() === 0) navigator.sendBeacon("/api/release", new Blob(["{}"], { type: "application/json" }));
});
window.addEventListener("beforeunload", (event) => { if (outbox.count()) event.preventDefault(); });
window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
refill();
})();
