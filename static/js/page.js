// What every page has: its times in the zone of the browser, and the menu under "More".

import "./drafts.js";
import "./times.js";

const drawer = document.querySelector(".drawer");

/** Close the menu. The focus goes back to its button if it was in the menu. */
function close() {
  if (!drawer.open) return;
  if (drawer.contains(document.activeElement)) drawer.querySelector("summary").focus();
  drawer.open = false;
}

if (drawer) {
  document.addEventListener("keydown", (event) => event.key === "Escape" && close());
  document.addEventListener("click", (event) => drawer.contains(event.target) || close());
  // Tab leaves the menu: then it must not hide what has the focus.
  drawer.addEventListener("focusout", (event) => {
    if (event.relatedTarget && !drawer.contains(event.relatedTarget)) drawer.open = false;
  });
}
