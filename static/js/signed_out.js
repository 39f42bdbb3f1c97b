// Say that the session has ended, on a page that stays open: with a link to the sign-in in a new tab, so that nothing of
// the page is lost. After the sign-in its forms get the new token, and the page goes on.

import { gettext, interpolate } from "./words.js";

const SESSION = "/accounts/session/";
const SIGN_IN = "/accounts/login/";
const SIGNED_OUT = Symbol("signed out");
const name = document.querySelector(".account > a")?.textContent;
const waiting = new Set();
let notice = null;

/** Show the notice if the user is signed out: an answer may have been refused for another reason. */
export async function sayIfSignedOut(onReturn) {
  if ((await fetchSession()) === SIGNED_OUT) saySignedOut(onReturn);
}

/** Show the notice at the top of the page. `onReturn` is called once the same user has signed in again. */
export function saySignedOut(onReturn = () => {}) {
  waiting.add(onReturn);
  if (notice) return;
  notice = document.createElement("p");
  notice.className = "notice warning";
  notice.setAttribute("role", "alert");
  notice.id = "signed-out";
  notice.append(gettext("You were signed out."), " ", makeLink(), " ", gettext("Nothing on this page is lost."));
  document.getElementById("content").prepend(notice);
  notice.scrollIntoView({ block: "nearest" });
  const look = async () => {
    if (document.hidden || !(await goOn())) return;
    document.removeEventListener("visibilitychange", look);
    window.removeEventListener("focus", look);
  };
  document.addEventListener("visibilitychange", look);
  window.addEventListener("focus", look);
}

/** Make the link to the sign-in, which opens in a new tab: this page keeps the chosen file and the typed text. */
export function makeLink() {
  const words = gettext("Sign in again in a new tab");
  return Object.assign(document.createElement("a"), { href: SIGN_IN, target: "_blank", rel: "noopener", textContent: words });
}

/** Look whether the user is back. Returns whether the page can go on. */
async function goOn() {
  const session = await fetchSession();
  if (!session || session === SIGNED_OUT || !notice) return false;
  if (name && session.user !== name) {
    notice.textContent = interpolate(gettext("%(user)s is signed in now. Reload this page before you go on."), session);
    return true;
  }
  renewTokens(session.token);
  notice.remove();
  notice = null;
  for (const onReturn of waiting) onReturn();
  waiting.clear();
  return true;
}

/** Return who is signed in, with the token of the forms; SIGNED_OUT; or null if the server can't be reached. */
async function fetchSession() {
  const answer = await fetch(SESSION, { headers: { Accept: "application/json" } }).catch(() => null);
  if (answer?.status === 401) return SIGNED_OUT;
  return answer?.ok ? await answer.json() : null;
}

function renewTokens(token) {
  for (const field of document.querySelectorAll('[name="csrfmiddlewaretoken"]')) field.value = token;
}
