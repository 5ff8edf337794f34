// The buttons of a job's page: sent without leaving it, so that the browser's Back leads to where one came from.

import { isLost, parsed, put, refresh, say } from "./live.js";
import { words } from "./words.js";

function busy(form, yes) {
  for (const button of form.querySelectorAll("button")) {
    if (yes) button.setAttribute("aria-busy", "true");
    else button.removeAttribute("aria-busy");
  }
}

async function send(form) {
  const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
  const page = parsed(await answer.text());
  if (answer.ok) {
    put(page);
    say(page.querySelector(".flash")?.textContent ?? "");
  } else {
    say(page.querySelector("main p")?.textContent ?? words("refused", { status: answer.status }));
  }
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.matches("[data-action]")) return;
  event.preventDefault();
  if (isLost() || form.querySelector("[aria-busy]")) return;
  busy(form, true);
  try {
    await send(form);
  } catch {
    refresh(); // finds out whether the server is gone, and says so
  }
  busy(form, false);
});
