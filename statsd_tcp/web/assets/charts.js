"use strict";
/* The charts of the last ten minutes. Each is made of the moments' field of its name; see docs/page.md. */

const CHARTS = [
  { field: "accepted", title: "Connections", unit: "per second" },
  { field: "sources", title: "Connections by source", unit: "per second", most: 6, secret: true },
  { field: "open", title: "Open connections", unit: "" },
  { field: "waiting", title: "Waiting to be accepted", unit: "connections" },
  { field: "drops", title: "Refused by full queues", unit: "per second" },
  { field: "lines", title: "Lines", unit: "per second" },
  { field: "bad", title: "Bad lines by reason", unit: "per second" },
  { field: "closed", title: "Ends of connections by reason", unit: "per second" },
  { field: "commit", title: "Time of a commit", unit: "milliseconds", single: "commit", scale: 1000 },
  { field: "queued", title: "Waiting for outputs", unit: "" },
];
const KEPT = 600; // moments, and seconds
const DASHES = [[], [6, 3], [2, 2], [8, 2, 2, 2], [12, 4], [4, 6]];
const HEIGHT = 150; // pixels
const STEP = 10; // seconds in a row of a table

const written = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

class Chart {
  constructor(spec, parent) {
    this.spec = spec;
    this.names = [];
    this.plot = null;
    this.box = element("div", { class: "plot", role: "img" });
    this.summary = element("summary", {}, "the numbers");
    this.details = element("details", {}, this.summary);
    const unit = spec.unit ? element("span", {}, ` ${spec.unit}`) : "";
    parent.append(element("figure", {}, element("figcaption", {}, spec.title, unit), this.box, this.details));
    this.details.addEventListener("toggle", () => this.tabulate());
    this.moments = [];
  }

  /* The value of a series in a moment; a reason that did not come is 0, and a second without commits has none. */
  value(moment, name) {
    const field = moment[this.spec.field];
    const found = this.spec.single ? field : (field[name] ?? 0);
    return found === null ? null : found * (this.spec.scale ?? 1);
  }

  show(moments) {
    this.moments = moments;
    const names = this.spec.single
      ? [this.spec.single]
      : this.chosen(moments);
    const data = [moments.map((moment) => moment.at), ...names.map((name) => moments.map((one) => this.value(one, name)))];
    if (this.plot === null || names.join("\n") !== this.names.join("\n")) {
      this.names = names;
      this.draw(data);
    } else {
      this.plot.setData(data);
    }
    /* Without a cursor the legend has the last moment. */
    if (this.plot.cursor.idx == null && moments.length) this.plot.setLegend({ idx: moments.length - 1 });
    this.describe();
    if (this.details.open) this.tabulate();
  }

  /* Names in a fixed order; of those that come and go as they like, the ones with the most. */
  chosen(moments) {
    const sums = new Map();
    for (const moment of moments) {
      for (const [name, value] of Object.entries(moment[this.spec.field])) sums.set(name, (sums.get(name) ?? 0) + value);
    }
    const names = [...sums.keys()];
    if (!this.spec.most) return names.sort();
    return names.sort((one, other) => sums.get(other) - sums.get(one)).slice(0, this.spec.most).sort();
  }

  draw(data) {
    this.end();
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--rule"), width: 1 }, ticks: { stroke: colour("--rule") } };
    const series = this.names.map((name, at) => ({
      label: name,
      stroke: colour(`--line-${(at % 6) + 1}`),
      dash: DASHES[at % DASHES.length],
      width: 1.5,
      points: { show: false },
      value: (_, value) => (value === null ? "–" : written.format(value)),
    }));
    const options = {
      width: this.box.clientWidth || 320,
      height: HEIGHT,
      legend: { live: true },
      cursor: { sync: { key: "moments" }, drag: { x: false, y: false } },
      scales: { y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
      axes: [{ ...axis, size: 32 }, { ...axis, size: 56 }],
      series: [{ value: (_, value) => (value === null ? "–" : clock.format(value * 1000)) }, ...series],
    };
    this.plot = new uPlot(options, data, this.box);
  }

  end() {
    this.plot?.destroy();
    this.plot = null;
  }

  resize() {
    this.plot?.setSize({ width: this.box.clientWidth, height: HEIGHT });
  }

  describe() {
    const last = this.moments.at(-1);
    const said = last ? this.names.map((name) => `${name} ${this.say(this.value(last, name))}`).join(", ") : "";
    this.box.setAttribute("aria-label", `${this.spec.title} ${this.spec.unit}: ${said || "nothing"}`);
  }

  say(value) {
    return value === null ? "–" : written.format(value);
  }

  /* The moments of ten seconds each, the newest first. */
  steps() {
    const steps = [];
    for (const moment of this.moments.slice().reverse()) {
      const last = steps.at(-1);
      if (last && last.at(-1).at - moment.at < STEP - 0.5) last.unshift(moment);
      else steps.push([moment]);
    }
    return steps;
  }

  /* Means of ten seconds, the newest first. */
  tabulate() {
    this.details.querySelector(".figures")?.remove();
    if (!this.details.open) return;
    const head = ["time", ...this.names].map((name) => element("th", { scope: "col" }, name));
    const rows = [];
    for (const some of this.steps()) {
      const cells = this.names.map((name) => {
        const values = some.map((moment) => this.value(moment, name)).filter((value) => value !== null);
        return this.say(values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null);
      });
      const when = clock.format(some.at(-1).at * 1000);
      rows.push(element("tr", {}, ...[when, ...cells].map((text) => element("td", {}, text))));
    }
    const caption = element("caption", {}, "Means of ten seconds");
    const table = element("table", {}, caption, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
    const label = `${this.spec.title}, the numbers`;
    this.details.append(element("div", { class: "figures", tabindex: "0", role: "region", "aria-label": label }, table));
  }
}
