// Keeps a page up to date: listens to a stream, and replaces the parts of the page that have changed.
//
//   listen(url, { now: (data) => ..., state: refresh })   // goes on by itself after any break
//   refresh()                                             // fetches this page again, at most once a second

import { localise } from "./times.js";

const GAP_MS = 1000; // between two refreshes
const AGAIN_MS = 2000; // before a broken stream is opened again

// ---- parts: elements with data-part; the server renders them, the script only puts them in place

function comparable(part) {
  const copy = part.cloneNode(true);
  for (const hidden of copy.querySelectorAll("input[type=hidden]")) hidden.remove();
  for (const time of copy.querySelectorAll("time")) {
    time.textContent = time.dateTime;
    time.removeAttribute("title");
  }
  for (const scrolled of copy.querySelectorAll("[data-scrolled]")) scrolled.removeAttribute("data-scrolled");
  return copy.innerHTML;
}

function swap(fresh) {
  for (const part of document.querySelectorAll("[data-part]")) {
    const next = fresh.querySelector(`[data-part="${part.dataset.part}"]`);
    if (!next || comparable(part) === comparable(next)) continue;
    const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
    localise(next);
    part.replaceChildren(...next.childNodes);
    if (focused) document.getElementById(focused)?.focus();
    part.dispatchEvent(new CustomEvent("swapped", { bubbles: true }));
  }
}

let refreshing = false;
let wanted = false;

export async function refresh() {
  wanted = true;
  if (refreshing) return;
  refreshing = true;
  while (wanted) {
    wanted = false;
    try {
      const answer = await fetch(location.href, { cache: "no-store", headers: { Accept: "text/html" } });
      if (answer.ok) swap(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch {
      // The web server is away; the stream says so, and asks again.
    }
    await new Promise((done) => setTimeout(done, GAP_MS));
  }
  refreshing = false;
}

// ---- notice: why the page is not live

export function notice(text) {
  const element = document.getElementById("notice");
  if (!element || element.textContent === text) return;
  element.textContent = text;
  element.hidden = !text;
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
        handle(JSON.parse(message.data));
      });
    }
    source.addEventListener("error", () => {
      notice("Live updates are paused: the web server does not answer. Trying again.");
      close();
      timer = setTimeout(() => {
        open();
        refresh();
      }, AGAIN_MS);
    });
    source.addEventListener("open", () => notice(""));
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
