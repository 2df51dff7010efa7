from .blocks import make_network

__all__ = ["make_network"]
