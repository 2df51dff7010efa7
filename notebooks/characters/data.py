"""The data: the language reference that every Python brings along, as `help("topics")` shows it; 400,000 characters of English."""

import re
from pydoc_data.topics import topics

import torch
from torch.utils.data import Dataset


def read_text() -> str:
    """Return all topics, one after the other, without their tables and with no more than four spaces in a row."""
    text = "\n\n".join(topics[name] for name in sorted(topics))
    lines = [line for line in text.splitlines() if not line.lstrip().startswith(("|", "+-", "+="))]
    return re.sub(" {5,}", "    ", "\n".join(lines))


class Alphabet:
    """The characters of a text, and a number for each."""

    def __init__(self, text: str) -> None:
        self.characters = sorted(set(text))
        self._numbers = {character: number for number, character in enumerate(self.characters)}

    def __len__(self) -> int:
        return len(self.characters)

    def encode(self, text: str) -> torch.Tensor:
        """Return the numbers of the characters, (N,) long; what the alphabet lacks is left out."""
        return torch.tensor([self._numbers[character] for character in text if character in self._numbers], dtype=torch.long)

    def decode(self, numbers: torch.Tensor) -> str:
        """Return the text of (N,) numbers."""
        return "".join(self.characters[number] for number in numbers.tolist())


class Excerpts(Dataset):
    """Pieces of a text and what follows each of their characters, (C,) and (C,) long.

    With ``shift`` a piece begins anywhere up to C characters further on, another place every time it is drawn.
    """

    def __init__(self, codes: torch.Tensor, context: int, *, shift: bool) -> None:
        self.codes = codes
        self.context = context
        self.shift = shift

    def __len__(self) -> int:
        return (len(self.codes) - 1) // self.context - (1 if self.shift else 0)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        start = index * self.context
        if self.shift:
            start += int(torch.randint(self.context, ()))
        return self.codes[start : start + self.context], self.codes[start + 1 : start + 1 + self.context]
