// The table of batches, live. When a new batch begins, the script fetches the first page again.

import { draw, drawStatus } from "./counts.js";
import { REFUSED, follow, isRefused } from "./live.js";
import { showTimes } from "./times.js";

export function followCards(section) {
  let fetching = false;

  /** Fetch the first page again. Returns REFUSED if the user is signed out: the answer is another page then. */
  async function fetchRows() {
    if (fetching) return null;
    fetching = true;
    try {
      const answer = await fetch(section.dataset.page, { headers: { Accept: "text/html" } });
      if (answer.redirected || isRefused(answer)) return REFUSED;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const rows = page.getElementById("cards");
      if (rows) {
        document.getElementById("cards").replaceWith(document.adoptNode(rows));
        showTimes(rows);
      }
      section.hidden = false;
      document.getElementById("no-batch")?.remove();
      return null;
    } finally {
      fetching = false;
    }
  }

  follow({ socket: section.dataset.socket, poll: fetchRows }, (snapshot) => {
    const row = section.querySelector(`[data-batch="${Number(snapshot.batchId)}"]`);
    if (row) {
      const now = draw(row, snapshot);
      if (now) drawStatus(row.querySelector(".pill"), now);
    } else if (section.dataset.page && isNewer(section, snapshot.batchId)) {
      fetchRows();
    }
  });
}

/** Whether a batch belongs at the top of the table. An older one that is missing here is on another page. */
function isNewer(section, batchId) {
  const newest = section.querySelector("[data-batch]");
  return !newest || batchId > Number(newest.dataset.batch);
}
