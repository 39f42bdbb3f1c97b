// The review: show the message as soon as the reader chooses another template, subject or row.

import "./confirm.js";
import "./letters.js";

const form = document.getElementById("message");
const show = document.getElementById("show");

for (const name of ["template", "subject", "sender", "topic", "line"]) {
  // Who has one sender only has no choice of it.
  form.elements.namedItem(name)?.addEventListener("change", () => form.requestSubmit(show));
}
// What was typed as the time stays while the page is loaded again, also by the buttons of the list, whose forms have no
// field for it. It lasts as long as the tab.
const time = form.elements.namedItem("scheduled_at");
const timeKey = `send-at:${location.pathname.match(/\d+/)}`;

function showTyped() {
  const typed = sessionStorage.getItem(timeKey);
  if (time && typed !== null) time.value = typed;
}
time?.addEventListener("input", () => sessionStorage.setItem(timeKey, time.value));
showTyped();

// Reading a long file takes a while. Say so, and keep the reader from starting it twice.
for (const button of document.querySelectorAll("[data-busy]")) {
  const label = button.textContent;
  button.form.addEventListener("submit", (event) => {
    if (event.submitter === button) button.textContent = button.dataset.busy;
    // Later, because the browser does not send the value of a button that is disabled now.
    setTimeout(() => (button.disabled = true));
  });
  window.addEventListener("pageshow", () => {
    button.disabled = false;
    button.textContent = label;
  });
}
// The browser's back button restores the form as it was left. Reset it, so that it fits the message on the page.
window.addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  form.reset();
  showTyped();
});
