"""The last good cache of a dataset, under a second name.

Snakemake deletes what a job has written before the job starts again, and once more if it fails. So
when an unreadable image is added, the cache of all other images would be gone, and would be decoded
anew when that image is removed. Hard links in a hidden folder outlive this, and take no space.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dualad.fingerprints import folder_fingerprint, source_fingerprint


class KeptCache:
    """Second names of a dataset's two files, and what they were made from.

    Parameters
    ----------
    h5_path, json_path
        The files as the workflow knows them.
    root
        The images' folder or file.
    settings
        What else decides about the files' content.
    """

    def __init__(
        self, h5_path: Path, json_path: Path, root: Path, settings: Mapping[str, Any]
    ) -> None:
        folder = h5_path.parent / ".kept"
        self._files = {h5_path: folder / h5_path.name, json_path: folder / json_path.name}
        self._record = folder / f"{h5_path.stem}.made_from"
        made_from = [folder_fingerprint(root), source_fingerprint("dualad.data.cache"), settings]
        self._key = json.dumps(made_from, sort_keys=True)

    def keep(self) -> None:
        """Give the files their second names; nothing is kept where the disk has no hard links."""
        with suppress(OSError):
            self._record.parent.mkdir(exist_ok=True)
            self._record.unlink(missing_ok=True)
            for path, kept in self._files.items():
                kept.unlink(missing_ok=True)
                os.link(path, kept)
            self._record.write_text(self._key + "\n" + self._digests())

    def restore(self) -> bool:
        """Put the files back if they are whole and would be made from the same again."""
        with suppress(OSError):
            if self._record.read_text() == self._key + "\n" + self._digests():
                for path, kept in self._files.items():
                    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
                    os.link(kept, temporary)
                    os.replace(temporary, path)
                    # Replacing a name of a file by another name of it does nothing.
                    temporary.unlink(missing_ok=True)
                return True
        return False

    def _digests(self) -> str:
        digests = []
        for kept in self._files.values():
            with kept.open("rb") as file:
                digests.append(hashlib.file_digest(file, "sha256").hexdigest())
        return " ".join(digests)
