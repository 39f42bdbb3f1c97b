// The form of a template: beside the button for the preview, say what is wrong with the template or may be.
// The frame of the preview says it too, but on a narrow screen it is below, out of sight. Show also which key it gets.

const form = document.getElementById("template");

/** Put the server's notes into the page. DOMParser runs no script, and the server has escaped every value. */
async function showNotes() {
  const answer = await fetch(form.dataset.notesUrl, { method: "POST", body: new FormData(form), redirect: "error" });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.getElementById("notes").replaceWith(document.adoptNode(page.getElementById("notes")));
}

form.append(Object.assign(document.createElement("input"), { type: "hidden", name: "notes_beside", value: "yes" }));
form.addEventListener("submit", (event) => {
  if (event.submitter?.id === "show-preview") showNotes().catch(() => {}); // without an answer the frame still says it
});

// An empty key is made from the name when the template is saved. Show it before, as batches/web/forms.py makes it.
const name = document.getElementById("id_name");
const key = document.getElementById("id_key");

function showKey() {
  const letters = name.value.normalize("NFKD").replace(/[^\x00-\x7f]/g, "").toLowerCase();
  key.placeholder = letters.replace(/[^\w\s-]/g, "").replace(/[\s-]+/g, "-").replace(/^[-_]+|[-_]+$/g, "");
}

if (!key.value) {
  name.addEventListener("input", showKey);
  showKey();
}
