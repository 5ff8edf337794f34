// A job's page: puts what the stream says into its place. Every word comes from the server.

import { listen, notice, refresh } from "./live.js";

const job = document.getElementById("job");
const name = document.title;
const progress = document.getElementById("progress");
const curves = document.getElementById("chart-loss") ? await import("./curves.js") : null;

function put(name, text) {
  const element = document.querySelector(`[data-bind="${name}"]`);
  if (element && element.textContent !== text) element.textContent = text;
}

function now(view) {
  for (const [name, value] of Object.entries(view)) if (typeof value === "string") put(name, value);
  progress.value = view.percent;
  progress.className = `bar bar-${view.tone}`;
  const state = document.querySelector("[data-tone]");
  if (state) state.className = `state state-${view.tone}`;
  document.title = `${view.done} ${view.label} · ${name}`;
  if (view.live) notice("");
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
    state: refresh,
    wish: refresh,
    log: refresh,
    checkpoint: refresh,
    "checkpoint-failed": refresh,
    "checkpoint-rejected": refresh,
  },
  job.dataset.after,
);

addEventListener("swapped", scrollLog);
scrollLog();
