// The list of jobs: fetched again when a job is new or changes its state, and from time to time while one trains.

import { listen, notice, refresh, refreshWithin } from "./live.js";

const TRAINS_MS = 4000; // how old a share of the work may be
const OFTEN = new Set(["progress", "epoch"]);
const NOT_SHOWN = new Set(["log", "checkpoint", "checkpoint-failed", "checkpoint-rejected"]);

listen("/api/v1/events", {
  change: ({ type }) => {
    notice("");
    if (OFTEN.has(type)) refreshWithin(TRAINS_MS);
    else if (!NOT_SHOWN.has(type)) refresh();
  },
  paused: (data) => {
    notice(data.message);
    refresh(); // the list is then read from the disk
  },
});
