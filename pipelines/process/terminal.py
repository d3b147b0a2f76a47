"""How text and tables are laid out on stdout: by rich on a terminal, as plain lines elsewhere.

On a terminal, tables keep to its width and may have colours; NO_COLOR and TERM=dumb switch those
off. In a pipe or a file a row is one line of any length, without colours and trailing spaces.
Nothing is ever cut off.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO

import click
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

UNLIMITED = 100_000  # columns of a pipe: no row is as long
MIN_COLUMNS = 40  # a narrower terminal breaks the lines itself


def table(
    rows: Iterable[Sequence[str | Text]],
    *,
    numbers: Sequence[int] = (),
    indent: int = 2,
    gap: int = 2,
) -> RenderableType:
    """Return a table without lines; `numbers` are the columns that are aligned to the right.

    The cells are never read as markup: a name in brackets is a name.
    """
    grid = Table.grid(padding=(0, gap))
    for row in rows:
        if not grid.columns:
            for at in range(len(row)):
                grid.add_column(justify="right" if at in numbers else "left", overflow="fold")
        grid.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    return Padding(grid, (0, 0, 0, indent))


def as_lines(parts: Iterable[RenderableType]) -> list[str]:
    """Return the lines of a pipe: plain, a row each."""
    return list(_lines(parts, _console(UNLIMITED, is_terminal=False)))


def unbroken(text: str) -> Text:
    """Return a text that is never wrapped: a command or an address to copy."""
    return Text(text, no_wrap=True, overflow="ignore")


def print_parts(parts: Iterable[RenderableType]) -> None:
    """Print texts and tables to stdout."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    if is_terminal:
        width = max(MIN_COLUMNS, Console(file=sys.stdout).width)
        lines: Iterable[str] = _lines(parts, _console(width, is_terminal=True))
    else:
        lines = as_lines(parts)
    for line in lines:
        click.echo(line)


def _console(width: int, *, is_terminal: bool) -> Console:
    """Return a console that writes nowhere: its output is captured."""
    return Console(
        file=StringIO(),
        width=width,
        force_terminal=is_terminal,
        # rich alone would keep bold letters.
        color_system=None if os.environ.get("NO_COLOR") else "auto",
        # Names of owners and rules are no markup, and ":smile:" in one stays as it is.
        markup=False,
        emoji=False,
        highlight=False,
    )


def _lines(parts: Iterable[RenderableType], console: Console) -> Iterator[str]:
    for part in parts:
        with console.capture() as captured:
            console.print(part, soft_wrap=isinstance(part, Text) and bool(part.no_wrap))
        # rich fills the last column with spaces.
        yield from (line.rstrip() for line in captured.get().removesuffix("\n").split("\n"))
