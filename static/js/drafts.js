// What somebody types and has not saved, kept in this browser until it is saved or the person signs out.

const PREFIX = "draft:";
const SENT = "draft-sent";

/** Keep the values of a form. A browser that keeps nothing only loses the second net. */
export function keepDraft(name, values, at = new Date().toISOString()) {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify({ at, values }));
  } catch {
    // Private windows, and a full disk.
  }
}

/** The draft of this name: `{at, values}`, or null. */
export function readDraft(name) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name));
  } catch {
    return null;
  }
}

export function dropDraft(name) {
  try {
    localStorage.removeItem(PREFIX + name);
  } catch {
    // Nothing was kept.
  }
}

/** The form with this draft is on its way to the server. The next page says whether it arrived. */
export function sendDraft(name) {
  try {
    sessionStorage.setItem(SENT, name);
  } catch {
    // Then the draft is offered once more.
  }
}

/** Drop a draft that was saved. One whose person had been signed out meanwhile, or whose form was refused, stays. */
function dropSaved() {
  try {
    const name = sessionStorage.getItem(SENT);
    sessionStorage.removeItem(SENT);
    if (name && document.querySelector(".notice.success")) dropDraft(name);
  } catch {
    // Nothing was kept.
  }
}

/** The next person at this computer must not find what this one wrote. */
function dropAll() {
  try {
    for (const key of Object.keys(localStorage)) if (key.startsWith(PREFIX)) localStorage.removeItem(key);
  } catch {
    // Nothing was kept.
  }
}

dropSaved();
for (const form of document.querySelectorAll('form[action="/accounts/logout/"]')) form.addEventListener("submit", dropAll);
