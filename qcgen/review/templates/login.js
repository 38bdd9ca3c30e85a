(() => {
"use strict";
const { byId, ask } = window.qcgen;
const told = byId("told"), form = byId("login");
const enter = async (what) => {
  told.textContent = "";
  try {
    await ask("POST", "/api/login", what);
    location.replace("/");
  } catch (error) {
    told.textContent = error.status ? error.message : "The server does not answer. Is qcgen review still running?";
  }
};
const ticket = new URLSearchParams(location.hash.slice(1)).get("ticket");
if (ticket) {
  // Out of the address and the history before anything else.
  history.replaceState(null, "", location.pathname);
  enter({ ticket });
}
if (form) form.addEventListener("submit", (event) => {
  event.preventDefault();
  enter({ name: byId("name").value, password: byId("password").value });
});
})();
