//! From job to text.

use std::fmt::Write;

use crate::ema::Ema;
use crate::job::{Clip, Device, Job, Length, Normalize, Optimizer, Validation};
use crate::job_file::render_rules::{group, initial, lines, quoted};
use crate::loss::{ClassWeights, CrossEntropy, Loss, PosWeight};
use crate::model::{Activation, Conv2d, Gelu, Layer, LayerKind, Pair, Size};
use crate::monitor::EarlyStopping;
use crate::recurrent::{Cell, Nonlinearity, Output, Recurrent};
use crate::schedule::{Every, LrSchedule, ScheduleKind};

/// The job as TOML with all defaults written out, which parses back to the same job if the job came from `parse`.
pub fn render(job: &Job) -> String {
    let mut text = String::new();
    write(&mut text, job).expect("writing to a string does not fail");
    text
}

fn write(out: &mut String, job: &Job) -> std::fmt::Result {
    writeln!(out, "name = {}", quoted(&job.name))?;

    writeln!(out, "\n[data]")?;
    writeln!(out, "train = {}", quoted(&job.data.train.to_string()))?;
    match &job.data.validation {
        Some(Validation::Split(split)) => {
            writeln!(out, "validation = {}", quoted(&split.to_string()))?
        }
        Some(Validation::Fraction(fraction)) => writeln!(out, "validation = {fraction:?}")?,
        None => {}
    }
    let normalize = match job.data.normalize {
        Normalize::None => "none",
        Normalize::Unit => "unit",
        Normalize::Standard => "standard",
    };
    writeln!(out, "normalize = \"{normalize}\"")?;
    if let Some(length) = job.data.sequence_length {
        writeln!(out, "sequence_length = {length}")?;
    }

    writeln!(out, "\n[model]\nlayers = [")?;
    for layer in &job.model.layers {
        writeln!(out, "  {},", entry(layer))?;
    }
    writeln!(out, "]")?;

    let training = &job.training;
    writeln!(out, "\n[training]")?;
    match training.length {
        Length::Epochs(epochs) => writeln!(out, "epochs = {epochs}")?,
        Length::Steps(steps) => writeln!(out, "steps = {steps}")?,
    }
    writeln!(out, "batch_size = {}", training.batch_size)?;
    writeln!(out, "microbatches = {}", training.microbatches)?;
    writeln!(out, "seed = {}", training.seed)?;
    lines(out, "init", training.init.iter().map(initial))?;
    writeln!(out, "drop_last = {}", training.drop_last)?;
    writeln!(out, "loss = {}", loss(&training.loss))?;
    let metrics = training
        .metrics
        .iter()
        .map(|metric| quoted(&metric.to_string()));
    writeln!(out, "metrics = {}", bracketed(metrics))?;
    writeln!(out, "optimizer = {}", optimizer(&training.optimizer))?;
    lines(out, "groups", training.groups.iter().map(group))?;
    if let Some(Ema {
        decay,
        start_step,
        every_steps,
    }) = training.ema
    {
        writeln!(
            out,
            "ema = {{ decay = {decay:?}, start_step = {start_step}, every_steps = {every_steps} }}"
        )?;
    }
    writeln!(out, "lr_schedule = {}", lr_schedule(&training.lr_schedule))?;
    match training.clip {
        Some(Clip::Norm(norm)) => writeln!(out, "clip_norm = {norm:?}")?,
        Some(Clip::Value(value)) => writeln!(out, "clip_value = {value:?}")?,
        None => {}
    }
    writeln!(out, "monitor = \"{}\"", training.monitor)?;
    if let Some(EarlyStopping {
        patience,
        min_delta,
    }) = training.early_stopping
    {
        writeln!(
            out,
            "early_stopping = {{ patience = {patience}, min_delta = {min_delta:?} }}"
        )?;
    }
    writeln!(
        out,
        "validate = {{ every_epochs = {} }}",
        training.validate.every_epochs
    )?;

    writeln!(out, "\n[resources]")?;
    match job.resources.device {
        Device::Cpu => writeln!(out, "device = \"cpu\"")?,
    }
    writeln!(out, "ranks = {}", job.resources.ranks)?;
    writeln!(out, "threads = {}", job.resources.threads)?;

    writeln!(out, "\n[checkpoint]")?;
    if let Some(every_steps) = job.checkpoint.every_steps {
        writeln!(out, "every_steps = {every_steps}")?;
    }
    writeln!(out, "keep_last = {}", job.checkpoint.keep_last)?;
    writeln!(out, "keep_best = {}", job.checkpoint.keep_best)
}

