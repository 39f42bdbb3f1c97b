// The review: a choice of template, subject or row shows the message at once, without the button.

const form = document.getElementById("message");
const show = document.getElementById("show");

for (const name of ["template", "subject", "row"]) {
  form.elements.namedItem(name).addEventListener("change", () => form.requestSubmit(show));
}
// Reading a long file takes a while: say so, and don't read it twice.
for (const button of document.querySelectorAll("[data-busy]")) {
  const label = button.textContent;
  button.form.addEventListener("submit", () => {
    button.disabled = true;
    button.textContent = button.dataset.busy;
  });
  window.addEventListener("pageshow", () => {
    button.disabled = false;
    button.textContent = label;
  });
}
// Coming back to this page must not leave a form whose choices are not those that are shown.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) form.reset();
});
