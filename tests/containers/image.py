#!/usr/bin/env python3
"""image.py OUT.tar NAME PROGRAM [PORT [LINK...]]: an image with one static program, as `ctr images import` takes it.

PORT becomes the variable STANDIN_PORT; each LINK is a path at which the program is found, too.
"""

import hashlib
import io
import json
import platform
import sys
import tarfile

out, name, program = sys.argv[1:4]
port, links = sys.argv[4] if len(sys.argv) > 4 else "", sys.argv[5:]
entry = program.rsplit("/", 1)[-1]
machine = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]


def add(tar, path, data, mode=0o644):
    item = tarfile.TarInfo(path)
    item.size, item.mode = len(data), mode
    tar.addfile(item, io.BytesIO(data))


def digest(data):
    return hashlib.sha256(data).hexdigest()


def described(kind, data):
    return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": "sha256:" + digest(data), "size": len(data)}


buffer = io.BytesIO()
with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
    add(tar, entry, open(program, "rb").read(), 0o755)
    for link in links:
        item = tarfile.TarInfo(link)
        item.type, item.linkname = tarfile.SYMTYPE, "/" + entry
        tar.addfile(item)
layer = buffer.getvalue()
config = json.dumps({
    "architecture": machine,
    "os": "linux",
    "config": {
        "Entrypoint": ["/" + entry],
        "WorkingDir": "/",
        "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"] + ([f"STANDIN_PORT={port}"] if port else []),
    },
    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest(layer)]},
}).encode()
manifest = json.dumps({
    "schemaVersion": 2,
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": described("config.v1+json", config),
    "layers": [described("layer.v1.tar", layer)],
}).encode()
index = described("manifest.v1+json", manifest)
index["platform"] = {"architecture": machine, "os": "linux"}
index["annotations"] = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name.rsplit(":", 1)[1]}
with tarfile.open(out, "w", format=tarfile.USTAR_FORMAT) as tar:
    add(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    add(tar, "index.json", json.dumps({"schemaVersion": 2, "manifests": [index]}).encode())
    for blob in (config, manifest, layer):
        add(tar, "blobs/sha256/" + digest(blob), blob)