fn loss(loss: &Loss) -> String {
    let word = loss.word();
    let values = match loss {
        Loss::CrossEntropy(CrossEntropy {
            label_smoothing,
            ignore_index,
            class_weights,
        }) => {
            let mut values = format!("label_smoothing = {label_smoothing:?}");
            if let Some(index) = ignore_index {
                values.push_str(&format!(", ignore_index = {index}"));
            }
            match class_weights {
                None => {}
                Some(ClassWeights::Balanced) => values.push_str(", class_weights = \"balanced\""),
                Some(ClassWeights::Given(weights)) => {
                    values.push_str(&format!(", class_weights = {}", numbers(weights)));
                }
            }
            values
        }
        Loss::Mse | Loss::L1 | Loss::BceWithLogits { pos_weight: None } => return quoted(word),
        Loss::Huber { delta } => format!("delta = {delta:?}"),
        Loss::BceWithLogits {
            pos_weight: Some(PosWeight::All(weight)),
        } => format!("pos_weight = {weight:?}"),
        Loss::BceWithLogits {
            pos_weight: Some(PosWeight::Each(weights)),
        } => format!("pos_weight = {}", numbers(weights)),
    };
    format!("{{ {word} = {{ {values} }} }}")
}

fn numbers(numbers: &[f64]) -> String {
    bracketed(numbers.iter().map(|number| format!("{number:?}")))
}

fn bracketed(entries: impl Iterator<Item = String>) -> String {
    format!("[{}]", entries.collect::<Vec<_>>().join(", "))
}

fn optimizer(optimizer: &Optimizer) -> String {
    match optimizer {
        Optimizer::Sgd {
            lr,
            momentum,
            nesterov,
            weight_decay,
        } => {
            format!(
                "{{ sgd = {{ lr = {lr:?}, momentum = {momentum:?}, nesterov = {nesterov}, weight_decay = {weight_decay:?} }} }}"
            )
        }
        Optimizer::Adam {
            lr,
            betas: [first, second],
            eps,
            weight_decay,
        } => format!(
            "{{ adam = {{ lr = {lr:?}, betas = [{first:?}, {second:?}], eps = {eps:?}, weight_decay = {weight_decay:?} }} }}"
        ),
        Optimizer::AdamW {
            lr,
            betas: [first, second],
            eps,
            weight_decay,
        } => format!(
            "{{ adamw = {{ lr = {lr:?}, betas = [{first:?}, {second:?}], eps = {eps:?}, weight_decay = {weight_decay:?} }} }}"
        ),
        Optimizer::RmsProp {
            lr,
            alpha,
            eps,
            momentum,
            weight_decay,
        } => format!(
            "{{ rmsprop = {{ lr = {lr:?}, alpha = {alpha:?}, eps = {eps:?}, momentum = {momentum:?}, weight_decay = {weight_decay:?} }} }}"
        ),
        Optimizer::Adagrad {
            lr,
            lr_decay,
            eps,
            weight_decay,
        } => format!(
            "{{ adagrad = {{ lr = {lr:?}, lr_decay = {lr_decay:?}, eps = {eps:?}, weight_decay = {weight_decay:?} }} }}"
        ),
    }
}

fn lr_schedule(schedule: &LrSchedule) -> String {
    let values = match schedule.kind {
        ScheduleKind::Constant => String::new(),
        ScheduleKind::Linear { end } => format!(", end = {end:?}"),
        ScheduleKind::Step { every, gamma } => match every {
            Every::Steps(steps) => format!(", every_steps = {steps}, gamma = {gamma:?}"),
            Every::Epochs(epochs) => format!(", every_epochs = {epochs}, gamma = {gamma:?}"),
        },
        ScheduleKind::Exponential { gamma } => format!(", gamma = {gamma:?}"),
        ScheduleKind::Cosine { min_lr } => format!(", min_lr = {min_lr:?}"),
        ScheduleKind::OneCycle {
            max_lr,
            warmup_fraction,
            div_factor,
            final_div_factor,
        } => {
            return format!(
                "{{ one_cycle = {{ max_lr = {max_lr:?}, warmup_fraction = {warmup_fraction:?}, div_factor = {div_factor:?}, final_div_factor = {final_div_factor:?} }} }}"
            );
        }
        ScheduleKind::ReduceOnPlateau {
            factor,
            patience,
            threshold,
            min_lr,
        } => format!(
            ", factor = {factor:?}, patience = {patience}, threshold = {threshold:?}, min_lr = {min_lr:?}"
        ),
    };
    let (word, warmup_steps) = (schedule.kind.word(), schedule.warmup_steps);
    format!("{{ {word} = {{ warmup_steps = {warmup_steps}{values} }} }}")
}

