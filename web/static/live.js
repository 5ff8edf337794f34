// Keeps a page up to date: listens to a stream, and replaces the parts of the page that have changed.
//
//   listen(url, { now: (data, id) => ..., state: refresh })   // goes on by itself after any break
//   refresh()                                                 // fetches this page again, at most once a second
//   refreshWithin(ms)                                         // the same, but there is no hurry
//   put(page)                                                 // puts the parts of a fetched page into place
//
// Tells the document: "refreshed" when the parts are in place (the fetched page is the detail), and "lost"
// when the web server does not answer; until it does, the page is marked as what was last known.

import { localise } from "./times.js";
import { words } from "./words.js";

const GAP_MS = 1000; // between two refreshes
const AGAIN_MS = 2000; // before a broken stream is opened again
const PATIENCE_MS = 10_000; // with a server that takes a request and does not answer it

// ---- lost: the page shows what was last known, and its buttons would reach nobody

export function isLost() {
  return document.body.classList.contains("lost");
}

function markLost(lost) {
  if (isLost() && !lost) notice("");
  document.body.classList.toggle("lost", lost);
  for (const button of document.querySelectorAll("main button")) button.disabled = lost;
  if (!lost) return;
  notice(words("lost"));
  document.dispatchEvent(new CustomEvent("lost"));
}

// ---- parts: elements with data-part; the server renders them, the script only puts them in place

function comparable(part) {
  const copy = part.cloneNode(true);
  for (const hidden of copy.querySelectorAll("input[type=hidden]")) hidden.remove();
  for (const time of copy.querySelectorAll("time")) {
    time.textContent = time.dateTime;
    time.removeAttribute("title");
  }
  for (const button of copy.querySelectorAll("button")) {
    button.removeAttribute("disabled");
    button.removeAttribute("aria-busy");
  }
  return copy.innerHTML;
}

export function put(fresh) {
  for (const part of document.querySelectorAll("[data-part]")) {
    const next = fresh.querySelector(`[data-part="${part.dataset.part}"]`);
    if (!next || comparable(part) === comparable(next)) continue;
    const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
    localise(next);
    part.replaceChildren(...next.childNodes);
    if (focused) document.getElementById(focused)?.focus();
  }
  document.dispatchEvent(new CustomEvent("refreshed", { detail: fresh }));
}

export function parsed(text) {
  return new DOMParser().parseFromString(text, "text/html");
}

let refreshing = false;
let wanted = false;
let later = 0;

export async function refresh() {
  clearTimeout(later);
  later = 0;
  wanted = true;
  if (refreshing) return;
  refreshing = true;
  while (wanted) {
    wanted = false;
    try {
      const signal = AbortSignal.timeout(PATIENCE_MS);
      const answer = await fetch(location.href, { cache: "no-store", headers: { Accept: "text/html" }, signal });
      const text = await answer.text();
      markLost(!answer.ok);
      if (answer.ok) put(parsed(text));
    } catch {
      markLost(true);
    }
    await new Promise((done) => setTimeout(done, GAP_MS));
    if (isLost() && !document.hidden) wanted = true;
  }
  refreshing = false;
}

export function refreshWithin(ms) {
  if (!later) later = setTimeout(refresh, ms);
}

// ---- notice: why the page is not live

export function notice(text) {
  const element = document.getElementById("notice");
  if (!element || element.textContent === text) return;
  element.textContent = text;
  element.hidden = !text;
}

// ---- what was said in answer to a press; empty takes it away

export function say(text) {
  for (const said of document.querySelectorAll(".flash")) said.remove();
  if (!text) return;
  const said = document.createElement("p");
  said.className = "flash";
  said.setAttribute("role", "status");
  said.textContent = text;
  document.getElementById("content").prepend(said);
}

// ---- stream

// A hidden page gives its connection back: a browser allows only six to one server.
export function listen(url, handlers, after = "") {
  let source = null;
  let last = after;
  let timer = 0;

  const open = () => {
    clearTimeout(timer);
    if (source || document.hidden) return;
    source = new EventSource(last ? `${url}?after=${encodeURIComponent(last)}` : url);
    for (const [kind, handle] of Object.entries(handlers)) {
      source.addEventListener(kind, (message) => {
        if (message.lastEventId) last = message.lastEventId;
        handle(JSON.parse(message.data), message.lastEventId);
      });
    }
    source.addEventListener("error", () => {
      if (!isLost()) notice(words("paused"));
      close();
      refresh(); // finds out whether only the stream is gone
      timer = setTimeout(() => {
        open();
        refresh(); // a page that gets no stream is at least fresh
      }, AGAIN_MS);
    });
    source.addEventListener("open", () => {
      if (isLost()) refresh();
      else notice("");
    });
  };

  const close = () => {
    source?.close();
    source = null;
  };

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      clearTimeout(timer);
      close();
    } else {
      open();
      refresh();
    }
  });
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  open();
}
