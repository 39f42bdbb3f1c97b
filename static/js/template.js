// The editor of a template: the preview and the notes follow what is typed, and nothing that was typed is lost.

import { dropDraft, keepDraft, readDraft, sendDraft } from "./drafts.js";
import { saySignedOut } from "./signed_out.js";
import { followToolbar, insert } from "./toolbar.js";
import { gettext, interpolate } from "./words.js";

const LOOK_AFTER_MS = 600; // of silence: a preview costs the server about as much as a page
const NOT_KEPT = ["csrfmiddlewaretoken", "show", "test_to", "list", "line", "notes_beside"];
const form = document.getElementById("template");
const show = document.getElementById("show-preview");
const said = document.getElementById("said");
const areas = ["source", "html", "text", "subject"].map((name) => form.elements.namedItem(name)).filter(Boolean);
const draftName = `${form.dataset.user}:template:${form.dataset.draft}`;
const earlierName = `${draftName}:earlier`;
let saved = typed();
let offered = null;
let lastArea = areas.find((area) => area.name !== "subject");
let timer = 0;
let isLooking = false;
let isWanted = false;
let isDrawing = false;

/** What a draft keeps: the fields that a person types or chooses, and not the file or the token. */
function typed() {
  const kept = {};
  for (const [name, value] of new FormData(form)) {
    if (typeof value === "string" && !NOT_KEPT.includes(name)) kept[name] = value;
  }
  return kept;
}

function isChanged() {
  return "unsaved" in form.dataset || JSON.stringify(typed()) !== JSON.stringify(saved);
}

// --- The preview and the notes ---

/** Two frames take turns: the new message is drawn in the hidden one, so that nothing flickers. */
const front = document.querySelector('iframe[name="preview"]');
const back = front.cloneNode();
back.name = "preview-later";
back.removeAttribute("src");
back.classList.add("later");
back.tabIndex = -1;
front.after(back);

/** The frame that is in sight. */
function seen() {
  return front.classList.contains("later") ? back : front;
}

function showPreview() {
  const now = seen();
  const later = now === front ? back : front;
  later.addEventListener(
    "load",
    () => {
      later.classList.remove("later");
      later.removeAttribute("tabindex");
      now.classList.add("later");
      now.tabIndex = -1;
    },
    { once: true },
  );
  isDrawing = true;
  show.formTarget = later.name;
  form.requestSubmit(show);
  isDrawing = false;
}

/** Put the server's notes into the page. DOMParser runs no script, and the server has escaped every value. */
async function showNotes() {
  const data = new FormData(form);
  data.delete("picture");
  const answer = await fetch(form.dataset.notesUrl, { method: "POST", body: data, redirect: "error" });
  if (answer.status === 401) saySignedOut(look);
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const newer of page.querySelectorAll("[id]")) {
    const older = document.getElementById(newer.id);
    if (older && !older.isEqualNode(newer)) older.replaceWith(document.adoptNode(newer));
  }
}

/** Look once after the last change, and never twice at the same time. */
async function look() {
  isWanted = true;
  if (isLooking) return;
  isLooking = true;
  while (isWanted) {
    isWanted = false;
    showPreview();
    await showNotes().catch(() => {}); // signed out, or the server is away: the draft stays
  }
  isLooking = false;
}

function lookSoon() {
  clearTimeout(timer);
  timer = setTimeout(look, LOOK_AFTER_MS);
}

form.append(Object.assign(document.createElement("input"), { type: "hidden", name: "notes_beside", value: "yes" }));

// --- What is not saved ---

function keep() {
  if (isChanged()) {
    if (offered?.name === draftName) moveOffered();
    keepDraft(draftName, typed());
    said.textContent = gettext("Not saved yet. This browser keeps it.");
  } else {
    dropDraft(draftName);
    said.textContent = "";
  }
}

/** Somebody types something else while a draft is offered: the draft keeps a place of its own, and is still offered. */
function moveOffered() {
  keepDraft(earlierName, offered.values, offered.at);
  offered.name = earlierName;
}

function findDraft() {
  for (const name of [draftName, earlierName]) {
    const draft = readDraft(name);
    if (draft && JSON.stringify({ ...draft.values, based_on: saved.based_on }) !== JSON.stringify(saved)) return { name, ...draft };
  }
  return null;
}

