// Write a snapshot of a batch into a part of the page. The server does the same in batches/web/progressbar.py.

export const figures = new Intl.NumberFormat("en-GB");

/** The snapshot with what can be worked out from it; the percentage is rounded down, so 100 means done. */
export function complete(now) {
  const leftOut = Math.max(0, now.processed - now.sent - now.failed - now.unknown);
  const percent = now.total ? Math.floor((100 * now.processed) / now.total) : 0;
  return { ...now, leftOut, percent };
}

/** Draw a snapshot into `root`, unless what it shows is newer. Returns the completed snapshot, or null. */
export function draw(root, snapshot) {
  if (snapshot.sequence <= Number(root.dataset.sequence)) return null;
  root.dataset.sequence = snapshot.sequence;
  const now = complete(snapshot);
  for (const place of root.querySelectorAll("[data-count]")) place.textContent = figures.format(now[place.dataset.count]);
  for (const place of root.querySelectorAll("[data-some]:not([data-when])")) place.hidden = !now[place.dataset.some];
  for (const bar of root.querySelectorAll("[data-bar]")) drawBar(bar, now);
  return now;
}

/** Set a pill's status, as its word and as its colour. */
export function drawStatus(pill, status) {
  if (pill.dataset.status === status) return;
  pill.dataset.status = status;
  pill.textContent = status;
}

function drawBar(bar, now) {
  const counts = { sent: now.sent, failed: now.failed, unknown: now.unknown, "left-out": now.leftOut };
  let begin = 0;
  for (const rect of bar.querySelectorAll("[data-part]")) {
    const width = now.total ? (100 * counts[rect.dataset.part]) / now.total : 0;
    rect.setAttribute("x", `${begin.toFixed(3)}%`);
    rect.setAttribute("width", `${width.toFixed(3)}%`);
    begin += width;
  }
  bar.setAttribute("aria-label", `${now.percent} percent done`);
}
