// The log on a job's page: its newest lines come over the stream, one by one.
//
// A fetched page brings the lines up to a place in the stream, and perhaps some beyond it, which the stream
// then sends once more: such a line is found among those of the page, and not shown twice.

import { localise } from "./times.js";
import { words } from "./words.js";

const MOST_LINES = 400; // as many as the server puts on a page
const LOOKED_BACK = 60; // lines that can have come while the page was made

let shownUpTo = "0";

// Ids of the stream are "milliseconds-number".
function isBeyond(id, other) {
  const [ms, number] = id.split("-").map(Number);
  const [otherMs, otherNumber] = other.split("-").map(Number);
  return ms > otherMs || (ms === otherMs && (number || 0) > (otherNumber || 0));
}

export function logIsUpTo(id) {
  shownUpTo = id || "0";
}

function span(className, text) {
  const element = document.createElement("span");
  if (className) element.className = className;
  element.textContent = text;
  return element;
}

function lineOf(row) {
  const line = document.createElement("li");
  const attempt = span("log-attempt", row.in_attempt);
  attempt.title = words("attempt", { number: row.in_attempt });
  const time = document.createElement("time");
  time.dateTime = new Date(row.at_ms).toISOString().replace(/\.\d+Z$/, "Z");
  time.dataset.clock = "";
  line.append(attempt, time, span("", row.line));
  line.dataset.live = "";
  localise(line);
  return line;
}

export function addLogLine(row, id) {
  const list = document.querySelector("#log ol");
  if (!list || !row.line || !isBeyond(id, shownUpTo)) return;
  const known = [...list.children].slice(-LOOKED_BACK).find((line) => {
    const fields = line.children;
    return !("live" in line.dataset) && fields[0].textContent === String(row.in_attempt) && line.lastElementChild.textContent === row.line;
  });
  if (known) {
    known.dataset.live = "";
    return;
  }
  list.append(lineOf(row));
  while (list.children.length > MOST_LINES) list.firstElementChild.remove();
}
