//! The job files that the tests start from.

mod canonical;
mod groups;
mod initials;
mod jobs;
mod layers;
mod losses;
mod mistakes;
mod models;
mod overrides;
mod properties;
mod reading;

/// The shortest job file that says something, one key a line.
const SMALL: &str = r#"name = "digits"
[data]
train = "digits"
[model]
layers = ["flatten", { linear = "classes" }]
[training]
epochs = 3
"#;

/// A job file that says everything there is to say.
const FULL: &str = r#"name = "fashion-cnn"

[data]
train = "fashion-mnist/train"
validation = 0.25
normalize = "unit"
sequence_length = 128

[model]
layers = [
  { conv2d = { filters = 32, kernel = [5, 3], stride = 2, padding = [2, 1], bias = false }, name = "conv1" },
  "relu",
  { max_pool2d = { kernel = 3, stride = 2, padding = 1 } },
  { relu = {}, name = "act-2" },
  "flatten",
  { linear = { units = 128, bias = false } },
  { linear = "classes", name = "head" },
]

[training]
steps = 2_000
batch_size = 250
microbatches = 10
seed = 0x7FFF_FFFF_FFFF_FFFF
init = [{ match = "*.weight", values = { kaiming_normal = { mode = "fan_out", nonlinearity = "relu" } } }]
drop_last = true
loss = { cross_entropy = { label_smoothing = 0.1, ignore_index = 3, class_weights = "balanced" } }
metrics = ["accuracy", "top_3", "f1", "perplexity"]
optimizer = { sgd = { lr = 1, momentum = 0.9, weight_decay = 1e-4 } }
groups = [
  { match = ["conv1.*", "act-?.*"], frozen = true },
  { match = "*.bias", lr_scale = 2, weight_decay = 0 },
]
ema = { decay = 0.99, start_step = 10, every_steps = 2 }
lr_schedule = { cosine = { warmup_steps = 100, min_lr = 1e-3 } }
clip_norm = 5
monitor = "validation_f1"
early_stopping = { patience = 4, min_delta = 0.01 }
validate = { every_epochs = 2 }

[resources]
device = "cpu"
ranks = 3
threads = 2

[checkpoint]
every_steps = 200
keep_last = 5
keep_best = 2
"#;

/// The mistakes of a job file, a line each.
fn mistakes_of(text: &str, set: &[&str]) -> Vec<String> {
    let set: Vec<String> = set.iter().map(|set| set.to_string()).collect();
    let mistakes = super::parse_with(text, &set).expect_err("a file with a mistake");
    mistakes
        .display_for("job.toml")
        .lines()
        .map(str::to_string)
        .collect()
}
