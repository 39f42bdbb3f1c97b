// What the forms of Django's admin lack for a screen reader: names of fields and of signs that its own scripts add.

/** Return what a person sees beside a field that has no label: the heading of its column, or the label of its row. */
function findWords(field) {
  const column = [...(field.closest("td")?.classList ?? [])].find((name) => name.startsWith("field-"));
  const heading = column && field.closest("table").querySelector(`th.${column.replace("field-", "column-")}`);
  const row = field.closest(".form-row, fieldset");
  const words = (heading || row?.querySelector("legend, label"))?.textContent ?? field.name;
  const part = field.matches(".vTimeField") ? field.previousSibling?.textContent : "";
  return `${words} ${part ?? ""}`.trim().replace(/\s+/g, " ");
}

function nameFields() {
  for (const field of document.querySelectorAll("#content :is(input:not([type=hidden], [type=submit]), select, textarea)")) {
    if (!field.labels?.length && !field.hasAttribute("aria-label")) field.setAttribute("aria-label", findWords(field));
  }
  for (const sign of document.querySelectorAll(".help-tooltip[aria-label]:not([role])")) sign.setAttribute("role", "img");
  for (const empty of document.querySelectorAll("#content th:empty")) {
    empty.replaceWith(Object.assign(document.createElement("td"), { className: empty.className }));
  }
}

// Django's own scripts change the forms at this event, and run before.
window.addEventListener("load", () => setTimeout(nameFields));
