# The commands of daily work. They make their own virtual environment in $(VENV) and need nothing but Python 3.11 or
# later with its venv module, make and a package index. "make help" lists them.

VENV ?= .venv
ARGS ?=
# Debian packages that optional tests and benchmarks use; without them these tests are skipped and say so.
SYSTEM_PACKAGES := chromium chromium-driver curl gcc g++ graphite-carbon haproxy iproute2 libc6-dev libnginx-mod-stream
SYSTEM_PACKAGES += logrotate monitoring-plugins-basic netcat-openbsd nftables nginx perl php-cli procps proftpd-core proftpd-mod-statsd
SYSTEM_PACKAGES += prometheus python3-dev systemd tmux util-linux valgrind victoria-metrics
# Unless there is one: a newer npm than Debian's is a package that does not go with it.
SYSTEM_PACKAGES += $(shell command -v npm >/dev/null || echo nodejs npm)
# From npm: the etsy server as the oracle of some tests; two clients, one with what it needs for Unix datagrams; the
# charts of the page, to compare with, and a check of pages for everybody's use. They are also found by NODE_PATH.
NPM_PACKAGES := statsd hot-shots@^17 node-statsd@^0.1 unix-dgram@^2 uplot@1.6.32 axe-core@^4
NPM_FOLDER := $(or $(TMPDIR),/tmp)/statscounter-npm

# One stamp for each set of dependencies. An environment that is not whole, or was copied or moved, is made anew with
# all of them.
WHOLE := $(shell "$(VENV)/bin/python" -c '' 2>/dev/null && cat "$(VENV)/.whole" 2>/dev/null)
ifneq ($(WHOLE),$(CURDIR))
STALE := stale
endif
HAS := $(VENV)/.has-
# What is compiled or read when the checkout is installed.
BUILT_FROM := setup.cfg setup.py pyproject.toml $(wildcard statsd_tcp/*/*.[ch])

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# One process runs one test after the other, the longest first; ARGS="-n 0" is for a debugger.
PARALLEL := -n auto

.PHONY: help run test proof lint torture fleet fuzz bench guard clean system-packages stale
# The environment is made by one process at a time.
.NOTPARALLEL:

help: ## list these commands
	@echo 'usage: make COMMAND [ARGS="..."] [PYTHON=python3.12] [VENV=.venv]'
	@sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

# The shell outlives the service and calls its end by a signal success, or make would complain about a Ctrl-C. A command
# in the background of a shell has INT ignored, and only a program can take that back.
FOREGROUND := import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])

run: $(HAS)service ## start the service in the foreground; ARGS are its options, Ctrl-C stops it
	@trap ':' INT; trap 'kill -TERM "$$child"' TERM; \
	"$(VENV)/bin/python" -c '$(FOREGROUND)' "$(VENV)/bin/twistd" -n --pidfile= statscounter $(ARGS) & child=$$!; \
	while wait "$$child" 2>/dev/null; status=$$?; kill -0 "$$child" 2>/dev/null; do :; done; \
	test "$$status" -eq 130 || test "$$status" -eq 143 || exit "$$status"

test: $(HAS)test ## run all tests but the proofs; ARGS go to pytest
	@"$(VENV)/bin/python" -m pytest $(PARALLEL) $(ARGS)

proof: $(HAS)test ## run the tests that take long; ARGS go to pytest
	@"$(VENV)/bin/python" -m pytest -m proof $(ARGS)

lint: $(HAS)lint ## check style, types, words and news fragments
	@"$(VENV)/bin/ruff" check --quiet .
	@"$(VENV)/bin/ruff" format --quiet --check .
	@"$(VENV)/bin/mypy"
	@"$(VENV)/bin/python" -m tests.prose
	@"$(VENV)/bin/towncrier" build --draft --version next >/dev/null

torture: $(HAS)test ## kill, stop and reload a service under load and check every count; ARGS="--seconds 600 --seed 1"
	@if unshare --net true 2>/dev/null; then \
	    unshare --net "$(VENV)/bin/python" -m tests.torture.run --isolated $(ARGS); \
	else \
	    "$(VENV)/bin/python" -m tests.torture.run $(ARGS); \
	fi

fleet: $(HAS)test ## run three nodes behind HAProxy, and kill and check everything (as root); ARGS="--seconds 600 --seed 1"
	@unshare --net "$(VENV)/bin/python" -m tests.fleet.run $(ARGS)

fuzz: $(HAS)test ## try the parts in C by chance against those in Python; ARGS="--minutes 60 --seed 1 --target rings"
	@"$(VENV)/bin/python" -m tests.fuzz.run $(ARGS)

bench: $(HAS)bench ## compare with other servers; ARGS go to python -m benchmarks compare
	@"$(VENV)/bin/python" -m benchmarks compare $(ARGS)

guard: $(HAS)service ## count the hot path's instructions; fails when they have become many more
	@"$(VENV)/bin/python" -m benchmarks guard $(ARGS)

clean: ## remove the environment and everything else that was made here
	@rm -rf "$(VENV)" .venv-* build dist *.egg-info client/build client/dist client/*.egg-info .coverage .coverage.* htmlcov _trial_temp* twistd.log* \
	    .hypothesis .mypy_cache .pytest_cache .ruff_cache benchmarks/build statsd_tcp/*/*.so
	@find . -name __pycache__ -prune -exec rm -rf {} + -o -name dropin.cache -exec rm -f {} +

system-packages: ## install the Debian and npm packages that optional tests use (as root)
	@if [ "$$(id -u)" -eq 0 ]; then \
	    apt-get -q update && apt-get -q install --yes --no-install-recommends $(SYSTEM_PACKAGES); \
	else \
	    echo 'sudo apt-get install --no-install-recommends $(SYSTEM_PACKAGES)'; \
	fi
	@if command -v npm >/dev/null; then \
	    npm install --silent --no-audit --no-fund --omit=optional --prefix "$(NPM_FOLDER)" $(NPM_PACKAGES) >/dev/null; \
	else \
	    echo 'npm is not installed: tests of what it installs are skipped'; \
	fi

$(HAS)service: $(BUILT_FROM) $(STALE)
	@.ci/venv "$(VENV)" && touch "$@"

$(HAS)%: $(BUILT_FROM) $(STALE)
	@.ci/venv "$(VENV)" $* && touch "$@" "$(HAS)service"
