// Fetch the parts of a page that no snapshot holds, seldom and spread in time, and put them in place of the old ones.
// A hundred people may watch one batch: after it ends, their pages must not all ask in the same instant.

import { sayIfSignedOut } from "./signed_out.js";
import { showTimes } from "./times.js";

const LEAST_GAP_MS = 5_000;
const SPREAD_SECONDS = 3;

/**
 * Keep the parts of this page up to date.
 *
 * @param {string[]} notes the ids of the short parts
 * @param {string} rows the id of the long table, which is fetched only while it is in sight
 * @returns {(withinSeconds?: number) => void} call it when something has changed that the parts may show, with the time
 *   over which the server wants the fetches of all watchers spread
 */
export function followParts(notes, rows) {
  let timer = 0;
  let fetchedAt = -LEAST_GAP_MS;
  let isOver = false;
  let areRowsSeen = false;
  let spreadSeconds = SPREAD_SECONDS;
  const stale = { notes: false, rows: false };
  const tags = new Map();

  const observer = new IntersectionObserver((entries) => {
    areRowsSeen = entries.at(-1).isIntersecting;
    plan();
  });
  observer.observe(document.getElementById(rows));
  document.addEventListener("visibilitychange", plan);

  function plan() {
    const isDue = stale.notes || (stale.rows && areRowsSeen);
    if (timer || isOver || !isDue || document.hidden) return;
    const gap = Math.max(0, fetchedAt + LEAST_GAP_MS - performance.now());
    timer = setTimeout(fetchParts, gap + Math.random() * spreadSeconds * 1000);
  }

  async function fetchParts() {
    timer = 0;
    if (document.hidden) return;
    fetchedAt = performance.now();
    const wanted = Object.keys(stale).filter((part) => stale[part] && (part !== "rows" || areRowsSeen));
    for (const part of wanted) stale[part] = false;
    const address = new URL(location.href);
    address.hash = "";
    for (const part of wanted) address.searchParams.append("part", part);
    const headers = tags.has(address.href) ? { "If-None-Match": tags.get(address.href) } : {};
    const answer = await fetch(address, { headers }).catch(() => null);
    if (answer?.ok && !answer.redirected) {
      tags.set(address.href, answer.headers.get("ETag"));
      replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } else if (answer && answer.status !== 304 && answer.status < 500) {
      isOver = true; // signed out, or the batch is gone
      sayIfSignedOut(goOn);
    } else if (!answer || answer.status >= 500) {
      for (const part of wanted) stale[part] = true;
    }
    plan();
  }

  function replace(page) {
    for (const id of [...notes, rows]) {
      const [part, newer] = [document.getElementById(id), page.getElementById(id)];
      if (!part || !newer || isReading(part)) continue;
      part.replaceWith(document.adoptNode(newer));
      showTimes(newer);
      if (id === rows) observer.observe(newer);
    }
  }

  function goOn() {
    isOver = false;
    stale.notes = stale.rows = true;
    plan();
  }

  return (withinSeconds = SPREAD_SECONDS) => {
    spreadSeconds = withinSeconds;
    stale.notes = stale.rows = true;
    plan();
  };
}

/** Whether the reader is using a part: has opened something, has the focus in it, or has selected text. */
function isReading(part) {
  return part.querySelector("details[open]") || part.contains(document.activeElement) || !getSelection().isCollapsed;
}
