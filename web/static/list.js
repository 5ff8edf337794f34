// The list of jobs: whenever anything happens to any job, the list is fetched again.

import { listen, notice, refresh } from "./live.js";

listen("/api/v1/events", {
  change: () => {
    notice("");
    refresh();
  },
  paused: (data) => {
    notice(data.message);
    refresh(); // the list is then read from the disk
  },
});
