// Questions before a step that is hard to take back. "No", Esc and a click outside close a question, and the page stays
// as it is.
// Without this script, "No" is a link to the same page.

document.addEventListener("click", (event) => {
  for (const question of document.querySelectorAll("details.confirm[open]")) {
    if (!question.contains(event.target)) question.open = false; // the focus goes where the reader has clicked
  }
  const no = event.target.closest("[data-close]");
  if (!no) return;
  event.preventDefault();
  close(no.closest("details"));
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const question of document.querySelectorAll("details.confirm[open]")) close(question);
});

function close(question) {
  question.open = false;
  question.querySelector("summary").focus();
}
