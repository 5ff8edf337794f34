// Forms with data-once are sent once. The server makes one job of a double click anyway; this spares the second request.
// A form with data-kept also keeps what was typed for the browser's Back, and gets its errors without leaving the page.

const KEPT = "keepfit-form";
const HIDDEN = ["csrf_token", "key"];

function busy(form, yes) {
  if (yes) form.dataset.sent = "yes";
  else delete form.dataset.sent;
  for (const button of form.querySelectorAll("button")) {
    if (yes) button.setAttribute("aria-busy", "true");
    else button.removeAttribute("aria-busy");
  }
}

function keep(form) {
  const typed = [...new FormData(form)].filter(([name]) => !HIDDEN.includes(name));
  sessionStorage.setItem(KEPT, JSON.stringify(Object.fromEntries(typed)));
}

function bringBack(form) {
  const typed = JSON.parse(sessionStorage.getItem(KEPT) ?? "{}");
  for (const [name, value] of Object.entries(typed)) {
    const field = form.elements.namedItem(name);
    if (field) field.value = value; // of radio buttons, too
  }
}

function focusTheMistake() {
  document.querySelector("[aria-invalid=true]")?.focus();
}

async function send(form) {
  const headers = { Accept: "application/json, text/html" };
  const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)), headers });
  if (answer.headers.get("Content-Type")?.startsWith("application/json")) {
    location.assign((await answer.json()).url);
    return;
  }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.querySelector("main").replaceChildren(...page.querySelector("main").childNodes);
  focusTheMistake();
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("[data-once]")) return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  busy(form, true);
  if (!form.matches("[data-kept]")) return;
  keep(form);
  event.preventDefault();
  send(form).catch(() => {
    busy(form, false);
    form.submit(); // the browser says why nobody answers
  });
});

// Coming back to the page with the browser's button finds the form usable again.
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("[data-sent]")) busy(form, false);
});

const [visit] = performance.getEntriesByType("navigation");
const kept = document.querySelector("form[data-kept]");
if (kept && visit?.type === "back_forward") bringBack(kept);
focusTheMistake();
