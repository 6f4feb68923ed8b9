"""PyTorch's side of `cargo xtask torch`: the same network as a job file, on the CPU.

make JOB.toml INPUT CLASSES FILE       write initial parameters and 20 batches, for both sides
run  JOB.toml INPUT CLASSES FILE THREADS default|channels_last
                                       say as one JSON line how the first steps went and what memory they took, then
                                       answer each line on stdin, a number of seconds, with the samples per second of
                                       whole training steps

INPUT is the shape of a sample, as 3x32x32, or how many tokens one has, as 64tokens: then CLASSES is the vocabulary, every
token's target is the next one, and batches are (steps, samples).
"""

import json
import re
import sys
import time
import tomllib

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import cross_entropy

BATCHES = 20


def resident(key):
    """Bytes that the process has in memory now (VmRSS), or had at most (VmHWM)."""
    with open("/proc/self/status") as file:
        return 1024 * int(re.search(rf"^{key}:\s*(\d+) kB", file.read(), re.MULTILINE)[1])


def forget_peak():
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def read(path):
    with open(path, "rb") as file:
        return tomllib.load(file)


class States(nn.LSTM):
    """An LSTM in a Sequential: the hidden states of all steps."""

    def forward(self, x):
        return super().forward(x)[0]


def entries(job):
    """Name, kind and values of each layer."""
    for number, layer in enumerate(job["model"]["layers"]):
        layer = {layer: {}} if isinstance(layer, str) else layer
        kind, value = next((key, value) for key, value in layer.items() if key != "name")
        yield layer.get("name", str(number)), kind, value


def sequences(job, vocabulary):
    """The job's layers on tokens as a Sequential."""
    layers, features = nn.Sequential(), None
    for name, kind, value in entries(job):
        if kind == "embedding":
            module, features = nn.Embedding(vocabulary, value), value
        elif kind == "lstm":
            value = value if isinstance(value, dict) else {"hidden": value}
            module = States(features, value["hidden"], value.get("layers", 1))
            features = value["hidden"]
        elif kind == "linear":
            module = nn.Linear(features, vocabulary if value == "vocabulary" else value)
        else:
            sys.exit(f"no layer {kind} of sequences here")
        layers.add_module(name, module)
    return layers


def network(job, shape, classes):
    """The job's layers as a Sequential, each under the layer's name or number."""
    if shape[0] == "tokens":
        return sequences(job, classes)
    layers = nn.Sequential()
    for name, kind, value in entries(job):
        if kind == "conv2d":
            defaults = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
            window = (value.get(key, default) for key, default in defaults.items())
            module = nn.Conv2d(shape[0], value["filters"], value["kernel"], *window)
        elif kind == "max_pool2d":
            module = nn.MaxPool2d(value)
        elif kind == "batch_norm":
            module = nn.BatchNorm2d(shape[0]) if len(shape) == 3 else nn.BatchNorm1d(shape[0])
        elif kind == "linear":
            module = nn.Linear(shape[0], classes if value == "classes" else value)
        elif kind == "relu":
            module = nn.ReLU()
        elif kind == "flatten":
            module = nn.Flatten()
        else:
            sys.exit(f"no layer {kind} here")
        layers.add_module(name, module)
        # As in evaluation, so that no statistics run along.
        shape = module.eval()(torch.zeros(1, *shape)).shape[1:]
        module.train()
    return layers


def optimizer(job, parameters):
    (kind, value), = job["training"]["optimizer"].items()
    if kind == "sgd":
        return torch.optim.SGD(parameters, lr=value["lr"], momentum=value.get("momentum", 0.0))
    return torch.optim.Adam(parameters, lr=value["lr"])


def make(job, shape, classes, path):
    torch.manual_seed(1)
    tensors = {name: tensor.detach().clone() for name, tensor in network(job, shape, classes).named_parameters()}
    if shape[0] == "tokens":
        steps, samples = shape[1], job["training"]["batch_size"]
        for number in range(BATCHES):
            # Half of the tokens follow from the one before, so that there is something to learn.
            tokens = torch.randint(classes, (steps + 1, samples))
            for step in range(steps):
                follows = torch.rand(samples) < 0.5
                tokens[step + 1] = torch.where(follows, (7 * tokens[step] + 1) % classes, tokens[step + 1])
            tensors[f"batch.{number}.x"] = tokens[:-1].clone()
            tensors[f"batch.{number}.labels"] = tokens[1:].clone()
        return save_file(tensors, path)
    # Each class has a picture of its own under noise, so that the loss falls within a few steps.
    pictures = torch.rand(classes, *shape) * 2 - 1
    for number in range(BATCHES):
        labels = torch.randint(classes, (job["training"]["batch_size"],))
        tensors[f"batch.{number}.x"] = (pictures[labels] + torch.rand(len(labels), *shape) * 2 - 1) / 2
        tensors[f"batch.{number}.labels"] = labels
    save_file(tensors, path)


class Side:
    def __init__(self, job, shape, classes, path, layout):
        self.job = job
        self.tensors = load_file(path)
        self.format = torch.channels_last if layout == "channels_last" else torch.contiguous_format
        self.samples = job["training"]["batch_size"]
        self.batches = [
            (
                self.tensors[f"batch.{number}.x"].contiguous(memory_format=self.format),
                self.tensors[f"batch.{number}.labels"],
            )
            for number in range(BATCHES)
        ]
        forget_peak()
        self.before = resident("VmRSS")
        self.layers = network(job, shape, classes).to(memory_format=self.format)
        self.reset()

    def reset(self):
        with torch.no_grad():
            for name, parameter in self.layers.named_parameters():
                parameter.copy_(self.tensors[name])
        for module in self.layers.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.reset_running_stats()
        self.optimizer = optimizer(self.job, self.layers.parameters())

    def loss(self, x, labels):
        return cross_entropy(self.layers(x).flatten(0, labels.dim() - 1), labels.flatten())

    def step(self, number):
        x, labels = self.batches[number % BATCHES]
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(x, labels)
        loss.backward()
        self.optimizer.step()
        return loss

    def first_steps(self):
        self.reset()
        losses = [self.step(number).item() for number in range(BATCHES)]
        x, labels = self.batches[0]
        memory = resident("VmHWM") - self.before
        self.layers.eval()
        with torch.no_grad():
            after = self.loss(x, labels).item()
        self.layers.train()
        return {"version": torch.__version__, "losses": losses, "loss_after": after, "memory_bytes": memory}

    def rate(self, seconds):
        self.reset()
        for number in range(5):
            self.step(number)
        started, steps = time.perf_counter(), 0
        while time.perf_counter() - started < seconds:
            self.step(steps)
            steps += 1
        took = time.perf_counter() - started
        return {"samples_per_s": steps * self.samples / took}


def main():
    command, job, shape, classes, path, *rest = sys.argv[1:]
    tokens = re.fullmatch(r"(\d+)tokens", shape)
    shape = ("tokens", int(tokens[1])) if tokens else tuple(map(int, shape.split("x")))
    job, classes = read(job), int(classes)
    if command == "make":
        make(job, shape, classes, path)
        return
    threads, layout = rest
    torch.set_num_threads(int(threads))
    side = Side(job, shape, classes, path, layout)
    print(json.dumps(side.first_steps()), flush=True)
    for line in sys.stdin:
        print(json.dumps(side.rate(float(line))), flush=True)


main()
