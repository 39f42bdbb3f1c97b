// The first page: upload a file with a progress bar, by a click or by dropping it, and show the newest batches live.

import { followCards } from "./cards.js";

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
const PROGRESS_EVERY_MS = 500;
const figures = new Intl.NumberFormat("en-GB");
const sizes = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 1 });

function say(sentence) {
  error.textContent = sentence;
  error.hidden = !sentence;
}

function showFile() {
  const file = input.files[0];
  renewKey();
  showName(file);
  fileName.textContent = file ? `${file.name} (${size(file.size)})` : "Choose a file";
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
  progress.hidden = !isBusy;
  form.querySelector("button.primary").disabled = isBusy;
}

function showBytes(event) {
  meter.value = (100 * event.loaded) / event.total;
  said.textContent = `Uploading: ${size(event.loaded)} of ${size(event.total)}`;
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
  if (!rows) said.textContent = "Uploaded. Reading the rows…";
  else if (percent < 100) said.textContent = `Reading the rows: ${figures.format(rows)} so far`;
  else said.textContent = `Storing ${figures.format(rows)} rows…`;
}

function upload(event) {
  event.preventDefault();
  if (!input.files.length) {
    say("Choose a file of recipients first.");
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
  request.onerror = () => fail("The server can't be reached. Nothing was sent. Try again.");
  setBusy(true);
  say("");
  request.send(body());
}

function body() {
  const data = new FormData();
  if (isToSend()) data.set("templateId", form.elements.namedItem("template").value);
  else data.set("draft", "true");
  const subject = form.elements.namedItem("subject").value.trim();
  if (isToSend() && subject) data.set("subject", subject);
  if (isToSend() && sender()) data.set("sender", sender());
  if (name.value.trim()) data.set("name", name.value.trim());
  const encoding = form.elements.namedItem("encoding").value;
  if (encoding) data.set("encoding", encoding);
  data.set("file", input.files[0]); // the last part, so that the server has read the fields before the file comes
  return data;
}

/** The chosen sender. Empty: the server chooses it. Who has one sender only has no choice of it. */
function sender() {
  return form.elements.namedItem("sender")?.value ?? "";
}

function isToSend() {
  return form.elements.namedItem("then").value === "send";
}

function finish(request) {
  const answer = request.response ?? {};
  if (request.status >= 200 && request.status < 300) {
    location.assign(next(answer.batchId));
  } else if (request.status === 401) {
    fail("Your session has ended, and nothing was uploaded. Reload this page, sign in, and choose the file again.");
  } else {
    fail(typeof answer.detail === "string" ? answer.detail : `The upload was refused (${request.status}). Try again.`);
    document.getElementById("encoding-choice").open = true; // a wrong encoding is a common reason
  }
}

function next(batchId) {
  if (isToSend()) return form.dataset.batchUrl.replace("/0/", `/${batchId}/`);
  const address = new URL(form.dataset.reviewUrl.replace("/0/", `/${batchId}/`), location.href);
  address.searchParams.set("template", form.elements.namedItem("template").value);
  const subject = form.elements.namedItem("subject").value.trim();
  if (subject) address.searchParams.set("subject", subject);
  if (sender()) address.searchParams.set("sender", sender());
  return address;
}

function fail(sentence) {
  setBusy(false);
  meter.value = 0;
  say(sentence);
}

input.addEventListener("change", showFile);
form.elements.namedItem("encoding").addEventListener("change", renewKey);
form.addEventListener("submit", upload);
for (const kind of ["dragenter", "dragover"]) drop.addEventListener(kind, () => drop.classList.add("over"));
for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("over"));
window.addEventListener("pageshow", () => {
  setBusy(false);
  showFile();
});
followCards(document.getElementById("recent"));
