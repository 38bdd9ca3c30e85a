const byId = (id) => document.getElementById(id);
const latest = new Map();
for (const run of window.qcgenRuns ?? []) latest.set(run.run_id, run);
const runs = [...latest.values()].sort((a, b) => (a.started_at < b.started_at ? 1 : a.started_at > b.started_at ? -1 : 0));
for (const name of [...new Set(runs.map((run) => run.name))].sort()) {
  const option = document.createElement("option");
  option.value = option.textContent = name;
  byId("job").append(option);
}
const PAGE = 200;
let shown = PAGE, found = runs;
const count = (value) => (value ?? 0).toLocaleString("en");
const line = (run) => {
  const row = document.createElement("tr");
  const cell = (value, numeric) => {
    const node = document.createElement("td");
    if (numeric) node.className = "num"; else node.className = "short";
    node.append(value);
    row.append(node);
  };
  const link = document.createElement("a");
  link.href = encodeURIComponent(run.folder) + "/index.html";
  link.textContent = run.run_id.slice(0, 12);
  const mark = document.createElement("span"), key = document.createElement("span");
  const state = ["good", "warn", "bad"].includes(run.state) ? run.state : "none";
  mark.className = "mark state-" + state;
  key.className = "key state-" + state;
  mark.append(key, run.answer ?? run.status);
  cell(mark);
  cell(link);
  cell((run.started_at ?? "").slice(0, 16).replace("T", "\u00a0"));
  cell(run.name);
  for (const name of ["planned", "accepted", "flagged", "rejected", "failed"]) cell(count(run[name]), true);
  cell(run.model);
  return row;
};
const draw = () => {
  byId("rows").replaceChildren(...found.slice(0, shown).map(line));
  document.querySelector(".more").hidden = found.length <= shown;
  const all = runs.length === 1 ? "1 run" : `${count(runs.length)} runs`;
  byId("shown").textContent = found.length === runs.length ? all : `${count(found.length)} of ${all}`;
};
const select = () => {
  const job = byId("job").value, answer = byId("answer").value, text = byId("text").value.trim().toLowerCase();
  found = runs.filter((run) => (!job || run.name === job) && (!answer || run.state === answer)
    && (!text || `${run.run_id} ${run.name} ${run.model}`.toLowerCase().includes(text)));
  shown = PAGE;
  draw();
};
byId("filters").addEventListener("input", select);
byId("filters").addEventListener("submit", (event) => event.preventDefault());
byId("more").addEventListener("click", () => { shown += PAGE; draw(); });
draw();
