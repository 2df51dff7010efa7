"""The network: a transformer that sees only what came before. B is the batch, C the context, W the width, A the alphabet."""

import torch
from torch import nn
from torch.nn import functional


class Attention(nn.Module):
    """Every character looks at those before it: (B, C, W) to (B, C, W)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.project = nn.Linear(width, 3 * width, bias=False)
        self.mix = nn.Linear(width, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, context, width = x.shape
        parts = self.project(x).view(batch, context, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        query, key, value = parts  # each (B, heads, C, W / heads)
        dropout = self.dropout if self.training else 0.0
        seen = functional.scaled_dot_product_attention(query, key, value, is_causal=True, dropout_p=dropout)
        return self.mix(seen.transpose(1, 2).reshape(batch, context, width))


class Block(nn.Module):
    """Look around, then think: (B, C, W) to (B, C, W)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.before_looking = nn.LayerNorm(width)
        self.look = Attention(width, heads, dropout)
        self.before_thinking = nn.LayerNorm(width)
        self.think = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.Dropout(dropout))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.look(self.before_looking(x))
        return x + self.think(self.before_thinking(x))


class CharacterModel(nn.Module):
    """Scores for the next character at every place: (B, C) long to (B, C, A)."""

    def __init__(self, alphabet: int, context: int, width: int, heads: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.characters = nn.Embedding(alphabet, width)
        self.places = nn.Embedding(context, width)
        self.blocks = nn.Sequential(*(Block(width, heads, dropout) for _ in range(layers)))
        self.last = nn.LayerNorm(width)
        self.scores = nn.Linear(width, alphabet, bias=False)
        self.scores.weight = self.characters.weight  # a character is written as it is read
        nn.init.normal_(self.characters.weight, std=0.02)
        nn.init.normal_(self.places.weight, std=0.02)

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        x = self.characters(codes) + self.places(torch.arange(codes.shape[1], device=codes.device))
        return self.scores(self.last(self.blocks(x)))
