//! What is run to be measured: small networks that between them use every kernel in sizes as jobs have them.

use plan::Plan;
use spec::Job;
use spec::checkpoint::DataFacts;
use spec::rank::Failure;

use crate::depot::lasting;

/// A network with the shape of its samples, its classes and the samples of a microbatch.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    /// The shape of a sample.
    pub input: &'static str,
    /// Classes.
    pub classes: usize,
    /// Samples of a batch.
    pub samples: u32,
    /// Microbatches of a batch.
    pub microbatches: u32,
    /// Its layers, as in a job file.
    pub layers: &'static str,
}

/// The networks whose stages are timed.
pub const NETWORKS: &[Probe] = &[
    Probe {
        input: "1x8x8",
        classes: 10,
        samples: 8,
        microbatches: 1,
        layers: r#"{ conv2d = { filters = 12, kernel = 3, padding = 1 } }, "relu", { max_pool2d = 2 }, "flatten",
            { linear = 64 }, "relu", { linear = "classes" }"#,
    },
    Probe {
        input: "1x28x28",
        classes: 10,
        samples: 16,
        microbatches: 1,
        layers: r#"{ conv2d = { filters = 32, kernel = 3, padding = 1 } }, "relu", { max_pool2d = 2 },
            { conv2d = { filters = 64, kernel = 3, padding = 1 } }, "batch_norm", "relu", { max_pool2d = 2 }, "flatten",
            { linear = 128 }, "relu", { linear = "classes" }"#,
    },
    Probe {
        input: "3x32x32",
        classes: 10,
        samples: 8,
        microbatches: 1,
        layers: r#"{ conv2d = { filters = 32, kernel = 3, padding = 1 } }, "batch_norm", "relu",
            { conv2d = { filters = 32, kernel = 3, padding = 1, stride = 2 } }, { group_norm = 8 }, "silu",
            { conv2d = { filters = 64, kernel = 1 } }, "batch_norm", "relu", { avg_pool2d = 2 }, "batch_norm", { max_pool2d = 2 },
            "global_avg_pool", { linear = "classes" }"#,
    },
    Probe {
        input: "64x8x8",
        classes: 100,
        samples: 16,
        microbatches: 1,
        layers: r#"{ conv2d = { filters = 128, kernel = 3, padding = 1 } }, "relu", "layer_norm",
            { conv2d = { filters = 128, kernel = 3, padding = 1 } }, "relu", { avg_pool2d = 2 }, "flatten",
            { linear = "classes" }"#,
    },
    Probe {
        input: "784",
        classes: 10,
        samples: 16,
        microbatches: 1,
        layers: r#"{ linear = 512 }, "batch_norm", "relu", { linear = 256 }, "tanh", { linear = "classes" }"#,
    },
    Probe {
        input: "256",
        classes: 1000,
        samples: 128,
        microbatches: 1,
        layers: r#"{ linear = 512 }, "gelu", "layer_norm", { linear = 64 }, "sigmoid", { linear = "classes" }"#,
    },
];

/// The network whose parameters are updated.
pub const UPDATED: Probe = Probe {
    input: "512",
    classes: 10,
    samples: 2,
    microbatches: 2,
    layers: r#"{ linear = 384 }, { linear = "classes" }"#,
};

/// An update of few parameters: what a call takes.
pub const UPDATED_SMALL: Probe = Probe {
    input: "64",
    classes: 10,
    samples: 2,
    microbatches: 2,
    layers: r#"{ linear = "classes" }"#,
};

/// Every kind of optimizer, as in a job file.
pub const OPTIMIZERS: &[&str] = &[
    "sgd = { lr = 0.01, momentum = 0.9 }",
    "adam = { lr = 0.001 }",
    "rmsprop = { lr = 0.001 }",
    "adagrad = { lr = 0.001 }",
];

impl Probe {
    /// The job of a probe.
    pub fn job(&self, optimizer: &str, threads: u32) -> Result<Job, Failure> {
        let Probe {
            samples,
            microbatches,
            layers,
            ..
        } = self;
        let text = format!(
            "name = \"probe\"\n[data]\ntrain = \"none/train\"\n[model]\nlayers = [{layers}]\n[training]\nsteps = 1\n\
             batch_size = {samples}\nmicrobatches = {microbatches}\noptimizer = {{ {optimizer} }}\n[resources]\nthreads = {threads}\n"
        );
        spec::job_file::parse(&text).map_err(lasting)
    }

    /// Its plan.
    pub fn plan(&self, optimizer: &str, threads: u32) -> Result<Plan, Failure> {
        let facts = DataFacts {
            shape: self.input.parse().map_err(lasting)?,
            classes: (0..self.classes).map(|class| class.to_string()).collect(),
            tokens: None,
        };
        plan::for_job(&self.job(optimizer, threads)?, &facts, &[]).map_err(lasting)
    }
}
