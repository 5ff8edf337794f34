// Shows every <time> in the reader's own time zone; without this they are in UTC.

const short = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const today = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });

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
