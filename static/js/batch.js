// One batch: its progress bar, its status, the buttons that fit, and the table of its emails, live.

import { draw, drawStatus, figures } from "./counts.js";
import { follow } from "./live.js";

const ROWS_EVERY = 5_000;
const HEALTH_EVERY = 5_000;
const section = document.getElementById("progress");
const status = document.getElementById("status");
const meter = document.getElementById("meter");
const rate = document.getElementById("rate");
const said = document.getElementById("said");
let saidPercent = 0;
let rowsTimer = 0;
let healthTimer = 0;

function take(snapshot) {
  const now = draw(section, snapshot);
  if (!now) return;
  const isOtherStatus = section.dataset.status !== now.status;
  section.dataset.status = now.status;
  drawStatus(status, now.status);
  meter.max = now.total;
  meter.value = now.processed;
  rate.textContent = sayRate(now);
  for (const part of section.querySelectorAll("[data-when]")) {
    part.hidden = !part.dataset.when.split(" ").includes(now.status) || (part.dataset.some && !now[part.dataset.some]);
  }
  for (const tab of document.querySelectorAll("#rows [data-live]")) tab.textContent = figures.format(now[tab.dataset.live]);
  sayProgress(now);
  refreshRows(isOtherStatus ? 0 : ROWS_EVERY);
  if (isOtherStatus) checkHealth(); // what it waited for may have come
}

function sayRate(now) {
  if (now.status !== section.dataset.moving || !now.ratePerSecond) return "";
  const speed = `${Math.round(now.ratePerSecond).toLocaleString("en-GB")} a second`;
  return now.etaSeconds === null ? speed : `${speed}, ${sayDuration(now.etaSeconds)} left`;
}

/** As batches/wording.py says it. */
function sayDuration(seconds) {
  if (seconds < 1) return "less than a second";
  if (seconds < 90) return `about ${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `about ${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return minutes % 60 && hours < 24 ? `about ${hours} h ${minutes % 60} min` : `about ${hours} h`;
}

/** Aloud only at each tenth, not at each snapshot. */
function sayProgress(now) {
  const tenth = Math.floor(now.percent / 10) * 10;
  if (tenth === saidPercent) return;
  saidPercent = tenth;
  said.textContent = `${now.percent} percent done`;
}

/** Fetch the page and take over what the counts don't tell: the rows, the tabs, the relay's trouble. */
function refreshRows(delay) {
  if (rowsTimer && delay) return;
  clearTimeout(rowsTimer);
  rowsTimer = setTimeout(async () => {
    rowsTimer = 0;
    if (document.hidden || isReading(document.getElementById("rows"))) return;
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
    if (!answer?.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const id of ["rows", "trouble"]) {
      const fresh = page.getElementById(id);
      if (fresh) document.getElementById(id).replaceWith(document.adoptNode(fresh));
    }
  }, delay);
}

/** Whether replacing the rows would take something out of the reader's hands. */
function isReading(rows) {
  return rows.querySelector("details[open]") || rows.contains(document.activeElement) || !getSelection().isCollapsed;
}

/** Without workers there are no snapshots, so health is asked for as long as the batch should be moving. */
async function checkHealth() {
  const waiting = document.getElementById("waiting");
  if (waiting.dataset.while.split(" ").includes(section.dataset.status)) {
    try {
      const answer = await fetch(section.dataset.health);
      const health = await answer.json();
      const sentence = !health.redis ? waiting.dataset.noRedis : health.workers ? "" : waiting.dataset.noWorker;
      if (waiting.textContent !== sentence) waiting.textContent = sentence;
      waiting.hidden = !sentence;
      refreshRows(0); // the relay's trouble is in no snapshot
    } catch {
      // The server is away: the page keeps what it says until it is back.
    }
  } else {
    waiting.hidden = true;
  }
  clearTimeout(healthTimer);
  healthTimer = setTimeout(checkHealth, HEALTH_EVERY);
}

/** GET /api/batches/{id} in the shape of a snapshot. */
async function poll() {
  const answer = await fetch(section.dataset.poll, { headers: { Accept: "application/json" } });
  if (!answer.ok) return null;
  const batch = await answer.json();
  return {
    batchId: batch.id,
    status: batch.status,
    processed: batch.processedCount,
    total: batch.totalEmails,
    sent: batch.sentCount,
    failed: batch.failedCount,
    unknown: batch.unknownCount,
    suppressed: batch.suppressedCount,
    pending: batch.pendingCount,
    ratePerSecond: 0,
    etaSeconds: null,
    sequence: Number(section.dataset.sequence) + 1, // what is asked for is newer than what is shown
  };
}

follow({ socket: section.dataset.socket, stream: section.dataset.stream, poll }, take);
healthTimer = setTimeout(checkHealth, HEALTH_EVERY);
