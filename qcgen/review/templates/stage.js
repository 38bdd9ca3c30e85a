/* The picture and the one beside it: one zoom and one place for both, kept from picture to picture. */
window.qcgen.stage = (() => {
"use strict";
const { byId, make, remembered, remember } = window.qcgen;
const main = byId("pane"), second = byId("second");
const view = Object.assign({ zoom: 1, x: 0.5, y: 0.5, crisp: false, compare: false }, remembered("view", {}));
const pictures = new Map([[main, null], [second, null]]);
let map = null, opacity = remembered("opacity", 60), cursor = null;
const MOST = 40;

const fitOf = (pane, image) => Math.min(pane.clientWidth / image.naturalWidth, pane.clientHeight / image.naturalHeight);
/* The picture's corner on the pane: centred where it is smaller, never off the edge where it is larger. */
const corner = (room, size, at) => size <= room ? (room - size) / 2 : Math.min(0, Math.max(room - size, room / 2 - at * size));
const place = (pane) => {
  const image = pictures.get(pane);
  if (!image || !image.naturalWidth || !pane.clientWidth) return;
  const scale = fitOf(pane, image) * view.zoom;
  const left = corner(pane.clientWidth, image.naturalWidth * scale, view.x), top = corner(pane.clientHeight, image.naturalHeight * scale, view.y);
  const where = `translate(${left}px, ${top}px) scale(${scale})`;
  image.style.transform = where;
  if (pane === main && map && map.naturalWidth) {
    map.style.transform = `translate(${left}px, ${top}px) scale(${scale * image.naturalWidth / map.naturalWidth})`;
    map.style.opacity = opacity / 100;
  }
  pane.classList.toggle("near", view.zoom > 1);
  if (pane === main) byId("scale").textContent = `${Math.round(100 * scale * window.devicePixelRatio)} %`;
};
const layout = () => {
  byId("panes").classList.toggle("crisp", view.crisp);
  second.hidden = !view.compare;
  place(main);
  place(second);
};
const change = (what) => {
  Object.assign(view, what);
  remember("view", view);
  layout();
};
const show = (pane, image) => {
  const before = pictures.get(pane);
  if (before === image) { place(pane); return; }
  pictures.set(pane, image);
  if (before) before.remove();
  if (image) { pane.prepend(image); place(pane); }
};
const setMap = (image) => {
  if (map) map.remove();
  map = image;
  if (!map) return;
  map.className = "map";
  map.alt = "";
  main.querySelector("img")?.after(map);
  place(main);
};

// ---- zoom and pan ----------------------------------------------------------------------------------------------------------
/* The place of the picture (0 to 1) under a point of the pane. */
const under = (pane, point) => {
  const image = pictures.get(pane);
  if (!image) return { x: 0.5, y: 0.5 };
  const scale = fitOf(pane, image) * view.zoom, width = image.naturalWidth * scale, height = image.naturalHeight * scale;
  return { x: (point.x - corner(pane.clientWidth, width, view.x)) / width, y: (point.y - corner(pane.clientHeight, height, view.y)) / height };
};
const zoomTo = (zoom, pane = main, point = null) => {
  const image = pictures.get(pane);
  if (!image) return;
  const to = Math.max(1, Math.min(MOST, zoom));
  const at = point ?? { x: pane.clientWidth / 2, y: pane.clientHeight / 2 }, held = under(pane, at);
  const scale = fitOf(pane, image) * to;
  const width = image.naturalWidth * scale, height = image.naturalHeight * scale;
  // The place under the cursor stays under the cursor.
  const x = held.x + (pane.clientWidth / 2 - at.x) / width, y = held.y + (pane.clientHeight / 2 - at.y) / height;
  change({ zoom: to, x: Math.max(0, Math.min(1, x)), y: Math.max(0, Math.min(1, y)) });
};
/* 1:1, where one pixel of the file is one of the screen; of a picture that is already larger than that, three times. */
const toggleZoom = () => {
  const pane = cursor?.pane ?? main, image = pictures.get(pane);
  if (!image) return;
  if (view.zoom > 1) { change({ zoom: 1, x: 0.5, y: 0.5 }); return; }
  const one = 1 / (fitOf(pane, image) * window.devicePixelRatio);
  zoomTo(one > 1.2 ? one : 3, pane, cursor);
};
for (const pane of [main, second]) {
  let held = null, moved = false;
  const pointOf = (event) => { const box = pane.getBoundingClientRect(); return { x: event.clientX - box.left, y: event.clientY - box.top, pane }; };
  pane.addEventListener("pointermove", (event) => {
    cursor = pointOf(event);
    const image = pictures.get(pane);
    if (!held || !image) return;
    const scale = fitOf(pane, image) * view.zoom, dx = event.clientX - held.x, dy = event.clientY - held.y;
    if (Math.abs(dx) + Math.abs(dy) > 3) moved = true;
    const x = held.at.x - dx / (image.naturalWidth * scale), y = held.at.y - dy / (image.naturalHeight * scale);
    change({ x: Math.max(0, Math.min(1, x)), y: Math.max(0, Math.min(1, y)) });
  });
  pane.addEventListener("pointerleave", () => { if (!held) cursor = null; });
  pane.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    held = { x: event.clientX, y: event.clientY, at: { x: view.x, y: view.y } };
    moved = false;
    cursor = pointOf(event);
    pane.setPointerCapture(event.pointerId);
    pane.classList.add("held");
  });
  const let_go = () => { held = null; pane.classList.remove("held"); };
  pane.addEventListener("pointerup", let_go);
  pane.addEventListener("pointercancel", let_go);
  pane.addEventListener("click", () => { if (!moved) toggleZoom(); });
  pane.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoomTo(view.zoom * Math.exp(-event.deltaY / 400), pane, pointOf(event));
  }, { passive: false });
}
new ResizeObserver(layout).observe(byId("panes"));

// ---- pictures are loaded and decoded before they are needed ----------------------------------------------------------------
const ready = new Map();
const load = (address) => {
  if (!ready.has(address)) {
    const image = make("img");
    image.alt = "";
    image.draggable = false;
    image.decoding = "sync";
    image.src = address;
    const entry = { image, done: null, failed: false };
    entry.done = image.decode().catch(() => { entry.failed = true; });
    ready.set(address, entry);
  }
  return ready.get(address);
};
/* Forgets all but these; an image that is on the screen stays alive by itself. */
const keepOnly = (addresses) => { for (const address of ready.keys()) if (!addresses.has(address)) ready.delete(address); };
layout();
return {
  view, main, second, show, setMap, load, keepOnly, change, layout, toggleZoom,
  opacity: (value) => { if (value !== undefined) { opacity = value; remember("opacity", value); layout(); } return opacity; },
};
})();
