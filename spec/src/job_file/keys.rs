//! Every key and word that a job file may hold.

pub(super) const TOP: &[&str] = &[
    "name",
    "data",
    "model",
    "training",
    "resources",
    "checkpoint",
];
pub(super) const DATA: &[&str] = &["train", "validation", "normalize"];
pub(super) const MODEL: &[&str] = &["layers"];
pub(super) const TRAINING: &[&str] = &[
    "epochs",
    "steps",
    "batch_size",
    "microbatches",
    "seed",
    "drop_last",
    "loss",
    "optimizer",
    "validate",
];
pub(super) const SGD: &[&str] = &["lr", "momentum", "nesterov", "weight_decay"];
pub(super) const ADAM: &[&str] = &["lr", "betas", "eps", "weight_decay"];
pub(super) const RMSPROP: &[&str] = &["lr", "alpha", "eps", "momentum", "weight_decay"];
pub(super) const ADAGRAD: &[&str] = &["lr", "lr_decay", "eps", "weight_decay"];
pub(super) const VALIDATE: &[&str] = &["every_epochs"];
pub(super) const RESOURCES: &[&str] = &["device", "ranks", "threads"];
pub(super) const CHECKPOINT: &[&str] = &["every_steps", "keep_last"];

pub(super) const LINEAR: &[&str] = &["units", "bias"];
pub(super) const CONV2D: &[&str] = &["filters", "kernel", "stride", "padding", "bias"];
pub(super) const MAX_POOL2D: &[&str] = &["kernel", "stride", "padding"];

pub(super) const GELU: &[&str] = &["approximate"];
pub(super) const GELU_FORMS: &[&str] = &["erf", "tanh"];
pub(super) const LEAKY_RELU: &[&str] = &["slope"];
pub(super) const ELU: &[&str] = &["alpha"];

pub(super) const LAYERS: &[&str] = &[
    "linear",
    "conv2d",
    "max_pool2d",
    "relu",
    "flatten",
    "gelu",
    "silu",
    "swish",
    "tanh",
    "sigmoid",
    "leaky_relu",
    "elu",
    "softplus",
    "hardtanh",
    "logsigmoid",
    "softmax",
    "log_softmax",
];
pub(super) const OPTIMIZERS: &[&str] = &["sgd", "adam", "adamw", "rmsprop", "adagrad"];
pub(super) const NORMALIZE: &[&str] = &["none", "unit", "standard"];
pub(super) const LOSSES: &[&str] = &["cross_entropy"];
pub(super) const DEVICES: &[&str] = &["cpu"];

/// The tables whose keys `--set` can reach, by the dotted key that leads to them.
const TABLES: &[(&str, &[&str])] = &[
    ("data", DATA),
    ("model", MODEL),
    ("training", TRAINING),
    ("training.optimizer", OPTIMIZERS),
    ("training.optimizer.sgd", SGD),
    ("training.optimizer.adam", ADAM),
    ("training.optimizer.adamw", ADAM),
    ("training.optimizer.rmsprop", RMSPROP),
    ("training.optimizer.adagrad", ADAGRAD),
    ("training.validate", VALIDATE),
    ("resources", RESOURCES),
    ("checkpoint", CHECKPOINT),
];

/// Every dotted key that `--set` can change.
pub(super) fn dotted() -> Vec<String> {
    let inside = TABLES
        .iter()
        .flat_map(|(table, keys)| keys.iter().map(move |key| format!("{table}.{key}")));
    std::iter::once("name".to_string()).chain(inside).collect()
}

/// The dotted key that ends in `key`, if there is only one.
pub(super) fn ending_in(key: &str) -> Option<String> {
    let mut ending = dotted()
        .into_iter()
        .filter(|dotted| dotted.rsplit('.').next() == Some(key));
    ending.next().filter(|_| ending.next().is_none())
}

/// The keys that an optimiser takes.
pub(super) fn of_optimizer(optimizer: &str) -> &'static [&'static str] {
    match optimizer {
        "sgd" => SGD,
        "adam" | "adamw" => ADAM,
        "rmsprop" => RMSPROP,
        "adagrad" => ADAGRAD,
        _ => &[],
    }
}

/// The keys that a layer takes.
pub(super) fn of_layer(layer: &str) -> &'static [&'static str] {
    match layer {
        "linear" => LINEAR,
        "conv2d" => CONV2D,
        "max_pool2d" => MAX_POOL2D,
        "gelu" => GELU,
        "leaky_relu" => LEAKY_RELU,
        "elu" => ELU,
        _ => &[],
    }
}
