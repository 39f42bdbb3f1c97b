// Snapshots as they happen: over a websocket, else server-sent events, else by asking. A snapshot is always
// whole, so nothing is lost when one is missed: the next connection begins with a fresh one.

const FIRST_WAIT = 500;
const LONGEST_WAIT = 15_000;
const POLL_EVERY = 4_000;
const TRIES_BEFORE_STREAM = 3;
const REFUSALS = [4401, 4404]; // signed out, or no such batch: asking again would not help

/**
 * Call `take` with each snapshot.
 *
 * @param {{socket: string, stream?: string, poll?: () => Promise<object|null>}} source addresses of the same news
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
      if (failures === TRIES_BEFORE_STREAM && source.stream) stream();
      else setTimeout(open, wait(failures));
    };
  }

  function stream() {
    const events = new EventSource(source.stream);
    events.onmessage = (event) => take(JSON.parse(event.data));
    events.onerror = () => {
      events.close();
      ask();
    };
  }

  // Every so often the socket is tried again: what kept it from opening may be gone.
  async function ask(count = 1) {
    try {
      const snapshot = await source.poll();
      if (snapshot) take(snapshot);
    } catch {
      // The server is away. The page keeps what it shows.
    }
    if (count % 15) setTimeout(ask, POLL_EVERY, count + 1);
    else open();
  }

  open();
}

/** Longer after each failure, and by chance, so that a thousand pages don't come back in the same instant. */
function wait(failures) {
  return Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** Math.min(failures, 6)) * (0.5 + Math.random() / 2);
}
