import torch.nn as nn

ACTIVATION = nn.Tanh
RECORDS = 200
