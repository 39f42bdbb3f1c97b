// Snapshots as they happen: over a websocket, otherwise as server-sent events, otherwise by polling.
// Each snapshot is whole, and each connection begins with one. So a missed snapshot loses nothing.

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
const POLL_EVERY_MS = 4_000;
const FAILURES_BEFORE_STREAM = 3;
const POLLS_BEFORE_SOCKET = 15;
const REFUSALS = [4401, 4404]; // signed out, or no such batch: another connection would be refused too

/**
 * Call `take` with each snapshot.
 *
 * @param {{socket: string, stream?: string, poll?: () => Promise<object|null>}} source the addresses of the same snapshots
 */
export function follow(source, take) {
  let failures = 0;

  function open() {
    const address = new URL(source.socket, location.href);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(address);
    socket.onmessage = (event) => {
      failures = 0;
      take(JSON.parse(event.data));
    };
    socket.onclose = (event) => {
      if (REFUSALS.includes(event.code)) return;
      failures += 1;
      if (failures === FAILURES_BEFORE_STREAM && source.stream) stream();
      else setTimeout(open, wait(failures));
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
