"""Files in JSON lines: read with line numbers, written whole or not at all."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from shared.errors import UserError, reason


def read_text(path: Path) -> str:
    """A file's text, with or without a byte order mark.

    Raises:
        UserError: it can't be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as UTF-8 text: {reason(error)}") from None


def read_jsonl(path: Path, texts: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line numbers and objects. Only line feeds end a line, since texts may hold U+2028 and the like.

    Raises:
        UserError: as in `read_text`, or a line is not a JSON object, or one of `texts` in it is no text.
    """
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            why = error.msg if isinstance(error, json.JSONDecodeError) else reason(error)
            raise UserError(f"{path}:{number} is not JSON ({why}): one object a line") from None
        if not isinstance(found, dict):
            raise UserError(f"{path}:{number} is not a JSON object: one object a line")
        if wrong := [name for name in texts if not isinstance(found.get(name), str)]:
            raise UserError(f"{path}:{number}: {wrong[0]} must be a text; a line holds {', '.join(texts)}")
        yield number, found


def digest(values: Iterable[Any], *, sort_keys: bool = False) -> str:
    """A short hash of JSON values, kept with what was trained on them."""
    sha = hashlib.sha256()
    for each in values:
        sha.update(json.dumps(each, ensure_ascii=False, sort_keys=sort_keys).encode())
    return sha.hexdigest()[:12]


def write_splits(out: Path, splits: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Write each split that has rows as `out`/SPLIT.jsonl; returns their numbers, fingerprints and files.

    Raises:
        UserError: the file of one of the splits exists already, or can't be written.
    """
    paths = {split: out / f"{split}.jsonl" for split in splits}
    for path in paths.values():
        if path.exists():
            raise UserError(f"{path} exists already: name another folder with --out")
    written = {split: rows for split, rows in splits.items() if rows}
    for split, rows in written.items():
        write_rows(paths[split], rows)
    return {
        split: {"rows": len(rows), "fingerprint": digest(rows, sort_keys=True), "file": str(paths[split])}
        for split, rows in written.items()
    }


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON lines, whole or not at all, in a folder that is made if need be.

    Raises:
        UserError: the file can't be written.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", encoding="utf-8", newline="") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        partial.replace(path)
    except OSError as error:
        if partial.exists():
            partial.unlink()
        raise UserError(f"cannot write {path}: {error.strerror}") from None
