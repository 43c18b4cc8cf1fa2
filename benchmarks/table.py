"""A table that is shown line by line, as it is measured: in columns, or as Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of these widths, of which the first `texts` hold text and the others numbers."""

    widths: Sequence[int]
    texts: int
    is_markdown: bool = False

    def begin(self, headings: Sequence[str]) -> None:
        """Show what the columns are."""
        self.show(headings)
        if self.is_markdown:
            self.show(["---"] * self.texts + ["---:"] * (len(headings) - self.texts))

    def show(self, cells: Sequence[str]) -> None:
        """Show one line."""
        if self.is_markdown:
            print(f"| {' | '.join(cells)} |", flush=True)
            return
        columns = enumerate(zip(cells, self.widths, strict=True))
        padded = [f"{cell:{'<' if number < self.texts else '>'}{width}}" for number, (cell, width) in columns]
        print("  ".join(padded).rstrip(), flush=True)
