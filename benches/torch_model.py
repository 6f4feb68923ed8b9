"""A job's model as PyTorch's `nn.Sequential` of the same layers, from the canonical job as JSON (`job` of
`trainyard checkpoint show --json`). Its state dict has the names of `trainyard checkpoint export --format safetensors`.

What PyTorch has no module for is a subclass that changes forward alone.
"""

from collections import OrderedDict

import torch
from torch import nn


class GlobalAvgPool2d(nn.AdaptiveAvgPool2d):
    """(N, C, H, W) to (N, C)."""

    def __init__(self):
        super().__init__(1)

    def forward(self, x):
        return super().forward(x).flatten(1)


class GlobalMaxPool2d(nn.AdaptiveMaxPool2d):
    """(N, C, H, W) to (N, C)."""

    def __init__(self):
        super().__init__(1)

    def forward(self, x):
        return super().forward(x).flatten(1)


class MaxOverTime(nn.Module):
    """(N, T, F), all of one length, to (N, F)."""

    def forward(self, x):
        return x.amax(1)


class Residual(nn.Sequential):
    """The sum of two branches: the modules but `projection`, and that one, or nothing."""

    def forward(self, x):
        branches = dict(self.named_children())
        projection = branches.pop("projection", None)
        y = x
        for module in branches.values():
            y = module(y)
        return y + (x if projection is None else projection(x))


class AllSteps:
    """A recurrent module whose output is the hidden state of every step."""

    def forward(self, x):
        return super().forward(x)[0]


class LastStep:
    """A recurrent module whose output is the last hidden state of each direction."""

    def forward(self, x):
        hidden = super().forward(x)[1]
        hidden = hidden[0] if isinstance(hidden, tuple) else hidden
        directions = 2 if self.bidirectional else 1
        return hidden[-directions:].transpose(0, 1).flatten(1)


class MeanStep:
    """A recurrent module whose output is the mean of the hidden states of all steps."""

    def forward(self, x):
        return super().forward(x)[0].mean(1)


def recurrent(value, features):
    """A subclass of PyTorch's module that changes `forward` alone. Samples are (N, T, F), all of one length."""
    cell = value["cell"]
    base = {"lstm": nn.LSTM, "gru": nn.GRU}.get(cell if isinstance(cell, str) else "", nn.RNN)
    output = {"all": AllSteps, "last": LastStep, "mean": MeanStep}[value["output"]]
    settings = {key: value[key] for key in ("bidirectional", "dropout", "bias")}
    if base is nn.RNN:
        settings["nonlinearity"] = cell["rnn"]
    kind = type(output.__name__ + base.__name__, (output, base), {})
    return kind(features, value["hidden"], num_layers=value["layers"], batch_first=True, **settings)


def pair(value):
    return value["h"], value["w"]


def activation(value):
    kind, settings = (value, {}) if isinstance(value, str) else next(iter(value.items()))
    return {
        "gelu": lambda: nn.GELU(approximate="tanh" if settings == "tanh" else "none"),
        "silu": nn.SiLU,
        "tanh": nn.Tanh,
        "sigmoid": nn.Sigmoid,
        "leaky_relu": lambda: nn.LeakyReLU(settings["slope"]),
        "elu": lambda: nn.ELU(settings["alpha"]),
        "softplus": nn.Softplus,
        "hardtanh": nn.Hardtanh,
        "logsigmoid": nn.LogSigmoid,
    }[kind]()


class Reader:
    """Makes the modules of layers, each on samples as they come out of the one before."""

    def __init__(self, classes, vocabulary):
        self.classes = classes
        self.vocabulary = vocabulary
        self.named = {}

    def size(self, size):
        known = {"classes": self.classes, "vocabulary": self.vocabulary}
        return known[size] if isinstance(size, str) else size["count"]

    def module(self, kind, value, x):
        """One layer on the values `x`: (N, ...sample)."""
        shape = x.shape[1:]
        if self.vocabulary and x.ndim == 3:
            # Of a sequence, one step.
            shape = shape[1:]
        if kind == "linear":
            linear = nn.Linear(shape[-1], self.size(value["units"]), bias=value["bias"])
            if value.get("tied"):
                linear.weight = self.named[value["tied"]].weight
            return linear
        if kind == "conv2d":
            window = (pair(value[key]) for key in ("kernel", "stride", "padding", "dilation"))
            return nn.Conv2d(shape[0], value["filters"], *window, groups=value["groups"], bias=value["bias"])
        if kind == "max_pool2d":
            return nn.MaxPool2d(*(pair(value[key]) for key in ("kernel", "stride", "padding")))
        if kind == "avg_pool2d":
            return nn.AvgPool2d(*(pair(value[key]) for key in ("kernel", "stride", "padding")))
        if kind == "global_avg_pool":
            return GlobalAvgPool2d()
        if kind == "global_max_pool":
            return MaxOverTime() if self.vocabulary else GlobalMaxPool2d()
        if kind == "batch_norm":
            norm = nn.BatchNorm1d if len(shape) == 1 else nn.BatchNorm2d
            return norm(shape[0], eps=value["eps"], momentum=value["momentum"])
        if kind == "layer_norm":
            return nn.LayerNorm(shape, eps=value["eps"], elementwise_affine=value["affine"])
        if kind == "group_norm":
            return nn.GroupNorm(value["groups"], shape[0], eps=value["eps"], affine=value["affine"])
        if kind == "relu":
            return nn.ReLU()
        if kind == "activation":
            return activation(value)
        if kind == "softmax":
            return nn.Softmax(-1)
        if kind == "log_softmax":
            return nn.LogSoftmax(-1)
        if kind == "flatten":
            return nn.Flatten()
        if kind == "dropout":
            return nn.Dropout(value["rate"])
        if kind == "embedding":
            return nn.Embedding(self.vocabulary, value["size"], padding_idx=value["padding_index"])
        if kind == "recurrent":
            return recurrent(value, shape[-1])
        if kind == "residual":
            modules = Residual(OrderedDict(self.sequential(value["layers"], x)[0].named_children()))
            if value["projection"]:
                modules.add_module("projection", self.sequential(value["projection"], x)[0])
            return modules
        if kind == "repeat":
            modules = nn.Sequential()
            for time in range(value["times"]):
                inside, x = self.sequential(value["layers"], x)
                modules.add_module(str(time), inside)
            return modules
        raise SystemExit(f"no layer {kind} here")

    def sequential(self, layers, x):
        """The layers as one module, and what comes out of it for `x`."""
        modules = nn.Sequential()
        for number, layer in enumerate(layers):
            kind, value = next((key, value) for key, value in layer.items() if key != "name")
            module = self.module(kind, value, x).eval()
            name = layer.get("name", str(number))
            modules.add_module(name, module)
            self.named[name] = module
            x = module(x)
        return modules, x


def build(job, data):
    """The module of a canonical job on the facts of its data: `shape`, `classes` and `tokens` as a checkpoint has them."""
    tokens = data.get("tokens") or {}
    x = torch.zeros(2, 3, dtype=torch.long) if tokens else torch.zeros(2, *data["shape"])
    reader = Reader(len(data["classes"]), tokens.get("vocabulary"))
    with torch.no_grad():
        modules, _ = reader.sequential(job["model"]["layers"], x)
    return modules.eval()
