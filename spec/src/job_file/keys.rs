//! Every key and word that a job file may hold.

pub(super) const TOP: &[&str] = &[
    "name",
    "data",
    "model",
    "training",
    "resources",
    "checkpoint",
];
pub(super) const DATA: &[&str] = &["train", "validation", "normalize", "sequence_length"];
pub(super) const MODEL: &[&str] = &["layers"];
pub(super) const TRAINING: &[&str] = &[
    "epochs",
    "steps",
    "batch_size",
    "microbatches",
    "seed",
    "init",
    "drop_last",
    "loss",
    "metrics",
    "optimizer",
    "groups",
    "ema",
    "lr_schedule",
    "clip_norm",
    "clip_value",
    "monitor",
    "early_stopping",
    "validate",
];
pub(super) const CROSS_ENTROPY: &[&str] = &["label_smoothing", "ignore_index", "class_weights"];
pub(super) const HUBER: &[&str] = &["delta"];
pub(super) const BCE_WITH_LOGITS: &[&str] = &["pos_weight"];
pub(super) const SGD: &[&str] = &["lr", "momentum", "nesterov", "weight_decay"];
pub(super) const ADAM: &[&str] = &["lr", "betas", "eps", "weight_decay"];
pub(super) const RMSPROP: &[&str] = &["lr", "alpha", "eps", "momentum", "weight_decay"];
pub(super) const ADAGRAD: &[&str] = &["lr", "lr_decay", "eps", "weight_decay"];
pub(super) const GROUP: &[&str] = &["match", "lr", "lr_scale", "weight_decay", "frozen"];
pub(super) const INIT: &[&str] = &["match", "values"];
pub(super) const INITS: &[&str] = &[
    "xavier_uniform",
    "xavier_normal",
    "kaiming_uniform",
    "kaiming_normal",
    "orthogonal",
    "normal",
    "uniform",
    "zeros",
    "ones",
    "constant",
];
pub(super) const FANS: &[&str] = &["fan_in", "fan_out"];
const GAIN: &[&str] = &["gain"];
const KAIMING: &[&str] = &["mode", "nonlinearity", "slope"];
pub(super) const EMA: &[&str] = &["decay", "start_step", "every_steps"];
pub(super) const CONSTANT: &[&str] = &["warmup_steps"];
pub(super) const LINEAR_RATE: &[&str] = &["warmup_steps", "end"];
pub(super) const STEP: &[&str] = &["warmup_steps", "every_steps", "every_epochs", "gamma"];
pub(super) const EXPONENTIAL: &[&str] = &["warmup_steps", "gamma"];
pub(super) const COSINE: &[&str] = &["warmup_steps", "min_lr"];
pub(super) const ONE_CYCLE: &[&str] = &[
    "max_lr",
    "warmup_fraction",
    "div_factor",
    "final_div_factor",
];
pub(super) const REDUCE_ON_PLATEAU: &[&str] =
    &["warmup_steps", "factor", "patience", "threshold", "min_lr"];
pub(super) const EARLY_STOPPING: &[&str] = &["patience", "min_delta"];
pub(super) const VALIDATE: &[&str] = &["every_epochs"];
pub(super) const RESOURCES: &[&str] = &["device", "ranks", "threads"];
pub(super) const CHECKPOINT: &[&str] = &["every_steps", "keep_last", "keep_best"];

pub(super) const LINEAR: &[&str] = &["units", "bias", "tied"];
pub(super) const EMBEDDING: &[&str] = &["size", "padding_index"];
pub(super) const RNN: &[&str] = &[
    "hidden",
    "layers",
    "bidirectional",
    "dropout",
    "output",
    "nonlinearity",
    "bias",
];
pub(super) const GATED: &[&str] = &[
    "hidden",
    "layers",
    "bidirectional",
    "dropout",
    "output",
    "bias",
];
pub(super) const OUTPUTS: &[&str] = &["all", "last", "mean"];
pub(super) const NONLINEARITIES: &[&str] = &["tanh", "relu"];
pub(super) const CONV2D: &[&str] = &[
    "filters", "kernel", "stride", "padding", "dilation", "groups", "bias",
];
pub(super) const POOL2D: &[&str] = &["kernel", "stride", "padding"];

pub(super) const BATCH_NORM: &[&str] = &["eps", "momentum", "sync"];
pub(super) const LAYER_NORM: &[&str] = &["eps", "affine"];
pub(super) const GROUP_NORM: &[&str] = &["groups", "eps", "affine"];
pub(super) const GELU: &[&str] = &["approximate"];
pub(super) const GELU_FORMS: &[&str] = &["erf", "tanh"];
pub(super) const LEAKY_RELU: &[&str] = &["slope"];
pub(super) const ELU: &[&str] = &["alpha"];
pub(super) const DROPOUT: &[&str] = &["rate"];
pub(super) const RESIDUAL: &[&str] = &["layers", "projection"];
pub(super) const REPEAT: &[&str] = &["times", "layers"];

