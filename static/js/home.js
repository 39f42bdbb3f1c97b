// The first page: upload a file with a progress bar, by a click or by dropping it, and show the newest batches live.

import { followCards } from "./cards.js";
import { saySignedOut } from "./signed_out.js";
import { gettext, interpolate } from "./words.js";

const form = document.getElementById("upload");
const input = form.elements.namedItem("file");
const name = form.elements.namedItem("name");
let suggestedName = "";
const drop = document.getElementById("drop");
const fileName = document.getElementById("file-name");
const error = document.getElementById("upload-error");
const progress = document.getElementById("upload-progress");
const meter = document.getElementById("upload-meter");
const said = document.getElementById("upload-said");
const cancel = document.getElementById("upload-cancel");
const noFileName = fileName.textContent;
let running = null; // the request of the upload, while it runs
let startedAt = 0;
const PROGRESS_EVERY_MS = 500;
const REST_AFTER_MS = 2000; // before that, the pace is not known
const language = document.documentElement.lang || "en-GB";
const figures = new Intl.NumberFormat(language);
const sizes = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });

function say(sentence) {
  error.textContent = sentence;
  error.hidden = !sentence;
}

function showFile() {
  const file = input.files[0];
  renewKey();
  showName(file);
  fileName.textContent = file ? `${file.name} (${size(file.size)})` : noFileName;
  say("");
}

/** Name the batch after its file, as long as the user has not typed a name. */
function showName(file) {
  if (name.value !== suggestedName) return;
  suggestedName = file ? file.name.replace(/(?<=.)\.[^.]*$/, "") : "";
  name.value = suggestedName;
}

/** Make a key for this choice of file and encoding. If the connection breaks, a second upload with it makes no second batch. */
function renewKey() {
  const random = crypto.getRandomValues(new Uint8Array(16));
  form.elements.namedItem("key").value = Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function size(bytes) {
  if (bytes < 1e6) return `${sizes.format(bytes / 1e3)} kB`;
  return `${sizes.format(bytes / 1e6)} MB`;
}

function setBusy(isBusy) {
  progress.hidden = cancel.hidden = !isBusy;
  form.querySelector("button.primary").disabled = isBusy;
}

function showBytes(event) {
  meter.value = (100 * event.loaded) / event.total;
  const values = { loaded: size(event.loaded), total: size(event.total) };
  said.textContent = interpolate(gettext("Uploading: %(loaded)s of %(total)s"), values) + sayRest(event);
}

/** How long the rest of the upload takes at the pace so far. */
function sayRest({ loaded, total }) {
  const passed = performance.now() - startedAt;
  if (passed < REST_AFTER_MS || !loaded || loaded >= total) return "";
  const seconds = Math.ceil((passed / 1000) * (total / loaded - 1));
  if (seconds < 90) return interpolate(gettext(", about %(count)s s left"), { count: seconds });
  return interpolate(gettext(", about %(count)s minutes left"), { count: Math.round(seconds / 60) });
}

/** All bytes are uploaded. Show how many rows the server has read, until the upload has its answer. */
async function watchRows(request, key) {
  showRows({ rows: 0, percent: 0 });
  const address = `${form.dataset.progressUrl}?key=${encodeURIComponent(key)}`;
  while (request.readyState !== XMLHttpRequest.DONE) {
    await new Promise((resolve) => setTimeout(resolve, PROGRESS_EVERY_MS));
    const answer = await fetch(address, { headers: { Accept: "application/json" } }).catch(() => null);
    const importProgress = answer?.ok ? await answer.json().catch(() => null) : null;
    if (importProgress && request.readyState !== XMLHttpRequest.DONE) showRows(importProgress);
  }
}

function showRows({ rows, percent }) {
  if (percent > 0 && percent < 100) meter.value = percent;
  else meter.removeAttribute("value"); // the bar only moves: the end is not known
  const values = { count: figures.format(rows) };
  if (!rows) said.textContent = gettext("Uploaded. Reading the rows…");
  else if (percent < 100) said.textContent = interpolate(gettext("Reading the rows: %(count)s so far"), values);
  else said.textContent = interpolate(gettext("Storing %(count)s rows…"), values);
}

/** Whether the recipients are no file. The browser posts such a form by itself. */
function isTyped() {
  return ["pasted", "group"].some((name) => form.elements.namedItem(name)?.value.trim());
}

function upload(event) {
  if (isTyped()) return;
  event.preventDefault();
  if (!input.files.length) {
    say(gettext("Choose a file of recipients first."));
    input.focus();
    return;
  }
  const request = new XMLHttpRequest();
  const key = `page-${form.elements.namedItem("key").value}`;
  request.open("POST", form.dataset.uploadUrl);
  request.responseType = "json";
  request.setRequestHeader("Accept", "application/json");
  request.setRequestHeader("X-CSRFToken", form.elements.namedItem("csrfmiddlewaretoken").value);
  request.setRequestHeader("Idempotency-Key", key);
  request.upload.onprogress = showBytes;
  request.upload.onload = () => watchRows(request, key);
  request.onload = () => finish(request);
  request.onerror = () => fail(gettext("The server can't be reached. Nothing was sent. Try again."));
  request.onabort = () => fail(gettext("The upload was stopped. Nothing was sent."));
  running = request;
  startedAt = performance.now();
  setBusy(true);
  say("");
  request.send(body());
}

/** The list is kept as a draft. The page that follows sends it. */
function body() {
  const data = new FormData();
  data.set("draft", "true");
  for (const part of ["name", "encoding"]) {
    const value = form.elements.namedItem(part).value.trim();
    if (value) data.set(part, value);
  }
  data.set("file", input.files[0]); // the last part, so that the server has read the fields before the file comes
  return data;
}

function isToSend() {
  return form.elements.namedItem("then").value === "send";
}

function finish(request) {
  const answer = request.response ?? {};
  if (request.status >= 200 && request.status < 300) {
    location.assign(next(answer.batchId));
  } else if (request.status === 401) {
    fail(gettext("You were signed out, and nothing was uploaded."));
    saySignedOut(() => say(gettext("You are signed in again. Press Upload: the file is still chosen.")));
  } else {
    const refused = interpolate(gettext("The upload was refused (%(status)s). Try again."), { status: request.status });
    fail(typeof answer.detail === "string" ? answer.detail : refused);
    document.getElementById("encoding-choice").open = true; // a wrong encoding is a common reason
  }
}

/** The review, or the question whether to send at once, with the letter that was chosen. */
function next(batchId) {
  const page = isToSend() ? form.dataset.askUrl : form.dataset.reviewUrl;
  const address = new URL(page.replace("/0/", `/${batchId}/`), location.href);
  for (const part of ["template", "subject", "sender", "topic"]) {
    const value = form.elements.namedItem(part)?.value.trim(); // who has one sender only has no choice of it
    if (value) address.searchParams.set(part, value);
  }
  return address;
}

function fail(sentence) {
  running = null;
  setBusy(false);
  meter.value = 0;
  say(sentence);
}

input.addEventListener("change", showFile);
form.elements.namedItem("encoding").addEventListener("change", renewKey);
form.addEventListener("submit", upload);
cancel.addEventListener("click", () => running?.abort());
for (const kind of ["dragenter", "dragover"]) drop.addEventListener(kind, () => drop.classList.add("over"));
for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("over"));
window.addEventListener("pageshow", () => {
  setBusy(false);
  showFile();
});
followCards(document.getElementById("recent"));