fn entry(layer: &Layer) -> String {
    let word = layer.kind.word();
    let values = match &layer.kind {
        LayerKind::Linear(linear) => {
            let units = match linear.units {
                Size::Count(count) => count.to_string(),
                Size::Classes => "\"classes\"".to_string(),
                Size::Vocabulary => "\"vocabulary\"".to_string(),
            };
            let tied = match &linear.tied {
                Some(name) => format!(", tied = {}", quoted(name)),
                None => String::new(),
            };
            format!("{{ units = {units}, bias = {}{tied} }}", linear.bias)
        }
        LayerKind::Conv2d(conv) => convolution(conv),
        LayerKind::MaxPool2d(pool) => pooling(pool.kernel, pool.stride, pool.padding),
        LayerKind::AvgPool2d(pool) => pooling(pool.kernel, pool.stride, pool.padding),
        LayerKind::BatchNorm(norm) => {
            // Said only where it is so: the text of older jobs stays what their digests name.
            let sync = if norm.sync { ", sync = true" } else { "" };
            format!(
                "{{ eps = {:?}, momentum = {:?}{sync} }}",
                norm.eps, norm.momentum
            )
        }
        LayerKind::LayerNorm(norm) => {
            format!("{{ eps = {:?}, affine = {} }}", norm.eps, norm.affine)
        }
        LayerKind::GroupNorm(norm) => format!(
            "{{ groups = {}, eps = {:?}, affine = {} }}",
            norm.groups, norm.eps, norm.affine
        ),
        LayerKind::Activation(Activation::Gelu(form)) => {
            let form = match form {
                Gelu::Erf => "erf",
                Gelu::Tanh => "tanh",
            };
            format!("{{ approximate = \"{form}\" }}")
        }
        LayerKind::Activation(Activation::LeakyRelu { slope }) => {
            format!("{{ slope = {slope:?} }}")
        }
        LayerKind::Activation(Activation::Elu { alpha }) => format!("{{ alpha = {alpha:?} }}"),
        LayerKind::Embedding(embedding) => match embedding.padding_index {
            Some(index) => format!("{{ size = {}, padding_index = {index} }}", embedding.size),
            None => format!("{{ size = {} }}", embedding.size),
        },
        LayerKind::Recurrent(layers) => recurrent(layers),
        LayerKind::Dropout(dropout) => format!("{{ rate = {:?} }}", dropout.rate),
        LayerKind::Residual(residual) if residual.projection.is_empty() => {
            format!("{{ layers = {} }}", list(&residual.layers))
        }
        LayerKind::Residual(residual) => format!(
            "{{ layers = {}, projection = {} }}",
            list(&residual.layers),
            list(&residual.projection)
        ),
        LayerKind::Repeat(repeat) => format!(
            "{{ times = {}, layers = {} }}",
            repeat.times,
            list(&repeat.layers)
        ),
        LayerKind::Relu
        | LayerKind::Flatten
        | LayerKind::GlobalAvgPool
        | LayerKind::GlobalMaxPool
        | LayerKind::Activation(_)
        | LayerKind::Softmax
        | LayerKind::LogSoftmax => match layer.name {
            None => return quoted(word),
            Some(_) => "{}".to_string(),
        },
    };
    match &layer.name {
        Some(name) => format!("{{ {word} = {values}, name = {} }}", quoted(name)),
        None => format!("{{ {word} = {values} }}"),
    }
}

fn recurrent(layers: &Recurrent) -> String {
    let output = match layers.output {
        Output::All => "all",
        Output::Last => "last",
        Output::Mean => "mean",
    };
    let nonlinearity = match layers.cell {
        Cell::Rnn(Nonlinearity::Tanh) => ", nonlinearity = \"tanh\"",
        Cell::Rnn(Nonlinearity::Relu) => ", nonlinearity = \"relu\"",
        Cell::Lstm | Cell::Gru => "",
    };
    format!(
        "{{ hidden = {}, layers = {}, bidirectional = {}, dropout = {:?}, output = \"{output}\"{nonlinearity}, bias = {} }}",
        layers.hidden, layers.layers, layers.bidirectional, layers.dropout, layers.bias
    )
}

fn list(layers: &[Layer]) -> String {
    let entries: Vec<String> = layers.iter().map(entry).collect();
    format!("[{}]", entries.join(", "))
}

/// What few convolutions have is left out of the others, so that a job's digest stays what it was before there was any.
fn convolution(conv: &Conv2d) -> String {
    let mut values = format!(
        "filters = {}, kernel = {}, stride = {}, padding = {}",
        conv.filters,
        pair(conv.kernel),
        pair(conv.stride),
        pair(conv.padding)
    );
    if conv.dilation != Pair::both(1) {
        values += &format!(", dilation = {}", pair(conv.dilation));
    }
    if conv.groups != 1 {
        values += &format!(", groups = {}", conv.groups);
    }
    format!("{{ {values}, bias = {} }}", conv.bias)
}

fn pooling(kernel: Pair, stride: Pair, padding: Pair) -> String {
    format!(
        "{{ kernel = {}, stride = {}, padding = {} }}",
        pair(kernel),
        pair(stride),
        pair(padding)
    )
}

fn pair(pair: Pair) -> String {
    if pair.h == pair.w {
        pair.h.to_string()
    } else {
        format!("[{}, {}]", pair.h, pair.w)
    }
}