function offerDraft() {
  const box = document.getElementById("draft");
  offered = findDraft();
  if (!offered) return;
  const at = new Date(offered.at).toLocaleString(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
  const isOlder = offered.values.based_on !== saved.based_on;
  const sentence = isOlder
    ? gettext("You wrote more here on %(at)s, and did not save it. Another version was saved since.")
    : gettext("You wrote more here on %(at)s, and did not save it.");
  box.querySelector("p").textContent = interpolate(sentence, { at });
  box.hidden = false;
  document.getElementById("draft-take").addEventListener("click", () => {
    const { name, values } = offered;
    offered = null;
    box.hidden = true;
    dropDraft(name);
    takeDraft(values);
  });
  document.getElementById("draft-drop").addEventListener("click", () => {
    dropDraft(offered.name);
    offered = null;
    box.hidden = true;
  });
}

/** Type again what a draft has. It keeps the version that it began with, so that nobody's later one is lost unseen. */
function takeDraft(values) {
  const isOtherKind = values.kind !== saved.kind;
  for (const [name, value] of Object.entries(values)) {
    let field = form.elements.namedItem(name);
    if (!field && isOtherKind) {
      field = Object.assign(document.createElement("input"), { type: "hidden", name });
      form.append(field);
    }
    if (field) field.value = value;
  }
  keep();
  if (isOtherKind) return form.requestSubmit(form.elements.namedItem("fields")); // the server draws the other editor
  look();
  areas[0].focus();
}

const TWICE_MS = 3000; // a second press within this time is a double click: it would save a second new template
let isLeaving = false;
let leftAt = 0;
form.addEventListener("submit", (event) => {
  if (event.submitter?.formTarget) {
    if (!isDrawing) event.submitter.formTarget = seen().name; // pressed by a person
    return; // the preview stays on this page
  }
  if (event.submitter?.name === "fix") {
    event.preventDefault();
    fix(...JSON.parse(event.submitter.value));
    return;
  }
  if (isLeaving && event.timeStamp - leftAt < TWICE_MS) {
    event.preventDefault();
    return;
  }
  isLeaving = true;
  leftAt = event.timeStamp;
  const isSaved = event.submitter?.value !== "test" || form.dataset.draft === "new";
  if (event.submitter?.name === "then" && isSaved) sendDraft(draftName);
});
window.addEventListener("beforeunload", (event) => {
  if (!isLeaving && isChanged()) event.preventDefault();
});
window.addEventListener("pageshow", () => (isLeaving = false));

// --- Fixes, fields and pictures ---

/** Write something else in a line, as `Fix.apply` does on the server. */
function fix(part, line, old, replacement) {
  const area = form.elements.namedItem(part);
  const start = area.value.split("\n").slice(0, Math.max(0, line - 1)).reduce((sum, each) => sum + each.length + 1, 0);
  const at = area.value.indexOf(old, start);
  if (at < 0) return;
  area.focus();
  area.setRangeText(replacement, at, at + old.length, "end");
  keep();
  setTimeout(look); // after the event of the button: a form that is being submitted can't be submitted again
}

document.addEventListener("click", (event) => {
  const field = event.target.closest("[data-field]")?.dataset.field;
  if (field) insert(lastArea, `{{ ${field} }}`);
});
for (const area of areas) area.addEventListener("focus", () => (lastArea = area));

const toolbar = document.querySelector(".toolbar");
const picture = document.getElementById("id_picture");
const pictureError = document.getElementById("picture-error");
if (toolbar) {
  followToolbar(toolbar, form.elements.namedItem("source"));
  toolbar.querySelector('[data-act="picture"]').addEventListener("click", () => picture.click());
  picture.addEventListener("change", () => uploadPicture().catch(() => refusePicture(gettext("The server can't be reached. Try again."))));
}

async function uploadPicture() {
  if (!picture.files.length) return;
  if (picture.files[0].size > Number(picture.dataset.max)) {
    picture.value = "";
    return refusePicture(gettext("The picture is too big. Make it smaller: a letter shows pictures of up to 1 MB."));
  }
  const data = new FormData();
  data.set("csrfmiddlewaretoken", form.elements.namedItem("csrfmiddlewaretoken").value);
  data.set("picture", picture.files[0]);
  picture.value = "";
  const answer = await fetch(form.dataset.pictureUrl, { method: "POST", body: data, redirect: "error" });
  const told = await answer.json();
  if (!answer.ok) return refusePicture(told.detail);
  refusePicture("");
  insert(form.elements.namedItem("source"), `![${told.name}](${told.url})`);
}

function refusePicture(sentence) {
  pictureError.textContent = sentence;
  pictureError.hidden = !sentence;
  document.getElementById("pictures").open = Boolean(sentence);
}

// An empty key is made from the name when the template is saved. Show it before, as batches/web/forms.py makes it.
const name = document.getElementById("id_name");
const key = document.getElementById("id_key");

const SPELT = { ß: "ss", ı: "i", ł: "l", ø: "o", đ: "d", ħ: "h", æ: "ae", œ: "oe", þ: "th", ð: "d" };

function showKey() {
  const spelt = name.value.toLowerCase().replace(/[ßıłøđħæœþð]/g, (letter) => SPELT[letter]);
  const letters = spelt.normalize("NFKD").replace(/[^\x00-\x7f]/g, "").replace(/[^\w\s-]/g, "");
  const made = letters.replace(/[\s-]+/g, "-").replace(/^[-_]+|[-_]+$/g, "");
  key.placeholder = /^\d+$/.test(made) ? `template-${made}` : made || (name.value && "template");
}

if (!key.value) {
  name.addEventListener("input", showKey);
  showKey();
}

saved = typed();
if (!areas[0].disabled) {
  if (isChanged()) keep();
  else offerDraft();
  form.addEventListener("input", () => {
    keep();
    lookSoon();
  });
}
for (const id of ["id_list", "id_line"]) document.getElementById(id).addEventListener("change", look);
for (const choice of document.getElementsByName("show")) choice.addEventListener("change", showPreview);
if (areas.some((area) => area.value)) look();
