"""Have the fork server run a command as if this process were it (fork_server.py): SOCKET python|dvc WORD..."""

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

_, address, name, *words = sys.argv
if name == "python":
    if words[:1] != ["-m"] or not words[1].startswith("pipeline."):
        os.execv(sys.executable, [sys.executable, *words])
    words = words[1:]
else:
    words = ["dvc", *words]
server = socket.socket(socket.AF_UNIX)
while server.connect_ex(address):  # the server is still importing
    time.sleep(0.05)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, _: server.send(bytes([number])))
request = {"words": words, "folder": str(Path.cwd()), "environment": dict(os.environ)}
socket.send_fds(server, [json.dumps(request).encode()], [0, 1, 2])
code = int.from_bytes(server.recv(4), signed=True)
if code < 0:  # ended by a signal, and so does this process
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
