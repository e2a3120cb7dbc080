"""Clients for Node.js, each with a script that sends something with it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.functional.waiting import PATIENCE

__all__ = ["HOT_SHOTS", "NODE_STATSD", "run_node"]

HOT_SHOTS = """
const StatsD = require('hot-shots');
const net = require('net');
const options = JSON.parse(process.argv[1]);
if (options.connect) { options.stream = net.connect(options.connect); }
const client = new StatsD({ ...options, globalTags: { env: 'test' }, errorHandler: (e) => { throw e; } });
let waiting = options.telegraf ? 57 : 59;
// Where a datagram socket is full the client tries again later: it must not be closed before.
const sent = (error) => { if (error) { throw error; } waiting -= 1; if (!waiting) { client.close(); } };
for (let i = 0; i < 50; i += 1) { client.increment('hits', 1, { page: String(i % 2) }, sent); }
// What is tried again may be overtaken.
client.gauge('level', 12, (error) => { sent(error); client.gauge('level', -5, sent); });
client.set('users', 'somebody', sent);
client.timing('took', 250, sent);
client.histogram('size', 10, sent);
client.distribution('size', 20, sent);
client.increment('late', 4, options.telegraf ? {} : { timestamp: 1764298601, cardinality: 'low' }, sent);
if (!options.telegraf) {
  client.event('title', 'two\\nlines', {}, {}, sent);
  client.check('alive', client.CHECKS.OK, {}, {}, sent);
}
"""

NODE_STATSD = """
const StatsD = require('node-statsd');
const client = new StatsD({ ...JSON.parse(process.argv[1]), global_tags: ['env:test'] });
let waiting = 16;
const sent = (error) => { if (error) { throw error; } waiting -= 1; if (!waiting) { client.close(); } };
for (let i = 0; i < 10; i += 1) { client.increment('hits', 1, undefined, ['page:' + i % 2], sent); }
client.decrement('falls', 3, sent);
client.gauge('level', 12, sent);
client.gauge('level', -5, sent);
client.timing('took', 250, sent);
client.histogram('size', 30, sent);
client.unique('users', 'somebody', sent);
"""


def run_node(script: str, given: dict[str, Any], modules: Path) -> None:
    """Run a script of Node.js, which finds what it was given as its argument."""
    done = subprocess.run(
        ["node", "-e", script, json.dumps(given)],
        env={**os.environ, "NODE_PATH": str(modules)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
