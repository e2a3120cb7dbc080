"""For ``twistd -ny etc/statscounter.tac``; options come from STATSCOUNTER_ARGS, as on a command line."""

import os
import shlex

from twisted.application.service import Application

from statsd_tcp.tap import Options, makeService

options = Options()
options.parseOptions(shlex.split(os.environ.get("STATSCOUNTER_ARGS", "")))
application = Application("statscounter")
makeService(options).setServiceParent(application)
