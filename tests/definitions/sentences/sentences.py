"""Short questions and statements, made of a few words each."""

import itertools

import torch
from torch.utils.data import Dataset

STATEMENTS = [
    f"the {who} {does} the {what}."
    for who, does, what in itertools.product(["cat", "dog", "sun"], ["sees", "likes"], ["bird", "moon", "sea", "tree", "hill"])
]
QUESTIONS = [
    f"does the {who} {do} the {what}?"
    for who, do, what in itertools.product(["cat", "dog", "sun"], ["see", "like"], ["bird", "moon", "sea", "tree", "hill"])
]


class Sentences(Dataset):
    """Items are dicts: the text, its characters' codes and whether it is a question."""

    def __init__(self, offset: int, stride: int):
        both = [(text, 0) for text in STATEMENTS] + [(text, 1) for text in QUESTIONS]
        mixed = [both[(7 * index) % len(both)] for index in range(len(both))]
        self.items = mixed[offset::stride]

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        text, label = self.items[index]
        return {"text": text, "label": label, "source": {"line": index, "name": f"sentence {index}"}}


def collate(items):
    """Pad the codes of a batch to its longest text; texts and names stay lists of strings."""
    longest = max(len(item["text"]) for item in items)
    codes = torch.zeros(len(items), longest, dtype=torch.long)
    for row, item in enumerate(items):
        codes[row, : len(item["text"])] = torch.tensor([ord(character) for character in item["text"]])
    return {
        "text": [item["text"] for item in items],
        "codes": codes,
        "label": torch.tensor([item["label"] for item in items]),
        "source": {"line": [item["source"]["line"] for item in items], "name": [item["source"]["name"] for item in items]},
    }
