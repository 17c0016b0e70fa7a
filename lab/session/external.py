"""Vendors that are no folder of the project: `acme=registry/acme-sip:1.2`, a digest, or a folder with a Dockerfile.

Their manifest is what the image brings (`/etc/siplab/vendor.yaml`), or the folder; else what its agent says in `hello`, with defaults for
the rest. An image runs by its digest, a folder by the hash of its content, so that what is recorded is what ran.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.agents.client import HELLO_WITHIN, AgentClient
from lab.errors import ImageError, RuntimeFault, SpecError
from lab.plan.model import Element, Interface
from lab.render.agent import TLS_DIR, agent_json
from lab.render.pki import Authority
from lab.runtime.base import Attachment, ContainerSpec, FileContent, Runtime
from lab.runtime.docker_images import DockerImages
from lab.runtime.engine import require_engine
from lab.runtime.image_engine import RegistryUnreachable
from lab.runtime.image_source import ImageSource
from lab.runtime.images import ensure_images
from lab.runtime.labels import Identity
from lab.runtime.lease import lease_networks
from lab.runtime.reaper import remove_lab
from lab.session.vendors import image_sources
from lab.spec.loader import parse_document, read_document
from lab.spec.validation import validated
from lab.spec.vendor import Vendor

MANIFEST = "/etc/siplab/vendor.yaml"
PULL_WITHIN = 15.0
ROLE = "user-agent"


@dataclass(frozen=True)
class External:
    """A vendor from outside: `reference` is what was asked for.

    One with an image of its own runs by `digest`. A folder with a manifest has none: each flavour that is bound is built from `folder`.
    """

    vendor: Vendor
    reference: str
    digest: str = ""
    folder: Path | None = None


def name_of(reference: str) -> str:
    """What to call the vendor of an image or a folder that was given no name: `registry/acme-sip:1.2` → `acme-sip`."""
    last = Path(reference).resolve().name if Path(reference).is_dir() else reference.partition("@")[0].rsplit("/", 1)[-1]
    return re.sub(r"[^a-z0-9-]+", "-", last.partition(":")[0].lower()).strip("-")[:31] or "external"


def open_externals(texts: Sequence[str], root: Path, known: Mapping[str, Vendor], runtime: Runtime) -> dict[str, External]:
    """Every `NAME=WHERE`, by name. SpecError where a name is wrong or taken, ImageError where there is no such image."""
    found: dict[str, External] = {}
    for text in texts:
        name, equals, where = text.partition("=")
        if not equals or not where or not re.fullmatch(r"[a-z](?:[a-z0-9-]{0,29}[a-z0-9])?", name):
            raise SpecError(f'vendor "{text}" is incomplete', remedy="write NAME=IMAGE or NAME=FOLDER, the name in lower case")
        if name in known or name in found:
            raise SpecError(f'--vendor: the name "{name}" is taken', remedy="give it another name")
        found[name] = _open(name, where, root, known, runtime)
    return found


def _open(name: str, where: str, root: Path, known: Mapping[str, Vendor], runtime: Runtime) -> External:
    folder = Path(where).resolve() if Path(where).is_dir() else None
    if folder and not (folder / "Dockerfile").is_file():
        raise ImageError(f"--vendor {name}: no Dockerfile in {folder}", remedy="name a folder that has one, or an image")
    if folder and (folder / "vendor.yaml").is_file():
        return External(_named(validated(read_document(folder / "vendor.yaml"), Vendor), name), where, folder=folder)
    engine = DockerImages(require_engine().address)
    reference = _build(name, folder, root, known) if folder else where
    digest = engine.find(reference) or _pull(engine, reference, name)
    vendor = _from_image(runtime, name, digest, reference) or _from_hello(runtime, root, name, digest, reference)
    return External(vendor, where, digest, folder)


def _build(name: str, folder: Path, root: Path, known: Mapping[str, Vendor]) -> str:
    """The tag of a folder that has no manifest."""
    shared = tuple(path.name for path in sorted((root / "images" / "shared").iterdir()) if path.is_dir())
    own = ImageSource(name, "1", folder, "trixie", shared=shared, shared_root=root / "images" / "shared")
    return ensure_images([*image_sources(root, known), own], only=[own.key], state=root / ".siplab")[own.key]


def _pull(engine: DockerImages, reference: str, name: str) -> str:
    try:
        engine.pull(reference, PULL_WITHIN)
        digest = engine.find(reference)
    except RegistryUnreachable as error:
        what = f"--vendor {name}: no image {reference} on the engine, and it cannot be pulled: {error}"
        raise ImageError(what, remedy="check its name, or docker load it") from error
    if digest is None:
        raise ImageError(f"--vendor {name}: {reference} was pulled and is not there", remedy="run `siplab doctor`")
    return digest


def _named(vendor: Vendor, name: str) -> Vendor:
    return vendor.model_copy(update={"name": name})


def _from_image(runtime: Runtime, name: str, digest: str, reference: str) -> Vendor | None:
    """The manifest that the image brings, or None."""
    identity = Identity()
    handle = runtime.create(ContainerSpec(name=identity.name("manifest"), image=digest, labels=identity.labels()))
    try:
        files = runtime.fetch(handle, MANIFEST)
    except RuntimeFault:
        return None  # it has none
    finally:
        remove_lab(runtime, identity.selector)
    text = next(iter(files.values())).decode("utf-8", "replace")
    vendor = _named(validated(parse_document(text, f"{reference}:{MANIFEST}"), Vendor), name)
    if vendor.files or any(part.files for part in vendor.in_role.values()):
        raise SpecError(f"{reference}: its manifest has templates (files)", remedy="an image brings its files itself: leave them out")
    return vendor


def _from_hello(runtime: Runtime, root: Path, name: str, digest: str, reference: str) -> Vendor:
    """The manifest that follows from what the agent says of itself; asked once per image."""
    cache = root / ".siplab" / "hello" / f"{digest.removeprefix('sha256:')[:24]}.json"
    if cache.is_file():
        hello = json.loads(cache.read_text())
    else:
        hello = _hello(runtime, name, digest)
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.write_text(json.dumps(hello))
    return _manifest(name, hello, reference)


def _manifest(name: str, hello: Mapping[str, Any], reference: str) -> Vendor:
    flavour = re.sub(r"[^A-Za-z0-9._-]+", "-", str(hello.get("version", ""))).strip("-._")[:40] or "1"
    document = {
        "schema": 1,
        "name": name,
        "title": f"{hello.get('vendor')} {hello.get('version')} ({reference})",
        "roles": [ROLE],
        "default": flavour,
        "flavours": {flavour: {"base": "trixie"}},
        "supports": hello.get("capabilities", []),
        "ready": {"agent": True},
        "memory_mb": 256,
        "pids": 128,
    }
    return validated(parse_document(json.dumps(document), f"hello of {reference}"), Vendor)


def _hello(runtime: Runtime, name: str, digest: str) -> dict[str, Any]:
    """Start it once, on a sealed network of its own, and ask."""
    identity = Identity()
    try:
        (lease,) = lease_networks(runtime, identity, ["internet"])
        ipv4, ipv6 = lease.spec.ipv4, lease.ipv6
        assert ipv6 is not None
        place = Attachment(lease.spec.name, str(ipv4[20]), str(ipv6[20]))
        element = Element(
            name,
            ROLE,
            name,
            "1",
            (Interface("internet", ipv4[20], ipv6[20]),),
            f"{name}.siplab.example",
            tone_hz=440,
        )
        spec = ContainerSpec(
            name=identity.name(name), image=digest, networks=(place,), labels=identity.labels(element=name), stdin=True, memory_mb=256
        )
        handle = runtime.create(spec)
        config = agent_json(element, (str(ipv4[10]),), keylog=False).encode()
        runtime.put(handle, {"/etc/siplab/agent.json": FileContent(config), f"{TLS_DIR}/ca.pem": FileContent(Authority().root)})
        client = AgentClient(name, runtime.attach(handle))
        runtime.start(handle)
        try:
            return client.request("hello", within=HELLO_WITHIN)
        finally:
            client.close()
    finally:
        remove_lab(runtime, identity.selector)
