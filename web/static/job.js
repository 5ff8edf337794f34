// A job's page: puts what the stream says into its place. Every word comes from the server.
//
// State, buttons and tables change together: a message with another state than the page's makes the page be
// fetched again, and all of it is put into place at once. What happens all the time comes over the stream alone.

import "./actions.js";
import { isLost, listen, notice, refresh, say } from "./live.js";
import { addLogLine, logIsUpTo } from "./log.js";

const job = document.getElementById("job");
const name = document.title;
const progress = document.getElementById("progress");
// A page that cannot draw is still live.
const curves = document.getElementById("chart-loss") ? await import("./curves.js").catch(() => null) : null;

function fill(name, text) {
  const element = document.querySelector(`[data-bind="${name}"]`);
  if (element && element.textContent !== text) element.textContent = text;
}

function show(view) {
  for (const [name, value] of Object.entries(view)) if (typeof value === "string") fill(name, value);
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
  for (const figure of ["heartbeat", "speed", "time_left"]) fill(figure, "–");
  document.title = name;
}

function refreshed(event) {
  const fresh = event.detail.getElementById("job").dataset;
  logIsUpTo(fresh.after);
  show(JSON.parse(fresh.live));
}

logIsUpTo(job.dataset.after);
document.addEventListener("refreshed", refreshed);
document.addEventListener("lost", blank);

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
    epoch: (row, id) => {
      addLogLine(row, id);
      curves?.addEpoch(row);
    },
    log: addLogLine,
    checkpoint: addLogLine,
    "checkpoint-failed": addLogLine,
    "checkpoint-rejected": addLogLine,
    attempt: (row, id) => {
      addLogLine(row, id);
      curves?.reload();
      refresh();
    },
    state: () => {
      say(""); // what was said was of the state before
      refresh();
    },
    wish: refresh,
  },
  job.dataset.after,
);
