// The page of one batch, live: progress bar, status, the buttons that fit the status, and the table of its emails.

import "./confirm.js";
import { draw, drawStatus, figures, sayRate } from "./counts.js";
import { followParts } from "./fragments.js";
import { REFUSED, follow, isRefused } from "./live.js";
import { gettext, interpolate } from "./words.js";

const QUIET_MS = 10_000; // after so long without a snapshot, the health may say why
const section = document.getElementById("progress");
const status = document.getElementById("status");
const meter = document.getElementById("meter");
const rate = document.getElementById("rate");
const waitingFor = document.getElementById("waiting-for");
const said = document.getElementById("said");
const waiting = document.getElementById("waiting");
const name = document.title.replace(/^\d+ % · /, "");
const noteChange = followParts(["approval", "came-back", "chart", "failures", "jobs"], "rows");
let saidPercent = 0;
let heardAt = performance.now();

function take(snapshot) {
  const now = draw(section, snapshot);
  if (!now) return;
  heardAt = performance.now();
  section.dataset.status = now.status;
  drawStatus(status, now);
  meter.max = now.total;
  meter.value = now.processed;
  waitingFor.classList.toggle("info", now.status === section.dataset.scheduled);
  waitingFor.classList.toggle("warning", now.status !== section.dataset.scheduled);
  rate.textContent = now.status === section.dataset.moving ? sayRate(now) : "";
  for (const part of section.querySelectorAll("[data-statuses]")) part.hidden = !fits(part, now);
  for (const tab of document.querySelectorAll("#rows [data-live]")) tab.textContent = figures.format(now[tab.dataset.live]);
  sayProgress(now);
  document.title = now.status === section.dataset.moving ? `${now.percent} % · ${name}` : name;
  if (!isWaiting() || now.ratePerSecond) waiting.hidden = true;
  const isOther = section.dataset.shown !== listShown(now);
  section.dataset.shown = listShown(now);
  if (isOther) noteChange(snapshot.fetchWithinSeconds);
}

/** List what tells whether the parts of the page may have changed: as `_list_shown` in batches/web/batches.py does. */
function listShown(now) {
  return [now.status, now.waitingFor, now.processed, now.sent, now.failed, now.unknown, now.returned, now.complained].join();
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
  said.textContent = interpolate(gettext("%(percent)s percent done"), { percent: now.percent });
}

/** Ask for the health while the batch waits and no snapshot comes: without workers, none does. */
async function checkHealth() {
  if (!isWaiting() || document.hidden || performance.now() - heardAt < QUIET_MS) return;
  const answer = await fetch(section.dataset.health).catch(() => null);
  const health = await answer?.json().catch(() => null);
  if (!health) return; // The server can't be reached. The page keeps its sentence until the server is back.
  const fault = !health.redis ? health.detail : health.workers ? "" : waiting.dataset.noWorker;
  const sentence = fault === waitingFor.textContent ? "" : fault; // the snapshot may say it already
  if (waiting.textContent !== sentence) waiting.textContent = sentence;
  waiting.hidden = !sentence;
}

function isWaiting() {
  return waiting.dataset.while.split(" ").includes(section.dataset.status);
}

/** Random, so that the pages that were opened together do not ask together. */
function checkHealthLater() {
  setTimeout(() => checkHealth().finally(checkHealthLater), QUIET_MS * (1 + Math.random() / 2));
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
    moments: batch.moments,
    sequence: Number(section.dataset.sequence) + 1, // an answer is newer than the page
  };
}

follow({ socket: section.dataset.socket, stream: section.dataset.stream, poll }, take);
checkHealthLater();
