// The page of one batch, live: progress bar, status, the buttons that fit the status, and the table of its emails.

import "./confirm.js";
import { draw, drawStatus, figures, sayRate } from "./counts.js";
import { REFUSED, follow, isRefused } from "./live.js";
import { showTimes } from "./times.js";

const ROWS_EVERY_MS = 5_000;
const RETURNS_EVERY_MS = 1_000;
const HEALTH_EVERY_MS = 5_000;
const section = document.getElementById("progress");
const status = document.getElementById("status");
const meter = document.getElementById("meter");
const rate = document.getElementById("rate");
const waitingFor = document.getElementById("waiting-for");
const said = document.getElementById("said");
let saidPercent = 0;
let rowsTimer = 0;
let rowsDueAt = 0;
let healthTimer = 0;
let wait = waitingFor.textContent;

function take(snapshot) {
  const now = draw(section, snapshot);
  if (!now) return;
  const isOtherStatus = section.dataset.status !== now.status;
  section.dataset.status = now.status;
  drawStatus(status, now.status);
  meter.max = now.total;
  meter.value = now.processed;
  waitingFor.classList.toggle("info", now.status === section.dataset.scheduled);
  waitingFor.classList.toggle("warning", now.status !== section.dataset.scheduled);
  rate.textContent = now.status === section.dataset.moving ? sayRate(now) : "";
  for (const part of section.querySelectorAll("[data-statuses]")) part.hidden = !fits(part, now);
  for (const tab of document.querySelectorAll("#rows [data-live]")) tab.textContent = figures.format(now[tab.dataset.live]);
  sayProgress(now);
  const isOtherWait = wait !== waitingFor.textContent; // an approval may have been given, refused or made void
  wait = waitingFor.textContent;
  const reported = now.returned + now.complained;
  const isReported = reported !== Number(section.dataset.reported);
  section.dataset.reported = reported;
  refreshRows(isOtherStatus || isOtherWait ? 0 : isReported ? RETURNS_EVERY_MS : ROWS_EVERY_MS);
  if (isOtherStatus) checkHealth(); // the batch may have stopped waiting
}

/** Whether a button may be offered: as `Action.fits` in batches/web/steering.py decides. */
function fits(part, now) {
  const { statuses, some } = part.dataset;
  return statuses.split(" ").includes(now.status) && (!some || now[some] > 0);
}

/** Tell a screen reader how far the batch is: at each tenth, because each snapshot would be too often. */
function sayProgress(now) {
  const tenth = Math.floor(now.percent / 10) * 10;
  if (tenth === saidPercent) return;
  saidPercent = tenth;
  said.textContent = `${now.percent} percent done`;
}

/** Fetch the page, and replace the parts that no snapshot holds: an approval's answer, what came back, rows and tabs. */
function refreshRows(delay) {
  const dueAt = performance.now() + delay;
  if (rowsTimer && dueAt >= rowsDueAt) return;
  clearTimeout(rowsTimer);
  rowsDueAt = dueAt;
  rowsTimer = setTimeout(async () => {
    rowsTimer = 0;
    if (document.hidden) return;
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
    if (!answer?.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const id of ["approval", "came-back", "rows"]) {
      const [part, newer] = [document.getElementById(id), page.getElementById(id)];
      if (!newer || isReading(part)) continue;
      part.replaceWith(document.adoptNode(newer));
      showTimes(newer);
    }
  }, delay);
}

/** Whether the reader is using a part: has opened something, has the focus in it, or has selected text. */
function isReading(part) {
  return part.querySelector("details[open]") || part.contains(document.activeElement) || !getSelection().isCollapsed;
}

/** Ask for the health while the batch waits for a worker: without workers, no snapshot comes. */
async function checkHealth() {
  const waiting = document.getElementById("waiting");
  if (waiting.dataset.while.split(" ").includes(section.dataset.status)) {
    try {
      const answer = await fetch(section.dataset.health);
      const health = await answer.json();
      const sentence = !health.redis ? health.detail : health.workers ? "" : waiting.dataset.noWorker;
      if (waiting.textContent !== sentence) waiting.textContent = sentence;
      waiting.hidden = !sentence;
    } catch {
      // The server can't be reached. The page keeps its sentence until the server is back.
    }
  } else {
    waiting.hidden = true;
  }
  clearTimeout(healthTimer);
  healthTimer = setTimeout(checkHealth, HEALTH_EVERY_MS);
}

/** Fetch GET /api/batches/{id}, and give it the shape of a snapshot. */
async function poll() {
  const answer = await fetch(section.dataset.poll, { headers: { Accept: "application/json" } });
  if (!answer.ok) return isRefused(answer) ? REFUSED : null;
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
    cancelled: batch.cancelledCount,
    pending: batch.pendingCount,
    resending: batch.resendingCount,
    returned: batch.returnedCount,
    complained: batch.complainedCount,
    ratePerSecond: 0,
    etaSeconds: null,
    waitingFor: batch.waitingFor,
    sequence: Number(section.dataset.sequence) + 1, // an answer is newer than the page
  };
}

follow({ socket: section.dataset.socket, stream: section.dataset.stream, poll }, take);
healthTimer = setTimeout(checkHealth, HEALTH_EVERY_MS);
