"""PyTorch's and onnxruntime's side of `cargo xtask torch export`.

rows   CxHxW CLASSES FILE      a CSV file of random samples with labels
sample FACTS.json FOLDER       random input: NAME.io.safetensors
make  FACTS.json FOLDER        a state dict with random values, input and logits, as PyTorch has them: NAME.safetensors and
                               NAME.io.safetensors
check FACTS.json FOLDER        read NAME.safetensors strictly and run it, and run NAME.onnx and NAME.preprocessed.onnx, all
                               on NAME.io.safetensors; say as one JSON line how far the logits are from NAME.logits, ours

FACTS.json is what `trainyard checkpoint show --json` prints, and `name`: `job`, `data` (shape, classes), `preprocessing`.
"""

import json
import sys
from pathlib import Path

import numpy
import onnx
import onnxruntime
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from torch_model import build

SAMPLES = 6
ROWS = 200


def inputs(facts):
    """Random samples; of tokens, rows of different lengths, the longest first, filled up with 0."""
    tokens = facts["data"].get("tokens")
    if not tokens:
        return {"input": torch.rand(SAMPLES, *facts["data"]["shape"]) * 4 - 2}
    longest = tokens["sequence_length"]
    lengths = torch.tensor([max(1, longest - number) for number in range(SAMPLES)])
    x = torch.randint(tokens["vocabulary"], (SAMPLES, longest))
    x[torch.arange(longest) >= lengths[:, None]] = 0
    return {"input": x, "lengths": lengths}


def run(model, io):
    """The logits of each sample by itself, so that nothing is filled up."""
    x, lengths = io["input"], io.get("lengths")
    with torch.no_grad():
        if lengths is None:
            return model(x).numpy()
        logits = [model(row[None, :length])[0].numpy() for row, length in zip(x, lengths.tolist())]
    return pack(logits, lengths.tolist())


def pack(logits, lengths):
    """The logits of samples; where each step has some, those of all samples' first steps, then of the second ones."""
    if logits[0].ndim == 1:
        return numpy.stack(logits)
    steps = ((step, sample) for step in range(max(lengths)) for sample, length in enumerate(lengths) if step < length)
    return numpy.stack([logits[sample][step] for step, sample in steps])


def graph_logits(session, x, lengths):
    """What a graph gives for all samples together, and for each alone, without what fills it up."""
    named = {given.name for given in session.get_inputs()}

    def given(rows, steps):
        feed = {"input": rows}
        if "lengths" in named:
            feed["lengths"] = numpy.asarray(steps, dtype=numpy.int32)
        return session.run(["logits"], feed)[0]

    if lengths is None:
        return given(x, None), numpy.concatenate([given(x[n : n + 1], None) for n in range(len(x))])
    alone = [given(x[n : n + 1, :length], [length])[0] for n, length in enumerate(lengths)]
    return pack(list(given(x, lengths)), lengths), pack(alone, lengths)


def make(facts, folder):
    torch.manual_seed(sum(map(ord, facts["name"])))
    model = build(facts["job"], facts["data"])
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith("running_mean"):
                tensor.uniform_(-0.5, 0.5)
            elif name.endswith("running_var"):
                tensor.uniform_(0.5, 2)
            elif tensor.is_floating_point():
                # Wider than the initial values, so that every function leaves the neighbourhood of 0.
                tensor.add_(torch.rand_like(tensor) - 0.5)
    io = inputs(facts)
    io["logits"] = torch.from_numpy(run(model, io))
    stem = str(Path(folder) / facts["name"])
    save_file({name: tensor.clone() for name, tensor in model.state_dict().items()}, f"{stem}.safetensors")
    save_file(io, f"{stem}.io.safetensors")


def sample(facts, folder):
    torch.manual_seed(1)
    save_file(inputs(facts), str(Path(folder) / f"{facts['name']}.io.safetensors"))


def rows(shape, classes, path):
    torch.manual_seed(1)
    labels = torch.arange(ROWS) % classes
    # Each class has a picture of its own under noise, so that there is something to learn.
    pictures = torch.rand(classes, *shape)
    values = (pictures[labels] + torch.rand(ROWS, *shape)).flatten(1)
    lines = (",".join(f"{value:.4f}" for value in row) + f",{label}" for row, label in zip(values.tolist(), labels))
    Path(path).write_text("\n".join(lines) + "\n")


def raw(facts, x):
    """What the preprocessing makes into `x`."""
    channels = (1, -1) + (1,) * (x.ndim - 2)
    shift, scale = (
        numpy.asarray(facts["preprocessing"][key], dtype=numpy.float64).reshape(channels) for key in ("shift", "scale")
    )
    return (x.astype(numpy.float64) / scale + shift).astype(numpy.float32)


def session(path):
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    return model, onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def check(facts, folder):
    stem = str(Path(folder) / facts["name"])
    io = load_file(f"{stem}.io.safetensors")
    x = io["input"].numpy()
    lengths = io["lengths"].tolist() if "lengths" in io else None
    model = build(facts["job"], facts["data"])
    model.load_state_dict(load_file(f"{stem}.safetensors"), strict=True)
    theirs = run(model, io)
    ours = numpy.fromfile(f"{stem}.logits", dtype="<f4").reshape(theirs.shape)
    far = {"torch": float(numpy.abs(theirs - ours).max())}
    with safe_open(f"{stem}.safetensors", "pt") as file:
        assert file.metadata()["format"] == "pt", file.metadata()
    for key, file, values in (
        ("onnx", f"{stem}.preprocessed.onnx", x),
        ("onnx_raw", f"{stem}.onnx", x if lengths else raw(facts, x)),
    ):
        described, runner = session(file)
        notes = {note.key: note.value for note in described.metadata_props}
        assert json.loads(notes["classes"]) == facts["data"]["classes"], notes
        # Any number of samples at once, and of steps.
        together, alone = graph_logits(runner, values, lengths)
        assert together.shape == ours.shape, together.shape
        far[key] = float(max(numpy.abs(together - ours).max(), numpy.abs(alone - ours).max()))
    versions = {"torch": torch.__version__, "onnxruntime": onnxruntime.__version__, "onnx": onnx.__version__}
    print(json.dumps({"name": facts["name"], "largest": float(numpy.abs(ours).max()), "far": far, "versions": versions}))


def main():
    command, *arguments = sys.argv[1:]
    if command == "rows":
        shape, classes, path = arguments
        rows(tuple(map(int, shape.split("x"))), int(classes), path)
        return
    facts, folder = arguments
    facts = json.loads(Path(facts).read_text())
    {"make": make, "sample": sample, "check": check}[command](facts, folder)


main()
