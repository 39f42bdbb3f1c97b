// The check of every letter: ask for this part of the page again until the check has ended.

import { saySignedOut } from "./signed_out.js";

const POLL_EVERY_MS = 600;
const LONGEST_WAIT_MS = 10_000;

/** Replace the part by the server's newer one. DOMParser runs no script, and the server has escaped every value. */
async function renew(part) {
  const answer = await fetch(part.dataset.poll, { redirect: "error" });
  if (answer.status === 401) saySignedOut();
  if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const newer = document.adoptNode(page.getElementById("letters"));
  part.replaceWith(newer);
  return newer;
}

async function follow(part) {
  let wait = POLL_EVERY_MS;
  while (part.dataset.poll) {
    await new Promise((resolve) => setTimeout(resolve, wait));
    try {
      part = await renew(part);
      wait = Math.min(wait * 1.2, LONGEST_WAIT_MS);
    } catch {
      wait = Math.min(wait * 2, LONGEST_WAIT_MS); // the server is away, or starts again
    }
  }
}

const part = document.getElementById("letters");
if (part) follow(part);
