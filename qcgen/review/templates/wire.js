/* What every page uses: requests, elements, messages. */
window.qcgen = (() => {
"use strict";
const byId = (id) => document.getElementById(id);
const make = (tag, className, text) => {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
};
class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}
const ask = async (method, path, body) => {
  const answer = await fetch(path, {
    method, credentials: "same-origin", cache: "no-store", redirect: "error",
    headers: body === undefined ? {} : { "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  let said = {};
  try { said = await answer.json(); } catch { /* an answer without JSON has no words of its own */ }
  if (!answer.ok) throw new Refused(answer.status, said.error ?? "failed", said.message ?? "The server gave no answer.");
  return said;
};
let fading = 0;
const toast = (text) => {
  const node = byId("toast");
  node.textContent = text;
  node.hidden = false;
  clearTimeout(fading);
  fading = setTimeout(() => { node.hidden = true; }, 3500);
};
const remembered = (name, otherwise) => {
  // A private window may refuse storage; then settings last as long as the page.
  try { return JSON.parse(localStorage.getItem("qcgen-" + name)) ?? otherwise; } catch { return otherwise; }
};
const remember = (name, value) => { try { localStorage.setItem("qcgen-" + name, JSON.stringify(value)); } catch { /* see above */ } };
const plain = (text) => text.replace(/[_-]/g, " ");
const settings = Object.assign({ blind: true, findingsAfter: false, letters: true, minimumMs: 400, keys: {} }, remembered("settings", {}));
const keep = () => remember("settings", settings);
const logOut = byId("log-out");
if (logOut) logOut.addEventListener("click", async () => {
  try { await ask("POST", "/api/logout", {}); } finally { location.assign("/"); }
});
return { byId, make, ask, Refused, toast, remembered, remember, plain, settings, keep };
})();
