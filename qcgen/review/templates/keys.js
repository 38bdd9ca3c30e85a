/* Which key does what. Kept in this browser; letters can be changed, and switched off altogether. */
window.qcgen.keys = (() => {
"use strict";
const { settings, keep } = window.qcgen;
const ACTIONS = [
  ["accept", "Accept", "a"], ["reject", "Reject, then a digit for the reason", "r"], ["regenerate", "Regenerate", "f"],
  ["skip", "Skip: not sure, leave it to others", "s"], ["undo", "Take back (also Ctrl+Z)", "u"],
  ["zoom", "Zoom at the cursor, and back", "z"], ["pixels", "Crisp or smooth pixels", "p"],
  ["compare", "Show the picture to compare with", "v"], ["other", "The next one to compare with", "c"],
  ["flicker", "Flicker between the two", "b"], ["overlay", "Map over the picture", "h"],
  ["note", "Write a note", "n"], ["grid", "Grid and back", "g"], ["select", "Select in the grid", "x"], ["help", "This help", "?"],
];
const FIXED = { " ": "accept", ArrowRight: "forward", ArrowLeft: "back" };
const keyOf = (name) => settings.keys[name] ?? ACTIONS.find(([each]) => each === name)?.[2] ?? "";
const shown = (key) => ({ " ": "Space", ArrowRight: "→", ArrowLeft: "←" })[key] ?? (key.length === 1 ? key.toUpperCase() : key);
const isText = (node) => node.isContentEditable || node.matches("textarea, select, input:not([type=checkbox]):not([type=range])");
const actionOf = (event) => {
  const target = event.target instanceof Element ? event.target : document.body;
  if (event.isComposing || isText(target)) return null;
  if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "z") return "undo";
  if (event.ctrlKey || event.metaKey || event.altKey) return null;
  // A control in focus keeps the keys that belong to it.
  if (target.matches("button, a, summary, input") && [" ", "Enter"].includes(event.key)) return null;
  if (target.matches("input[type=range]") && event.key.startsWith("Arrow")) return null;
  if (event.key in FIXED) return FIXED[event.key];
  if (event.key.length === 1 && !settings.letters) return null;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  return ACTIONS.find(([name]) => keyOf(name) === key)?.[0] ?? null;
};
/* Sets a key; whoever had it gets the old one in return, so that no action is left without. */
const change = (name, key) => {
  const holder = ACTIONS.find(([each]) => each !== name && keyOf(each) === key)?.[0];
  if (holder) settings.keys[holder] = keyOf(name);
  settings.keys[name] = key;
  keep();
  paint();
};
const reset = () => { settings.keys = {}; keep(); paint(); };
const paint = () => {
  for (const node of document.querySelectorAll("[data-does] kbd")) {
    node.textContent = shown(keyOf(node.closest("[data-does]").dataset.does));
    node.hidden = !settings.letters;
  }
  for (const node of document.querySelectorAll(".note-box kbd")) { node.textContent = shown(keyOf("note")); node.hidden = !settings.letters; }
};
paint();
return { ACTIONS, FIXED, keyOf, shown, actionOf, change, reset, paint };
})();
