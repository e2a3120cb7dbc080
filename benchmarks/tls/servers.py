"""The servers, each with the same key, one worker, and TLS 1.3."""

import shutil
from pathlib import Path

from benchmarks.accept.others import NGINX_MODULE, HaProxy
from benchmarks.accept.servers import Server, Totals
from benchmarks.accept.service import Service, free_ports
from benchmarks.lines.servers import OneProcess
from benchmarks.programs import ToolError

PEERS = ("ours", "nginx", "haproxy")


class Ours(Service):
    """This service, with a listener for TLS besides."""

    def __init__(self, certificate: Path, cpu: int | None) -> None:
        (port,) = free_ports(1)
        keys = f"privateKey={certificate}:certKey={certificate}"
        super().__init__("lines", cpu, options=("--listen", f"ssl:{port}:interface=127.0.0.1:{keys}"))
        self.port = port


class Nginx(OneProcess):
    """nginx's stream server, which answers with nothing after the handshake."""

    def __init__(self, certificate: Path, cpu: int | None) -> None:
        super().__init__()
        config = Path(self._folder.name, "nginx.conf")
        config.write_text(
            f"load_module {NGINX_MODULE};\n"
            f"daemon off; master_process off; pid {self._folder.name}/pid; error_log stderr crit;\n"
            "events { worker_connections 16384; multi_accept on; }\n"
            f"stream {{ server {{ listen 127.0.0.1:{self.port} ssl backlog=4096;\n"
            f"ssl_certificate {certificate}; ssl_certificate_key {certificate}; ssl_protocols TLSv1.3;\n"
            'ssl_session_cache shared:S:10m; ssl_session_tickets on; return ""; } }\n'
        )
        self._start([_program("nginx"), "-c", str(config), "-p", self._folder.name], cpu, self.port)

    def totals(self, expected: Totals) -> Totals:
        """It does not tell."""
        return Totals()


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise ToolError(f"there is no program {name} (Debian: apt-get install {name})")
    return found


def start(peer: str, certificate: Path, cpu: int | None) -> Server:
    """Start the server of that name; ToolError when it is not there or does not come up."""
    if peer == "ours":
        return Ours(certificate, cpu)
    if peer == "nginx":
        return Nginx(certificate, cpu)
    return HaProxy(_program("haproxy"), cpu, f"ssl crt {certificate} ssl-min-ver TLSv1.3")
