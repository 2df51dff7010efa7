from torch import nn

ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU, "sigmoid": nn.Sigmoid}


def make_network(hidden: int, activation: str, outputs: int, bias: bool) -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, hidden, bias=bias), ACTIVATIONS[activation](), nn.Linear(hidden, outputs, bias=bias))
