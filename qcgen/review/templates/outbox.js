/* Answers on their way: sent one after the other, kept in this tab until the server has them, tried again when it is away. */
window.qcgen.outbox = (() => {
"use strict";
const { byId, ask } = window.qcgen;
const NAME = "qcgen-outbox-" + document.body.dataset.reviewer;
let waiting = [], chain = Promise.resolve(), pause = 0;
try { waiting = JSON.parse(sessionStorage.getItem(NAME)) ?? []; } catch { /* nothing was kept */ }
const store = () => { try { sessionStorage.setItem(NAME, JSON.stringify(waiting)); } catch { /* lasts as long as the page */ } };
const tell = (text) => {
  byId("outbox-banner").hidden = !text;
  byId("outbox-text").textContent = text ?? "";
};
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
/* Runs requests in the order in which they were asked for. */
const inOrder = (does) => {
  const result = chain.then(does);
  chain = result.catch(() => {});
  return result;
};
const deliver = async (answer) => {
  for (;;) {
    try {
      const said = await ask("POST", "/api/decide", answer);
      pause = 0;
      tell(null);
      return { said };
    } catch (error) {
      if (error.status === 401) tell("You are logged out. Open the login page in another tab, log in, and this page goes on.");
      else if (!error.status || error.status === 503) tell(`Not stored yet: ${waiting.length === 1 ? "an answer of yours waits" : `${waiting.length} of your answers wait`} in this tab. Trying again.`);
      else return { error };
      pause = Math.min(10_000, Math.max(1000, pause * 2));
      await sleep(pause);
    }
  }
};
/* Sends an answer; `done` gets what the server said, or the error that it refused with. */
const send = (answer, done) => {
  waiting.push(answer);
  store();
  return inOrder(async () => {
    const result = await deliver(answer);
    waiting.splice(waiting.indexOf(answer), 1);
    store();
    done(result);
  });
};
const left = waiting;
waiting = [];
for (const answer of left) send(answer, () => {});
return { send, inOrder, count: () => waiting.length };
})();
