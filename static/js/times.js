// Show every time of the page in the zone of the browser. The server has written it in its own zone (TIME_ZONE).

const STYLES = {
  minutes: { dateStyle: "long", timeStyle: "short" },
  seconds: { dateStyle: "medium", timeStyle: "medium" },
  date: { dateStyle: "long" },
  exact: { dateStyle: "long", timeStyle: "long" },
};
const language = document.documentElement.lang || "en-GB";

/** Write the times in `root` again. After a part of the page was replaced, call it for that part. */
export function showTimes(root) {
  for (const place of root.querySelectorAll("time[data-moment]")) {
    const at = new Date(place.dateTime);
    const style = STYLES[place.dataset.moment];
    if (style) place.textContent = new Intl.DateTimeFormat(language, style).format(at);
    place.title = new Intl.DateTimeFormat(language, STYLES.exact).format(at);
  }
}

showTimes(document);
