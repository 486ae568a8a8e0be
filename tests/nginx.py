"""nginx for real, with TLS, on the very configuration that the documentation hands out."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import requests

from tests.processes import ROOT, ServerProcess, clean_environment, free_port

HANDED_OUT = ROOT / "docs" / "deploy" / "nginx.conf"
# What is around an included file in a distribution's nginx.conf; all that is written goes to a
# folder of the test's own.
AROUND = """
daemon off;
worker_processes 1;
error_log stderr notice;
pid {folder}/nginx.pid;
{user}
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/thumbprint.conf;
}}
"""


class NginxServer(ServerProcess):
    """nginx before the app at `app_url`, itself at `url`; `certificate` is what clients trust."""

    def __init__(self, folder: Path, app_url: str) -> None:
        self.port, self.plain_port = free_port(), free_port()
        self.url = f"https://localhost:{self.port}"
        self.certificate = folder / "fullchain.pem"
        self._key = folder / "privkey.pem"
        self._app = urlsplit(app_url).netloc
        super().__init__(
            [_binary(), "-c", str(folder / "nginx.conf"), "-p", str(folder)],
            clean_environment(),
            folder,
            "nginx",
            self._is_answering,
        )

    def launch(self) -> None:
        """Write the configuration and a certificate, and start."""
        self.folder.mkdir(parents=True, exist_ok=True)
        # As root its workers would become somebody who may not enter pytest's folder.
        user = "user root;" if os.geteuid() == 0 else ""
        (self.folder / "nginx.conf").write_text(AROUND.format(folder=self.folder, user=user))
        (self.folder / "thumbprint.conf").write_text(self._configuration())
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
                *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
                *("-keyout", str(self._key), "-out", str(self.certificate)),
            ],
            check=True,
            capture_output=True,
        )
        super().launch()

    def _configuration(self) -> str:
        """The handed-out file with names, ports and files of this test, and not a line changed."""
        text = HANDED_OUT.read_text()
        for documented, here in {
            "listen 80;": f"listen 127.0.0.1:{self.plain_port};",
            "listen 443 ssl;": f"listen 127.0.0.1:{self.port} ssl;",
            "server_name chat.example.org;": "server_name localhost;",
            "server 127.0.0.1:8000;": f"server {self._app};",
            "/etc/ssl/thumbprint/fullchain.pem": str(self.certificate),
            "/etc/ssl/thumbprint/privkey.pem": str(self._key),
        }.items():
            assert documented in text, f"nginx.conf has no {documented!r}"
            text = text.replace(documented, here)
        return text

    def _is_answering(self) -> bool:
        answer = requests.get(f"{self.url}/healthz", verify=str(self.certificate), timeout=5)
        return answer.status_code == 200


def _binary() -> str:
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    assert found, "nginx is not installed (Debian, Ubuntu: apt-get install nginx-light)"
    return found
