"""Servers that other people made: where they are found, how each is started, what it says that it counted."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import msgspec

from benchmarks.accept.servers import STOP_TIMEOUT, Server, Totals
from benchmarks.accept.workloads import Role
from benchmarks.lines.servers import RECEIVE_BUFFER, Etsy, OneProcess, Statsite
from benchmarks.programs import BUILD, ToolError

ETSY_RELEASE = "statsd@0.9.0"
NGINX_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"
INSTALL_TIMEOUT = 300.0
NETDATA_PLUGINS = (
    *("timex", "idlejitter", "proc", "diskspace", "cgroups", "tc", "apps", "checks", "profile"),
    *("enable running new plugins", "netdata monitoring"),
)


class Places(msgspec.Struct, frozen=True):
    """Where the others' programs are: etsy's is the folder of the npm package."""

    etsy: str = ""
    statsite: str = "statsite"
    netdata: str = "netdata"
    nginx: str = "nginx"
    haproxy: str = "haproxy"


OTHERS: dict[str, Role] = {
    "nginx": "count",
    "haproxy": "count",
    "etsy": "lines",
    "statsite": "lines",
    "netdata": "lines",
}
"""Each with what it can do: nginx and HAProxy cannot read lines, and the others wait for ever for the end of a client
that sends nothing."""


class Nginx(OneProcess):
    """nginx's stream server, which answers a connection with nothing and closes it."""

    def __init__(self, binary: str, cpu: int | None) -> None:
        super().__init__()
        config = Path(self._folder.name, "nginx.conf")
        module = f"load_module {NGINX_MODULE};\n" if Path(NGINX_MODULE).exists() else ""
        config.write_text(
            f"{module}daemon off; master_process off; pid {self._folder.name}/pid; error_log stderr crit;\n"
            "events { worker_connections 16384; multi_accept on; }\n"
            f'stream {{ server {{ listen 127.0.0.1:{self.port} backlog=4096; return ""; }} }}\n'
        )
        self._start([binary, "-c", str(config), "-p", self._folder.name], cpu, self.port)

    def totals(self, expected: Totals) -> Totals:
        """It does not tell."""
        return Totals()


class HaProxy(OneProcess):
    """HAProxy, which ends each connection as soon as it has begun; ``keys`` are those of its ``bind`` line."""

    def __init__(self, binary: str, cpu: int | None, keys: str = "") -> None:
        super().__init__()
        config = Path(self._folder.name, "haproxy.cfg")
        config.write_text(
            "global\n  nbthread 1\n  maxconn 8192\n"
            "defaults\n  mode tcp\n  timeout client 10s\n  timeout connect 1s\n  timeout server 10s\n"
            f"frontend here\n  bind 127.0.0.1:{self.port} backlog 4096 {keys}\n  tcp-request content reject\n"
        )
        self._start([binary, "-db", "-f", str(config)], cpu, self.port)

    def totals(self, expected: Totals) -> Totals:
        """It does not tell."""
        return Totals()


class Netdata(OneProcess):
    """netdata with nothing but its StatsD server."""

    def __init__(self, binary: str, cpu: int | None) -> None:
        super().__init__()
        folder = Path(self._folder.name)
        places = ("config", "stock config", "cache", "lib", "log", "web", "plugins", "home")
        for place in places:
            (folder / "netdata" / place).mkdir(parents=True)
        sections = {
            "global": {"run as user": "root" if os.geteuid() == 0 else ""},
            "directories": {place: str(folder / "netdata" / place) for place in places},
            "db": {"mode": "none"},
            "ml": {"enabled": "no"},
            "health": {"enabled": "no"},
            "web": {"mode": "none"},
            "logs": {"debug": "none", "access": "none", "error": "stderr"},
            "plugins": dict.fromkeys(NETDATA_PLUGINS, "no"),
            "statsd": {"enabled": "yes", "bind to": f"tcp:127.0.0.1:{self.port}"},
        }
        config = folder / "netdata.conf"
        config.write_text(
            "".join(
                f"[{section}]\n" + "".join(f"  {key} = {value}\n" for key, value in options.items() if value)
                for section, options in sections.items()
            )
        )
        self._start([binary, "-D", "-c", str(config)], cpu, self.port)

    def totals(self, expected: Totals) -> Totals:
        """It does not tell without its web server."""
        return Totals()

    def stop(self) -> None:
        """End it politely: it has a helper process that would stay."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                pass
        super().stop()


def missing(name: str, places: Places) -> str | None:
    """Why one of the others cannot be started here, and what would help; None if it can."""
    if name not in OTHERS:
        return None
    if name == "etsy":
        return _missing_etsy(places.etsy)
    binary: str = getattr(places, name)
    if shutil.which(binary) is None:
        packages = {
            "nginx": " (Debian: apt-get install nginx-light libnginx-mod-stream)",
            "haproxy": " (Debian: apt-get install haproxy)",
        }
        return f"there is no program {binary}{packages.get(name, f': name it with --{name} FILE')}"
    if name == "nginx" and not _nginx_has_streams(binary):
        return "this nginx has no stream module (Debian: apt-get install libnginx-mod-stream)"
    return None


def _missing_etsy(folder: str) -> str | None:
    if shutil.which("node") is None:
        return "there is no node (Debian: apt-get install nodejs)"
    if folder and not Path(folder, "stats.js").is_file():
        return f"--etsy {folder} is not the npm package statsd"
    if not folder and shutil.which("npm") is None:
        return "there is no npm to fetch it with; --etsy FOLDER names the npm package statsd"
    return None


def _nginx_has_streams(binary: str) -> bool:
    if Path(NGINX_MODULE).exists():
        return True
    said = subprocess.run([binary, "-V"], capture_output=True, text=True, check=False).stderr
    return re.search(r"--with-stream(?!=dynamic)", said) is not None


def fetch_etsy() -> Path:
    """Install the npm package among the built things, unless it is there; give its folder, or raise ToolError."""
    package = BUILD / "etsy" / "node_modules" / "statsd"
    if (package / "stats.js").is_file():
        return package
    with tempfile.TemporaryDirectory() as cache:
        words = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--cache", cache]
        folder = str(BUILD / "etsy")
        done = subprocess.run(
            [*words, "--prefix", folder, ETSY_RELEASE],
            capture_output=True,
            text=True,
            check=False,
            timeout=INSTALL_TIMEOUT,
        )
    if done.returncode or not (package / "stats.js").is_file():
        raise ToolError(f"npm cannot install {ETSY_RELEASE}: {done.stderr.strip().splitlines()[-1:]}")
    return package


def start_other(name: str, places: Places, cpu: int | None) -> Server:
    """Start one of the others; ToolError when it does not come up."""
    if name == "nginx":
        return Nginx(places.nginx, cpu)
    if name == "haproxy":
        return HaProxy(places.haproxy, cpu)
    if name == "netdata":
        return Netdata(str(Path(shutil.which(places.netdata) or places.netdata).resolve()), cpu)
    return start_for_lines(name, places, cpu)


def start_for_lines(name: str, places: Places, cpu: int | None, buffer: int = RECEIVE_BUFFER) -> Etsy | Statsite:
    """Start one of those that count lines; ToolError when it does not come up. etsy's has no key for the buffer."""
    if name == "etsy":
        return Etsy(Path(places.etsy).resolve(), cpu)
    return Statsite(Path(shutil.which(places.statsite) or places.statsite).resolve(), cpu, buffer)
