"use strict";
/* The page goes on by itself: the stream of moments feeds the charts, and the other parts are put in their place. */

const stream = document.getElementById("stream");
const place = document.getElementById("charts");
const calm = matchMedia("(prefers-reduced-motion: reduce)");
let moments = [];
let sourceMoments = null; // only for those who may see sources
let charts = [];
let drawn = 0; // moments since the last drawing
let source = null;

function say(text) {
  if (stream.textContent !== text) stream.textContent = text;
}

function draw() {
  drawn = 0;
  for (const chart of charts) chart.show(chart.spec.secret ? sourceMoments : moments);
}

function begin() {
  /* A chart that is only taken out of the page still follows the cursor and the window. */
  for (const chart of charts) chart.end();
  place.hidden = false;
  place.replaceChildren();
  charts = CHARTS.filter((spec) => !spec.secret || sourceMoments).map((spec) => new Chart(spec, place));
  draw();
}

/* Markup of our own server, in which everything that clients sent is escaped. No script in it would run. */
function put(id, markup) {
  const part = document.getElementById(id);
  const label = part.contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") : null;
  const made = new DOMParser().parseFromString(markup, "text/html");
  part.replaceChildren(...made.body.childNodes);
  /* Who reads a table by the keyboard stays in it. */
  if (label) part.querySelector(`[aria-label="${CSS.escape(label)}"]`)?.focus({ preventScroll: true });
}

function connect() {
  source = new EventSource("/api/v1/live");
  sourceMoments = null;
  source.addEventListener("source-past", (event) => {
    sourceMoments = JSON.parse(event.data);
  });
  source.addEventListener("source-moment", (event) => {
    if (!sourceMoments) return;
    sourceMoments.push(JSON.parse(event.data));
    while (sourceMoments[0].at < sourceMoments.at(-1).at - KEPT) sourceMoments.shift();
  });
  source.addEventListener("past", (event) => {
    moments = JSON.parse(event.data);
    begin();
    say("live");
  });
  source.addEventListener("moment", (event) => {
    moments.push(JSON.parse(event.data));
    if (moments.length > KEPT) moments.shift();
    /* Those who asked for less motion get a step every ten seconds. */
    drawn += 1;
    if (!calm.matches || drawn >= STEP) draw();
  });
  source.addEventListener("parts", (event) => {
    for (const [id, markup] of Object.entries(JSON.parse(event.data))) put(id, markup);
  });
  source.addEventListener("error", () => say("the service does not answer; trying again"));
}

/* A hidden page costs nothing: the ten minutes come again when it is looked at. */
document.addEventListener("visibilitychange", () => {
  source?.close();
  source = null;
  if (!document.hidden) connect();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", begin);
addEventListener("resize", () => charts.forEach((chart) => chart.resize()));
if (!document.hidden) connect();
