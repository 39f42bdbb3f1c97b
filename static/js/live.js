// Snapshots as they happen: over a websocket, otherwise as server-sent events, otherwise by polling.
// Each snapshot is whole, and each connection begins with one. So a missed snapshot loses nothing.

import { sayIfSignedOut } from "./signed_out.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
const POLL_EVERY_MS = 4_000;
const FAILURES_BEFORE_STREAM = 3;
const POLLS_BEFORE_SOCKET = 15;
const REFUSALS = [4401, 4404]; // signed out, or no such batch: another connection would be refused too
const REFUSED_STATUSES = [401, 403, 404]; // the same in an answer to a poll

/** What a poll returns if another one would be refused too: the user is signed out, or there is no such batch. */
export const REFUSED = Symbol("refused");

/** Whether an answer to a poll says that another one would be refused too. */
export function isRefused(answer) {
  return REFUSED_STATUSES.includes(answer.status);
}

/**
 * Call `take` with each snapshot.
 *
 * @param {{socket: string, stream?: string, poll?: () => Promise<object|symbol|null>}} source the addresses of the same snapshots
 */
export function follow(source, take) {
  let failures = 0;

  function open() {
    const address = new URL(source.socket, location.href);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    address.searchParams.set("lang", document.documentElement.lang); // the language of its sentences
    const socket = new WebSocket(address);
    socket.onmessage = (event) => {
      failures = 0;
      take(JSON.parse(event.data));
    };
    // A stranger is refused before the socket opens, which looks like any other failure here. The poll tells.
    socket.onclose = (event) => {
      if (REFUSALS.includes(event.code)) {
        sayIfSignedOut(open);
        return;
      }
      failures += 1;
      if (failures !== FAILURES_BEFORE_STREAM) setTimeout(open, wait(failures));
      else if (source.stream) stream();
      else poll();
    };
  }

  function stream() {
    const events = new EventSource(source.stream);
    events.onmessage = (event) => take(JSON.parse(event.data));
    events.onerror = () => {
      events.close();
      poll();
    };
  }

  // Some polls later, try the socket again: whatever kept it from opening may be over.
  async function poll(count = 1) {
    try {
      const snapshot = await source.poll();
      if (snapshot === REFUSED) {
        sayIfSignedOut(open);
        return;
      }
      if (snapshot) take(snapshot);
    } catch {
      // The server can't be reached. The page stays as it is.
    }
    if (count % POLLS_BEFORE_SOCKET) setTimeout(poll, POLL_EVERY_MS, count + 1);
    else open();
  }

  open();
}

/** The milliseconds to wait: longer after each failure, and random, so that a thousand pages do not return at once. */
function wait(failures) {
  return Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(failures, 6)) * (0.5 + Math.random() / 2);
}
