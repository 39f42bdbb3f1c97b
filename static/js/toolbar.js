// The buttons above a letter in Markdown, and those of the fields. They change the text as if it had been typed, so that
// the browser's own undo takes it back.

import { gettext } from "./words.js";

/** Replace a part of a text field, and select a part of what was written. */
export function write(area, start, end, text, selectFrom = text.length, selectTo = selectFrom) {
  area.focus();
  area.setSelectionRange(start, end);
  // Deprecated, and the only way that undo knows of. Without it, the text is set directly.
  if (!document.execCommand?.("insertText", false, text)) {
    area.setRangeText(text, start, end, "end");
    area.dispatchEvent(new Event("input", { bubbles: true }));
  }
  area.setSelectionRange(start + selectFrom, start + selectTo);
}

/** Write a text where the cursor is, instead of what is selected. */
export function insert(area, text) {
  write(area, area.selectionStart, area.selectionEnd, text);
}

function selected(area, otherwise) {
  return area.value.slice(area.selectionStart, area.selectionEnd) || otherwise;
}

function wrap(area, mark, otherwise) {
  const words = selected(area, otherwise);
  write(area, area.selectionStart, area.selectionEnd, mark + words + mark, mark.length, mark.length + words.length);
}

/** Put a sign before each selected line, or take it away if every line has it. */
function prefix(area, sign) {
  const start = area.value.lastIndexOf("\n", area.selectionStart - 1) + 1;
  const next = area.value.indexOf("\n", area.selectionEnd);
  const end = next < 0 ? area.value.length : next;
  const lines = area.value.slice(start, end).split("\n");
  const has = lines.every((line) => line.startsWith(sign));
  write(area, start, end, lines.map((line) => (has ? line.slice(sign.length) : sign + line)).join("\n"));
}

function link(area, before, after) {
  const chosen = selected(area, gettext("words"));
  const isAddress = /^(https?:\/\/|mailto:|tel:)\S+$/.test(chosen);
  const words = isAddress ? gettext("words") : chosen;
  const text = `${before}[${words}](${isAddress ? chosen : "https://"})${after}`;
  // What is still missing is selected: the words, or the place of the address.
  const from = isAddress ? before.length + 1 : text.length - after.length - 1;
  write(area, area.selectionStart, area.selectionEnd, text, from, isAddress ? from + words.length : from);
}

const ACTS = {
  bold: (area) => wrap(area, "**", gettext("bold")),
  italic: (area) => wrap(area, "*", gettext("italic")),
  heading: (area) => prefix(area, "## "),
  list: (area) => prefix(area, "- "),
  link: (area) => link(area, "", ""),
  button: (area) => link(area, "\n\n**", "**\n\n"),
};
const KEYS = { b: "bold", i: "italic", k: "link" };

/** Let Tab reach one button of the toolbar, and the arrow keys go from there (WAI-ARIA, the toolbar pattern). */
function moveByArrows(toolbar) {
  const buttons = [...toolbar.querySelectorAll("button")];
  const choose = (chosen) => buttons.forEach((button) => (button.tabIndex = button === chosen ? 0 : -1));
  choose(buttons[0]);
  toolbar.addEventListener("focusin", (event) => choose(event.target.closest("button")));
  toolbar.addEventListener("keydown", (event) => {
    const at = buttons.indexOf(document.activeElement);
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    buttons.at(next % buttons.length).focus();
  });
}

/** Let the buttons of a toolbar change a text field. */
export function followToolbar(toolbar, area) {
  moveByArrows(toolbar);
  toolbar.addEventListener("click", (event) => {
    const act = event.target.closest("[data-act]")?.dataset.act;
    if (act in ACTS) ACTS[act](area);
  });
  area.addEventListener("keydown", (event) => {
    const act = (event.ctrlKey || event.metaKey) && !event.altKey && KEYS[event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    ACTS[act](area);
  });
}
