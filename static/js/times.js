// Show every time of the page in the zone of the browser. The server has written it in its own zone (TIME_ZONE), in the
// same shapes: batches/moments.py.

import { gettext, interpolate, ngettext } from "./words.js";

const page = document.documentElement.lang;
const language = !page || page === "en" ? "en-GB" : page; // the day before the month, as everywhere but in the States
const STYLES = {
  minutes: { dateStyle: "long", timeStyle: "short" },
  seconds: { dateStyle: "medium", timeStyle: "medium" },
  date: { dateStyle: "long" },
  exact: { dateStyle: "long", timeStyle: "long" },
  time: { timeStyle: "medium" },
  clock: { timeStyle: "short" },
  weekday: { weekday: "long", day: "numeric", month: "long" },
  weekdayOfYear: { weekday: "long", day: "numeric", month: "long", year: "numeric" },
  thisYear: { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" },
  otherYear: { day: "numeric", month: "short", year: "numeric" },
};
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const RENEW_EVERY_MS = 20_000;
const writers = new Map();
let timer = 0;

/** The IANA name of the browser's zone, such as Europe/Berlin. A browser that knows no zone shows times in UTC. */
const found = new Intl.DateTimeFormat().resolvedOptions().timeZone;
export const zone = !found || found === "Etc/Unknown" ? "UTC" : found;

/** Write the times in `root` again. After a part of the page was replaced, call it for that part. */
export function showTimes(root) {
  for (const place of root.querySelectorAll("time[data-moment]")) {
    const at = new Date(place.dateTime);
    if (Number.isNaN(at.valueOf())) continue; // no time of ours: leave the server's words
    write(place, say(at, place.dataset.moment));
    place.title = format(at, "exact");
  }
  keepMoving();
}

/** Make the element of a time, for a script that writes a sentence. */
export function makeTime(iso, shape) {
  const place = Object.assign(document.createElement("time"), { dateTime: iso });
  place.dataset.moment = shape;
  place.textContent = say(new Date(iso), shape);
  place.title = format(new Date(iso), "exact");
  return place;
}

function say(at, shape) {
  const now = new Date();
  if (shape === "ago") return sayAgo(at, now);
  if (shape === "clock") return format(at, at.toDateString() === now.toDateString() ? "time" : "seconds");
  if (["at", "at-second", "about", "day"].includes(shape)) return sayPhrase(at, shape, now);
  return format(at, shape in STYLES ? shape : "minutes");
}

/** Say a time inside a sentence: as `say_time` in batches/phrases.py does. */
function sayPhrase(at, shape, now) {
  const time = format(at, shape === "at-second" ? "time" : "clock");
  const isOn = (date) => at.toDateString() === date.toDateString();
  if (isOn(now) && shape !== "day") return interpolate(shape === "about" ? gettext("at about %(time)s") : gettext("at %(time)s"), { time });
  const tomorrow = new Date(now);
  tomorrow.setDate(now.getDate() + 1);
  if (isOn(tomorrow) && shape === "day") return gettext("tomorrow");
  if (isOn(tomorrow))
    return interpolate(shape === "about" ? gettext("tomorrow at about %(time)s") : gettext("tomorrow at %(time)s"), { time });
  const day = format(at, at.getFullYear() === now.getFullYear() ? "weekday" : "weekdayOfYear").replace(",", "");
  return interpolate(shape === "day" ? gettext("on %(day)s") : gettext("on %(day)s at %(time)s"), { day, time });
}

/** Say a time of the last or the next 24 hours relatively, and another one by its date. */
function sayAgo(at, now) {
  const passed = now - at;
  const size = Math.abs(passed);
  if (size >= DAY_MS) return format(at, at.getFullYear() === now.getFullYear() ? "thisYear" : "otherYear");
  if (size < MINUTE_MS) return passed >= 0 ? gettext("just now") : gettext("in a moment");
  const hours = Math.floor(size / HOUR_MS);
  const count = hours || Math.floor(size / MINUTE_MS);
  const isPast = passed >= 0;
  if (hours && isPast) return counted(ngettext("%(count)s h ago", "%(count)s h ago", count), count);
  if (hours) return counted(ngettext("in %(count)s h", "in %(count)s h", count), count);
  if (isPast) return counted(ngettext("%(count)s min ago", "%(count)s min ago", count), count);
  return counted(ngettext("in %(count)s min", "in %(count)s min", count), count);
}

function counted(sentence, count) {
  return interpolate(sentence, { count });
}

function format(at, style) {
  if (!writers.has(style)) writers.set(style, new Intl.DateTimeFormat(language, { ...STYLES[style], hourCycle: "h23" }));
  return writers.get(style).format(at);
}

/** Change the text only if it is another one, so that a selection in it stays. */
function write(place, words) {
  if (place.textContent !== words) place.textContent = words;
}

/** Write the relative times again while the page is looked at. */
function keepMoving() {
  clearTimeout(timer);
  if (document.hidden || !document.querySelector('time[data-moment="ago"]')) return;
  timer = setTimeout(() => showTimes(document), RENEW_EVERY_MS);
}

/** Say at the end of the page, and beside each field for a time, which zone it is. */
function nameZone() {
  for (const note of document.querySelectorAll("[data-zone-note]")) {
    note.textContent = interpolate(note.dataset.zoneNote, { zone: zone.replaceAll("_", " ") });
  }
}

/** Let each field for a time be read in the zone of the browser, and show a stored time in it. */
function takeZone() {
  for (const field of document.querySelectorAll("input[data-time-zone]")) field.value = zone;
  for (const field of document.querySelectorAll("input[data-at]")) {
    const at = new Date(field.dataset.at);
    if (field.dataset.at && !Number.isNaN(at.valueOf())) field.value = localText(at);
  }
}

/** Write a time as an input of the type datetime-local has it. */
function localText(at) {
  const [year, month, day, hours, minutes] = [at.getFullYear(), at.getMonth() + 1, at.getDate(), at.getHours(), at.getMinutes()];
  const [date, time] = [[year, month, day], [hours, minutes]].map((parts) => parts.map((part) => String(part).padStart(2, "0")));
  return `${date.join("-")}T${time.join(":")}`;
}

document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : showTimes(document)));
nameZone();
takeZone();
showTimes(document);
