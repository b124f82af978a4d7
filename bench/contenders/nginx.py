"""nginx as a plain reverse proxy: C, no policy, pooled upstream connections. The yardstick of the ratios."""

from __future__ import annotations

import subprocess

from bench import place
from bench.contenders.contender import Contender, fresh_directory
from bench.load import tool_path

_PORT = 19101

# proxy_buffering is off because streaming needs it off; access_log because the mock's other proxies write none either.
_CONFIG = """\
worker_processes 1;
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_buffer_size 1m;
  client_max_body_size 64m;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  keepalive_requests 100000000;
  upstream mock {{
    server {host}:{upstream};
    keepalive 1024;
    keepalive_requests 100000000;
  }}
  server {{
    listen {host}:{port} backlog=4096;
    location / {{
      proxy_pass http://mock;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 120s;
    }}
  }}
}}
"""


def _version(binary: str) -> str:
    """nginx tells its version on the error stream: `nginx version: nginx/1.22.1`."""
    return subprocess.run([binary, "-v"], capture_output=True, text=True, check=True).stderr.strip().rpartition("/")[2]


def nginx() -> Contender:
    directory = fresh_directory("nginx")
    config = directory / "nginx.conf"
    values = {"directory": directory, "host": place.HOST, "port": _PORT, "upstream": place.UPSTREAM_PORT}
    config.write_text(_CONFIG.format(**values))
    binary = str(tool_path("nginx"))
    return Contender(
        name="nginx",
        title="nginx proxy_pass",
        port=_PORT,
        version=_version(binary),
        command=(binary, "-p", str(directory), "-e", str(directory / "error.log"), "-c", str(config)),
        directory=directory,
        start_s=5,
    )
