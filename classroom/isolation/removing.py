"""Deletes a folder in which a submission may have made anything. Used by keeper.py, too."""

import subprocess
from pathlib import Path

OPEN = (
    "-type d ! -perm -700 -execdir chmod u+rwx {} ;"  # folders only: a file may have another name elsewhere
)


def remove(folder: Path) -> None:
    """Delete a folder, even if parts of it are closed, or so deep that Python's own way fails."""
    for command in (["find", folder, *OPEN.split()], ["rm", "-rf", "--", folder]):
        subprocess.run(command, stderr=subprocess.DEVNULL)
