"""Manifests as the later stages want them: what to build, what to render."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from lab.render.vendor import Vendor as RenderVendor
from lab.runtime.image_source import ImageSource, Key
from lab.spec.vendor import Vendor

HELPER = "helper"
"""The image of the one container per lab that seals and captures."""

NOWHERE: Mapping[str, Path] = {}


def image_sources(root: Path, vendors: Mapping[str, Vendor], folders: Mapping[str, Path] = NOWHERE) -> list[ImageSource]:
    """Every flavour of every vendor and tool as something to build; `folders` are those of vendors from outside."""
    return [
        ImageSource(
            name=vendor.name,
            flavour=name,
            folder=folders.get(vendor.name, root / "images" / vendor.name),
            base=flavour.base,
            args=flavour.args,
            shared=vendor.shared,
            shared_root=root / "images" / "shared",
            sources={path: root / path for path in vendor.sources},
            needs=vendor.needs,
            wheels=vendor.wheels,
            sdists=vendor.sdists,
            default=name == vendor.default,
        )
        for vendor in vendors.values()
        for name, flavour in vendor.flavours.items()
    ]


def render_vendors(root: Path, vendors: Mapping[str, Vendor], folders: Mapping[str, Path] = NOWHERE) -> dict[str, RenderVendor]:
    """The part of the manifests that rendering reads."""
    return {
        vendor.name: _render_vendor(
            vendor,
            folders.get(vendor.name, root / "images" / vendor.name),
            {role: vendor.playing(role) for role in vendor.in_role},
        )
        for vendor in vendors.values()
    }


def _render_vendor(vendor: Vendor, folder: Path, in_role: Mapping[str, Vendor]) -> RenderVendor:
    return RenderVendor(
        name=vendor.name,
        folder=folder,
        files=vendor.files,
        environment=vendor.environment,
        command=vendor.command,
        capabilities=vendor.capabilities,
        agent=bool(vendor.ready.agent),
        keylog=vendor.keylog,
        sysctls=vendor.sysctls,
        memory_mb=vendor.memory_mb,
        pids=vendor.pids,
        in_role={role: _render_vendor(part, folder, {}) for role, part in in_role.items()},
    )


def image_keys(vendors: Mapping[str, Vendor], selections: Iterable[tuple[str, str]]) -> list[Key]:
    """Images that a pairing needs: those of its (vendor, flavour) selections, and the helper."""
    return [*dict.fromkeys(selections), (HELPER, vendors[HELPER].default)]
