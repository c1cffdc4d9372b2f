"""The manifests of a target, each of which is read once as long as its store says that it is the same."""

from __future__ import annotations

from collections.abc import Mapping

from byjy_events.backup import manifest as manifests
from byjy_events.backup.manifest import MANIFEST, Manifest, is_name
from byjy_events.backup.target import FileInfo, Target
from byjy_events.backup.workplace import said

TOO_LONG = "its manifest is damaged: it is too long"


class ManifestReader:
    """Reads manifests, and remembers those whose files have a tag."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._known: Mapping[str, tuple[FileInfo, Manifest]] = {}

    def read(self, files: Mapping[str, FileInfo]) -> dict[str, Manifest | str]:
        """By the name of the backup; a text says why there is none that can be used.

        Raises:
            FolderUnusable: the target cannot be read.
        """
        listed = _listed(files)
        known = self._known
        found: dict[str, Manifest | str] = {
            name: known[name][1]
            for name, file in listed.items()
            if file.tag and name in known and known[name][0] == file
        }
        found |= {name: TOO_LONG for name, file in listed.items() if file.size > manifests.LONGEST_BYTES}
        texts = self._target.read_all(name + MANIFEST for name in listed.keys() - found.keys())
        found |= {
            file.removesuffix(MANIFEST): _parsed(file.removesuffix(MANIFEST), text) for file, text in texts.items()
        }
        self._known = {name: (listed[name], one) for name, one in found.items() if isinstance(one, Manifest)}
        return found


def _listed(files: Mapping[str, FileInfo]) -> dict[str, FileInfo]:
    names = {file.removesuffix(MANIFEST): info for file, info in files.items() if file.endswith(MANIFEST)}
    return {name: info for name, info in names.items() if is_name(name)}


def _parsed(name: str, text: bytes | OSError) -> Manifest | str:
    if isinstance(text, OSError):
        return said(text)
    try:
        return manifests.read(name, text)
    except ValueError as error:
        return str(error)
