// The review: a choice of template, subject or row shows the message at once, without the button.

const form = document.getElementById("message");
const show = document.getElementById("show");

for (const name of ["template", "subject", "row"]) {
  form.elements.namedItem(name).addEventListener("change", () => form.requestSubmit(show));
}
// Coming back to this page must not leave a form whose choices are not those that are shown.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) form.reset();
});
