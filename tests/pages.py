"""Pieces of a page: blocks of code whose first line says into which file they go."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Piece:
    """A block of the page. `where`: before or after the first line `line` of the file, or ""."""

    section: str
    path: str
    where: str
    line: str
    content: str

    def put(self, folder: Path) -> None:
        """Insert it, or append it where no line is named."""
        file = folder / self.path
        before = file.read_text() if file.is_file() else ""
        if not self.where:
            file.parent.mkdir(parents=True, exist_ok=True)
            gap = "\n\n" if before and file.suffix != ".yaml" else ""
            file.write_text(before + gap + self.content)
            return
        lines = before.split("\n")
        place = lines.index(self.line) + (self.where == "after")
        file.write_text("\n".join([*lines[:place], self.content.rstrip("\n"), *lines[place:]]))


def pieces(text: str) -> Iterator[Piece]:
    """Of each section, in order."""
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title = section.splitlines()[0]
        for head, content in re.findall(r"^```\w+ (.+)\n((?:.*\n)*?)```$", section, re.MULTILINE):
            path, where, line = re.fullmatch(r"(\S+)(?: (before|after) (.*))?", head).groups()
            yield Piece(title, path, where or "", line or "", content)
