// A job's page: puts what the stream says into its place. Every word comes from the server.
//
// State, buttons and tables change together: a message with another state than the page's makes the page be
// fetched again, and all of it is put into place at once.

import { isLost, listen, notice, refresh } from "./live.js";

const job = document.getElementById("job");
const name = document.title;
const progress = document.getElementById("progress");
const curves = document.getElementById("chart-loss") ? await import("./curves.js") : null;

function put(name, text) {
  const element = document.querySelector(`[data-bind="${name}"]`);
  if (element && element.textContent !== text) element.textContent = text;
}

function show(view) {
  for (const [name, value] of Object.entries(view)) if (typeof value === "string") put(name, value);
  progress.value = view.percent;
  progress.className = `bar bar-${view.tone}`;
  const state = document.querySelector("[data-tone]");
  if (state) state.className = `state state-${view.tone}`;
  document.title = `${view.done} ${view.label} · ${name}`;
}

function now(view) {
  const shown = document.querySelector("[data-bind=label]").textContent;
  if (isLost() || view.label !== shown) refresh();
  else show(view);
  if (view.live && !isLost()) notice("");
}

// What tells that somebody is at work right now must not stand still as if it were so.
function blank() {
  for (const figure of ["heartbeat", "speed", "time_left"]) put(figure, "–");
  document.title = name;
}

function scrollLog(event) {
  const log = document.getElementById("log");
  if (log && (!event || event.target.dataset.part === "log")) log.scrollTop = log.scrollHeight;
}

listen(
  job.dataset.events,
  {
    now,
    paused: (data) => {
      notice(data.message);
      refresh();
    },
    gone: () => location.reload(),
    progress: (row) => curves?.addProgress(row),
    epoch: (row) => {
      curves?.addEpoch(row);
      refresh();
    },
    attempt: () => {
      curves?.reload();
      refresh();
    },
    state: () => {
      document.querySelector(".flash")?.remove(); // it was of the state before
      refresh();
    },
    wish: refresh,
    log: refresh,
    checkpoint: refresh,
    "checkpoint-failed": refresh,
    "checkpoint-rejected": refresh,
  },
  job.dataset.after,
);

addEventListener("swapped", scrollLog);
document.addEventListener("refreshed", (event) => show(JSON.parse(event.detail.getElementById("job").dataset.live)));
document.addEventListener("lost", blank);
scrollLog();
