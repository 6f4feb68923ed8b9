//! Networks to test with.

use engine::{Batch, Engine, Float};
use plan::{Mode, Objective, Per, Plan, Request, Rules, Signal, plan};
use spec::Shape;
use spec::ema::Ema;
use spec::group::Group;
use spec::init::InitRule;
use spec::job::Optimizer;
use spec::loss::Loss;
use spec::metric::Metric;
use spec::model::{
    Activation, AvgPool2d, BatchNorm, Conv2d, Dropout, Gelu, GroupNorm, Layer, LayerKind,
    LayerNorm, Linear, MaxPool2d, Model, Pair, Repeat, Residual, Size,
};
use spec::random::{Purpose, Stream};

/// SGD with the momentum and weight decay of the reference outputs.
pub const SGD: Optimizer = Optimizer::Sgd {
    lr: 0.05,
    momentum: 0.9,
    nesterov: false,
    weight_decay: 1e-4,
};

/// Adam with PyTorch's defaults.
pub const ADAM: Optimizer = Optimizer::Adam {
    lr: 1e-3,
    betas: [0.9, 0.999],
    eps: 1e-8,
    weight_decay: 0.0,
};

/// AdamW with PyTorch's defaults.
pub const ADAMW: Optimizer = Optimizer::AdamW {
    lr: 1e-3,
    betas: [0.9, 0.999],
    eps: 1e-8,
    weight_decay: 1e-2,
};

/// A network, the samples that it takes and how it is run.
#[derive(Debug, Clone)]
pub struct Network {
    pub model: Model,
    pub input: Vec<usize>,
    /// What samples are where they are sequences, and what has a target.
    pub sequence: Option<(Signal, Per)>,
    pub classes: usize,
    pub microbatch: usize,
    pub microbatches: u32,
    pub loss: Loss,
    pub metrics: Vec<Metric>,
    pub confusion: bool,
    pub optimizer: Optimizer,
    pub groups: Vec<Group>,
    pub ema: Option<Ema>,
    pub init: Vec<InitRule>,
    pub threads: usize,
}

impl Network {
    pub fn new(
        input: &[usize],
        classes: usize,
        microbatch: usize,
        kinds: Vec<LayerKind>,
    ) -> Network {
        Network {
            model: Model {
                layers: unnamed(kinds),
            },
            input: input.to_vec(),
            sequence: None,
            classes,
            microbatch,
            microbatches: 1,
            loss: Loss::CROSS_ENTROPY,
            metrics: vec![Metric::Accuracy],
            confusion: false,
            optimizer: SGD,
            groups: Vec::new(),
            ema: None,
            init: Vec::new(),
            threads: 1,
        }
    }

    pub fn plan(&self, mode: Mode) -> Result<Plan, plan::Error> {
        let values = || Shape::new(self.input.clone()).expect("a shape").into();
        let (input, per) = self
            .sequence
            .clone()
            .unwrap_or_else(|| (values(), Per::Sample));
        plan(&Request {
            model: &self.model,
            input,
            classes: self.classes,
            per,
            microbatch: self.microbatch,
            microbatches: self.microbatches,
            share: self.microbatches,
            objective: Objective {
                loss: &self.loss,
                metrics: &self.metrics,
                confusion: self.confusion,
            },
            optimizer: &self.optimizer,
            rules: Rules {
                groups: &self.groups,
                ema: self.ema,
                init: &self.init,
            },
            threads: self.threads,
            mode,
            host_bytes: 0,
        })
    }

    pub fn engine<T: Float>(&self) -> Engine<T> {
        Engine::new(self.plan(Mode::Train).expect("a plan"), self.threads).expect("an engine")
    }

    /// Values in [-1, 1) and labels, drawn from `seed`.
    pub fn batch<T: Float>(&self, samples: usize, seed: u64) -> (Vec<T>, Vec<u32>) {
        let mut stream = Stream::new(seed, Purpose::RowOrder, 0);
        let values = samples * self.input.iter().product::<usize>();
        // Through f32, so that both kinds of numbers see the same values.
        let x = (0..values)
            .map(|_| T::of(f64::from((2.0 * stream.next_f64() - 1.0) as f32)))
            .collect();
        let labels = (0..samples)
            .map(|_| stream.below(self.classes as u64) as u32)
            .collect();
        (x, labels)
    }
}

pub fn conv(filters: u32, kernel: [u32; 2], stride: [u32; 2], padding: [u32; 2]) -> LayerKind {
    let [kernel, stride, padding] = [kernel, stride, padding].map(|[h, w]| Pair { h, w });
    LayerKind::Conv2d(Conv2d {
        filters,
        kernel,
        stride,
        padding,
        dilation: Pair::both(1),
        groups: 1,
        bias: true,
    })
}

