// Write a snapshot of a batch into a part of the page: counts, bar, rate and duration.
// The server draws the same in batches/web/progressbar.py, and says the same in batches/wording.py.

import { makeTime } from "./times.js";
import { gettext, interpolate, ngettext } from "./words.js";

const [DRAFT, COMPLETED] = ["draft", "completed"];
const ENDED = [COMPLETED, "failed", "cancelled"];
const STATUSES = {
  draft: gettext("Draft"),
  scheduled: gettext("Scheduled"),
  pending: gettext("Pending"),
  processing: gettext("Processing"),
  paused: gettext("Paused"),
  completed: gettext("Completed"),
  failed: gettext("Failed"),
  cancelled: gettext("Cancelled"),
};
export const figures = new Intl.NumberFormat(document.documentElement.lang || "en");

/** Add the numbers that follow from a snapshot. The percentage is rounded down, so 100 means that all is done. */
export function complete(snapshot) {
  // What a replay of all is still to send again is no progress of it, so the bar leaves it out.
  const sentNow = snapshot.sent - snapshot.resending;
  const notSent = Math.max(0, snapshot.processed - sentNow - snapshot.failed - snapshot.unknown);
  const unsent = snapshot.failed + snapshot.cancelled;
  // What was cancelled is not done, although nothing is left to do about it.
  const done = snapshot.processed - (snapshot.cancelled ?? 0);
  const percent = snapshot.total ? Math.floor((100 * done) / snapshot.total) : 0;
  const now = { ...snapshot, sentNow, notSent, unsent, percent };
  return { ...now, summary: saySummary(now), outcome: sayOutcome(now) };
}

/** Say how far a batch is, and after its end how many were sent: as `say_summary` in batches/web/progressbar.py does. */
function saySummary(now) {
  const values = { done: figures.format(now.processed), sent: figures.format(now.sent), total: figures.format(now.total) };
  if (now.status === DRAFT) return interpolate(ngettext("%(total)s recipient", "%(total)s recipients", now.total), values);
  if (ENDED.includes(now.status)) return interpolate(gettext("%(sent)s of %(total)s sent"), values);
  return interpolate(gettext("%(done)s of %(total)s done"), values);
}

/** Say what became of the emails that were not sent: as `say_outcome` in batches/web/progressbar.py does. */
function sayOutcome(now) {
  const counts = [
    [gettext("%(count)s failed"), now.failed],
    [gettext("%(count)s not certain"), now.unknown],
    [gettext("%(count)s not sent"), (now.suppressed ?? 0) + (now.cancelled ?? 0)],
  ];
  return counts
    .filter(([, count]) => count)
    .map(([words, count]) => interpolate(words, { count: figures.format(count) }))
    .join(", ");
}

/** Draw a snapshot into `root`, unless `root` shows a newer one. Returns the completed snapshot, or null. */
export function draw(root, snapshot) {
  if (snapshot.sequence <= Number(root.dataset.sequence)) return null;
  root.dataset.sequence = snapshot.sequence;
  const now = complete(snapshot);
  // A number in a button repeats a count of the page, so it has a name of its own.
  for (const place of root.querySelectorAll("[data-count], [data-number]"))
    place.textContent = figures.format(now[place.dataset.count ?? place.dataset.number]);
  for (const place of root.querySelectorAll("[data-some]:not([data-statuses])")) place.hidden = !now[place.dataset.some];
  for (const place of root.querySelectorAll("[data-words]")) drawWords(place, now[place.dataset.words], now.moments ?? []);
  for (const bar of root.querySelectorAll("[data-bar]")) drawBar(bar, now);
  return now;
}

/**
 * Show a sentence of the server, its times in the zone of the browser. Without one (null) the place is hidden. Undefined:
 * the answer did not hold it.
 */
function drawWords(place, sentence, moments) {
  if (sentence === undefined) return;
  const words = document.createElement("span");
  words.append(...splitTimes(sentence ?? "", moments));
  // Only a change, so that a screen reader says each sentence once.
  if (place.textContent !== words.textContent) place.replaceChildren(...words.childNodes);
  place.hidden = !sentence;
}

/** Return the text of a sentence and its times, in their order. */
function splitTimes(sentence, moments) {
  const moment = moments.find((each) => each.words && sentence.includes(each.words));
  if (!moment) return [sentence];
  const place = sentence.indexOf(moment.words);
  const rest = sentence.slice(place + moment.words.length);
  const others = moments.filter((each) => each !== moment);
  return [...splitTimes(sentence.slice(0, place), others), makeTime(moment.at, moment.shape), ...splitTimes(rest, others)];
}

/** Show the status in its pill, as words and as a colour: as `say_status` in batches/web/progressbar.py says it. */
export function drawStatus(pill, now) {
  const isCompleted = now.status === COMPLETED;
  const isIncomplete = isCompleted && (now.failed || now.unknown);
  pill.dataset.status = isIncomplete ? "incomplete" : now.status;
  let words = STATUSES[now.status] ?? now.status;
  if (isCompleted && now.failed) words = interpolate(gettext("Completed, %(count)s failed"), { count: figures.format(now.failed) });
  else if (isIncomplete) words = interpolate(gettext("Completed, %(count)s not certain"), { count: figures.format(now.unknown) });
  if (pill.textContent !== words) pill.textContent = words;
}

/** Say how fast a batch is being sent, as `say_rate` in batches/wording.py does for a batch in progress. */
export function sayRate(now) {
  if (!now.ratePerSecond) return "";
  const rate = saySpeed(now.ratePerSecond);
  // A finish time knows the limits of the relays too, so the time by the rate would contradict it.
  if (now.etaSeconds === null || now.finish) return rate;
  return interpolate(gettext("%(rate)s, %(eta)s left"), { rate, eta: sayDuration(now.etaSeconds) });
}

/** Say a speed below ten messages a second by the minute. */
function saySpeed(perSecond) {
  if (perSecond >= 10) return interpolate(gettext("%(per_second)s a second"), { per_second: figures.format(Math.round(perSecond)) });
  const perMinute = perSecond * 60;
  if (perMinute < 1) return gettext("less than 1 a minute");
  return interpolate(gettext("%(per_minute)s a minute"), { per_minute: figures.format(Math.round(perMinute)) });
}

/** Say a length of time, as `say_duration` in batches/wording.py does. */
export function sayDuration(seconds) {
  if (seconds < 1) return gettext("less than a second");
  if (seconds < 90) return interpolate(gettext("about %(seconds)s s"), { seconds: Math.round(seconds) });
  const all = Math.round(seconds / 60);
  if (all < 90) return interpolate(gettext("about %(minutes)s min"), { minutes: all });
  const [hours, minutes] = [Math.floor(all / 60), all % 60];
  if (minutes && hours < 24) return interpolate(gettext("about %(hours)s h %(minutes)s min"), { hours, minutes });
  return interpolate(gettext("about %(hours)s h"), { hours: figures.format(hours) });
}

function drawBar(bar, now) {
  const counts = { sent: now.sentNow, failed: now.failed, unknown: now.unknown, "not-sent": now.notSent };
  let begin = 0;
  for (const segment of bar.querySelectorAll("[data-segment]")) {
    const width = now.total ? (100 * counts[segment.dataset.segment]) / now.total : 0;
    segment.setAttribute("x", `${begin.toFixed(3)}%`);
    segment.setAttribute("width", `${width.toFixed(3)}%`);
    begin += width;
  }
  bar.setAttribute("aria-label", interpolate(gettext("%(percent)s percent done"), { percent: now.percent }));
}
