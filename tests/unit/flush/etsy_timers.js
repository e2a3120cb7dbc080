// Works timers out with the code of the npm package "statsd". One JSON document a line in, one out.
//
//     NODE_PATH=.../node_modules node etsy_timers.js <cases >results
const { process_metrics } = require("statsd/lib/process_metrics");

for (const line of require("fs").readFileSync(0, "utf8").trim().split("\n")) {
  const { key, values, count, percentiles, histogram, only, interval } = JSON.parse(line);
  const metrics = {
    counters: {},
    timers: { [key]: values },
    timer_counters: { [key]: count },
    pctThreshold: percentiles,
    histogram,
  };
  process_metrics(metrics, only, interval, 0, (done) => console.log(JSON.stringify(done.timer_data[key])));
}