pub fn pool(kernel: [u32; 2], stride: [u32; 2], padding: [u32; 2]) -> LayerKind {
    let [kernel, stride, padding] = [kernel, stride, padding].map(|[h, w]| Pair { h, w });
    LayerKind::MaxPool2d(MaxPool2d {
        kernel,
        stride,
        padding,
    })
}

pub fn average(kernel: [u32; 2], stride: [u32; 2], padding: [u32; 2]) -> LayerKind {
    let [kernel, stride, padding] = [kernel, stride, padding].map(|[h, w]| Pair { h, w });
    LayerKind::AvgPool2d(AvgPool2d {
        kernel,
        stride,
        padding,
    })
}

pub fn batch_norm() -> LayerKind {
    LayerKind::BatchNorm(BatchNorm {
        eps: 1e-5,
        momentum: 0.1,
        sync: false,
    })
}

pub fn layer_norm(affine: bool) -> LayerKind {
    LayerKind::LayerNorm(LayerNorm { eps: 1e-5, affine })
}

pub fn group_norm(groups: u32, affine: bool) -> LayerKind {
    LayerKind::GroupNorm(GroupNorm {
        groups,
        eps: 1e-5,
        affine,
    })
}

pub fn linear(units: u32) -> LayerKind {
    LayerKind::Linear(Linear {
        units: Size::Count(units),
        bias: true,
        tied: None,
    })
}

pub fn classes() -> LayerKind {
    LayerKind::Linear(Linear {
        units: Size::Classes,
        bias: true,
        tied: None,
    })
}

/// A dropout.
pub fn dropout(rate: f64) -> LayerKind {
    LayerKind::Dropout(Dropout { rate })
}

/// A residual of two lists of layers.
pub fn residual(layers: Vec<LayerKind>, projection: Vec<LayerKind>) -> LayerKind {
    let [layers, projection] = [layers, projection].map(unnamed);
    LayerKind::Residual(Residual { layers, projection })
}

/// Layers several times.
pub fn repeat(times: u32, layers: Vec<LayerKind>) -> LayerKind {
    let layers = unnamed(layers);
    LayerKind::Repeat(Repeat { times, layers })
}

fn unnamed(kinds: Vec<LayerKind>) -> Vec<Layer> {
    let layer = |kind| Layer { name: None, kind };
    kinds.into_iter().map(layer).collect()
}

/// Every activation but relu.
pub fn activations() -> Vec<LayerKind> {
    let activations = [
        Activation::Gelu(Gelu::Erf),
        Activation::Gelu(Gelu::Tanh),
        Activation::Silu,
        Activation::Tanh,
        Activation::Sigmoid,
        Activation::LeakyRelu { slope: 0.2 },
        Activation::Elu { alpha: 0.7 },
        Activation::Softplus,
        Activation::Hardtanh,
        Activation::Logsigmoid,
    ];
    activations.map(LayerKind::Activation).to_vec()
}

/// Convolution, relu, pooling, two linear layers: the network of the speed target, at any size.
pub fn simple_cnn(input: [usize; 3], filters: u32, hidden: u32, microbatch: usize) -> Network {
    use LayerKind::{Flatten, Relu};
    let kinds = vec![
        conv(filters, [3, 3], [1, 1], [1, 1]),
        Relu,
        pool([2, 2], [2, 2], [0, 0]),
        Flatten,
        linear(hidden),
        Relu,
        classes(),
    ];
    Network::new(&input, 10, microbatch, kinds)
}

/// The gradient sums in a slot.
pub fn gradient<T: Float>(engine: &Engine<T>, slot: usize) -> Vec<f64> {
    let words: &[T] = bytemuck::cast_slice(engine.slot_bytes(slot));
    words[..engine.plan().parameter_count]
        .iter()
        .map(|value| value.wide())
        .collect()
}

/// One step over one microbatch.
pub fn step<T: Float>(
    engine: &mut Engine<T>,
    x: &[T],
    labels: &[u32],
    update: impl Into<engine::Update>,
) -> engine::StepResult {
    step_on(engine, &Batch::classified(x, labels), update)
}

/// One step over one microbatch of any kind.
pub fn step_on<T: Float>(
    engine: &mut Engine<T>,
    batch: &Batch<'_, T>,
    update: impl Into<engine::Update>,
) -> engine::StepResult {
    engine.train(batch, 0).expect("a microbatch that fits");
    let (slots, record) = engine.fold_views(&[0]);
    record.copy_from_slice(slots[0]);
    engine.apply(update).expect("finite numbers")
}
