//! Initial values of parameters by the names of PyTorch's `torch.nn.init`, for parameters chosen by their names.

use serde::{Deserialize, Serialize};

use crate::pattern;

/// Parameters that do not begin with the values that their layer gives them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InitRule {
    /// The names that it is for, `*` and `?` standing for any characters and any one; at least one pattern.
    #[serde(rename = "match")]
    pub patterns: Vec<String>,
    /// What they begin with.
    pub values: Values,
}

/// What a parameter begins with. Fans are PyTorch's: the second extent, or the first, times the extents behind them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Values {
    /// Uniform in `± gain sqrt(6 / (fan_in + fan_out))` (Glorot and Bengio 2010).
    XavierUniform {
        /// The factor.
        gain: Gain,
    },
    /// Normal with deviation `gain sqrt(2 / (fan_in + fan_out))`.
    XavierNormal {
        /// The factor.
        gain: Gain,
    },
    /// Uniform in `± gain sqrt(3 / fan)` (He and others 2015).
    KaimingUniform(Kaiming),
    /// Normal with deviation `gain / sqrt(fan)`.
    KaimingNormal(Kaiming),
    /// Orthogonal rows or columns, whichever are fewer, times the gain (Saxe and others 2013); the first extent counts the rows.
    Orthogonal {
        /// The factor.
        gain: Gain,
    },
    /// Normal.
    Normal {
        /// The mean.
        mean: f64,
        /// The deviation, at least 0.
        std: f64,
    },
    /// Uniform.
    Uniform {
        /// The least value.
        low: f64,
        /// Above all values, at least `low`.
        high: f64,
    },
    /// One value everywhere.
    Constant {
        /// The value.
        value: f64,
    },
}

/// How the values of Kaiming's initialisation spread.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Kaiming {
    /// Which fan it keeps the variance along.
    pub mode: Fan,
    /// The function that follows, which decides the factor.
    pub nonlinearity: Nonlinearity,
    /// The slope below 0 of a `leaky_relu`; no other function has one.
    pub slope: f64,
}

/// A number of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fan {
    /// Values that one output sums over.
    In,
    /// Outputs that one value goes into.
    Out,
}

/// A factor, given as a number or by the function that follows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gain {
    /// The number.
    Number(f64),
    /// The function.
    Of(Nonlinearity),
}

/// The functions that PyTorch's `calculate_gain` knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nonlinearity {
    /// None; a convolution too.
    Linear,
    /// The sigmoid.
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
    /// `max(x, 0)`.
    Relu,
    /// A relu with a slope below 0, 0.01 unless it is given.
    LeakyRelu,
    /// The scaled exponential linear unit.
    Selu,
}

impl Nonlinearity {
    /// All of them by their words.
    pub const WORDS: &'static [&'static str] =
        &["linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"];

    /// The one that a word stands for.
    pub fn named(word: &str) -> Option<Nonlinearity> {
        let all = [
            Nonlinearity::Linear,
            Nonlinearity::Sigmoid,
            Nonlinearity::Tanh,
            Nonlinearity::Relu,
            Nonlinearity::LeakyRelu,
            Nonlinearity::Selu,
        ];
        let position = Nonlinearity::WORDS
            .iter()
            .position(|known| *known == word)?;
        Some(all[position])
    }

    /// The word that stands for it.
    pub fn word(self) -> &'static str {
        match self {
            Nonlinearity::Linear => "linear",
            Nonlinearity::Sigmoid => "sigmoid",
            Nonlinearity::Tanh => "tanh",
            Nonlinearity::Relu => "relu",
            Nonlinearity::LeakyRelu => "leaky_relu",
            Nonlinearity::Selu => "selu",
        }
    }

    /// PyTorch's factor, with this slope below 0 where the function has one.
    pub fn gain(self, slope: f64) -> f64 {
        match self {
            Nonlinearity::Linear | Nonlinearity::Sigmoid => 1.0,
            Nonlinearity::Tanh => 5.0 / 3.0,
            Nonlinearity::Relu => 2f64.sqrt(),
            Nonlinearity::LeakyRelu => (2.0 / (1.0 + slope * slope)).sqrt(),
            Nonlinearity::Selu => 0.75,
        }
    }
}

impl Gain {
    /// The factor itself.
    pub fn factor(self) -> f64 {
        match self {
            Gain::Number(factor) => factor,
            Gain::Of(function) => function.gain(0.01),
        }
    }
}

impl Values {
    /// The word that stands for it.
    pub fn word(&self) -> &'static str {
        match self {
            Values::XavierUniform { .. } => "xavier_uniform",
            Values::XavierNormal { .. } => "xavier_normal",
            Values::KaimingUniform(_) => "kaiming_uniform",
            Values::KaimingNormal(_) => "kaiming_normal",
            Values::Orthogonal { .. } => "orthogonal",
            Values::Normal { .. } => "normal",
            Values::Uniform { .. } => "uniform",
            Values::Constant { .. } => "constant",
        }
    }
}

impl InitRule {
    /// Whether it is for a parameter of this name, if no rule before it is.
    pub fn takes(&self, name: &str) -> bool {
        self.patterns
            .iter()
            .any(|pattern| pattern::matches(pattern, name))
    }
}

/// `[fan_in, fan_out]` of a parameter of these extents, as PyTorch's `_calculate_fan_in_and_fan_out`; none with fewer than two.
pub fn fans(extents: &[usize]) -> Option<[usize; 2]> {
    let [outputs, inputs, field @ ..] = extents else {
        return None;
    };
    let field: usize = field.iter().product();
    Some([inputs * field, outputs * field])
}
