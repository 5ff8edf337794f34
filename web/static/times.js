// Shows every <time> in the reader's own time zone; without this they are in UTC.

// In the page's language, as the reader's own country writes it where the browser says so.
const language = document.documentElement.lang;
const locale = navigator.languages.find((one) => one.split("-")[0] === language) ?? language;

const short = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
const today = new Intl.DateTimeFormat(locale, { timeStyle: "medium" });
const clock = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });

export function localise(root) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    const at = new Date(element.dateTime);
    if ("clock" in element.dataset) {
      element.textContent = clock.format(at);
      continue;
    }
    const isToday = at.toDateString() === new Date().toDateString();
    element.textContent = (isToday ? today : short).format(at);
    element.title = at.toString();
  }
}

localise(document);