pub(super) const LAYERS: &[&str] = &[
    "linear",
    "conv2d",
    "max_pool2d",
    "avg_pool2d",
    "global_avg_pool",
    "global_max_pool",
    "batch_norm",
    "layer_norm",
    "group_norm",
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
    "embedding",
    "rnn",
    "lstm",
    "gru",
    "dropout",
    "residual",
    "repeat",
];
pub(super) const OPTIMIZERS: &[&str] = &["sgd", "adam", "adamw", "rmsprop", "adagrad"];
pub(super) const SCHEDULES: &[&str] = &[
    "constant",
    "linear",
    "step",
    "exponential",
    "cosine",
    "one_cycle",
    "reduce_on_plateau",
];
/// `top_5` stands for every number; the same words behind `validation_`, and `validation_loss`, are what can be monitored.
pub(super) const METRICS: &[&str] = &[
    "accuracy",
    "top_5",
    "precision",
    "recall",
    "f1",
    "perplexity",
];
pub(super) const MONITORS: &[&str] = &[
    "validation_loss",
    "validation_accuracy",
    "validation_top_5",
    "validation_precision",
    "validation_recall",
    "validation_f1",
    "validation_perplexity",
];
pub(super) const NORMALIZE: &[&str] = &["none", "unit", "standard"];
pub(super) const LOSSES: &[&str] = &["cross_entropy", "mse", "l1", "huber", "bce_with_logits"];
pub(super) const DEVICES: &[&str] = &["cpu"];

/// The tables whose keys `--set` can reach, by the dotted key that leads to them.
const TABLES: &[(&str, &[&str])] = &[
    ("data", DATA),
    ("model", MODEL),
    ("training", TRAINING),
    ("training.loss", LOSSES),
    ("training.loss.cross_entropy", CROSS_ENTROPY),
    ("training.loss.huber", HUBER),
    ("training.loss.bce_with_logits", BCE_WITH_LOGITS),
    ("training.optimizer", OPTIMIZERS),
    ("training.optimizer.sgd", SGD),
    ("training.optimizer.adam", ADAM),
    ("training.optimizer.adamw", ADAM),
    ("training.optimizer.rmsprop", RMSPROP),
    ("training.optimizer.adagrad", ADAGRAD),
    ("training.ema", EMA),
    ("training.lr_schedule", SCHEDULES),
    ("training.lr_schedule.constant", CONSTANT),
    ("training.lr_schedule.linear", LINEAR_RATE),
    ("training.lr_schedule.step", STEP),
    ("training.lr_schedule.exponential", EXPONENTIAL),
    ("training.lr_schedule.cosine", COSINE),
    ("training.lr_schedule.one_cycle", ONE_CYCLE),
    ("training.lr_schedule.reduce_on_plateau", REDUCE_ON_PLATEAU),
    ("training.early_stopping", EARLY_STOPPING),
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

/// The keys that a loss takes.
pub(super) fn of_loss(loss: &str) -> &'static [&'static str] {
    match loss {
        "cross_entropy" => CROSS_ENTROPY,
        "huber" => HUBER,
        "bce_with_logits" => BCE_WITH_LOGITS,
        _ => &[],
    }
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

/// The keys that initial values take.
pub(super) fn of_init(init: &str) -> &'static [&'static str] {
    match init {
        "xavier_uniform" | "xavier_normal" | "orthogonal" => GAIN,
        "kaiming_uniform" | "kaiming_normal" => KAIMING,
        "normal" => &["mean", "std"],
        "uniform" => &["low", "high"],
        "constant" => &["value"],
        _ => &[],
    }
}

/// The keys that a schedule takes.
pub(super) fn of_schedule(schedule: &str) -> &'static [&'static str] {
    match schedule {
        "constant" => CONSTANT,
        "linear" => LINEAR_RATE,
        "step" => STEP,
        "exponential" => EXPONENTIAL,
        "cosine" => COSINE,
        "one_cycle" => ONE_CYCLE,
        "reduce_on_plateau" => REDUCE_ON_PLATEAU,
        _ => &[],
    }
}

/// The keys that a layer takes.
pub(super) fn of_layer(layer: &str) -> &'static [&'static str] {
    match layer {
        "linear" => LINEAR,
        "conv2d" => CONV2D,
        "max_pool2d" | "avg_pool2d" => POOL2D,
        "batch_norm" => BATCH_NORM,
        "layer_norm" => LAYER_NORM,
        "group_norm" => GROUP_NORM,
        "gelu" => GELU,
        "leaky_relu" => LEAKY_RELU,
        "elu" => ELU,
        "embedding" => EMBEDDING,
        "rnn" => RNN,
        "lstm" | "gru" => GATED,
        "dropout" => DROPOUT,
        "residual" => RESIDUAL,
        "repeat" => REPEAT,
        _ => &[],
    }
}
