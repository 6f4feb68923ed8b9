//! What is minimised and measured, and whether it fits the classes of the data.

use spec::job::Training;
use spec::loss::{ClassWeights, Loss, PosWeight};
use spec::metric::Metric;

use crate::error::Error;

/// What is minimised and measured.
#[derive(Debug, Clone, Copy)]
pub struct Objective<'a> {
    /// What is minimised.
    pub loss: &'a Loss,
    /// What is measured beside it.
    pub metrics: &'a [Metric],
    /// Whether rows are counted by class and answer.
    pub confusion: bool,
}

impl Objective<'static> {
    /// The plain cross entropy, with accuracy.
    pub const CROSS_ENTROPY: Self = Objective {
        loss: &Loss::CROSS_ENTROPY,
        metrics: &[Metric::Accuracy],
        confusion: false,
    };
}

impl<'a> From<&'a Training> for Objective<'a> {
    fn from(training: &'a Training) -> Self {
        Objective {
            loss: &training.loss,
            metrics: &training.metrics,
            confusion: false,
        }
    }
}

/// How many weights a loss reads, if it reads any.
pub(crate) fn weights(loss: &Loss, classes: usize) -> Option<usize> {
    let weighs = match loss {
        Loss::CrossEntropy(loss) => loss.class_weights.is_some(),
        Loss::BceWithLogits { pos_weight } => pos_weight.is_some(),
        Loss::Mse | Loss::L1 | Loss::Huber { .. } => false,
    };
    weighs.then_some(classes)
}

/// The most classes of which all pairs are counted.
const MOST_PAIRED: usize = 1000;

/// Checks loss and metrics against the number of classes.
pub(crate) fn fits(objective: Objective<'_>, classes: usize) -> Result<(), Error> {
    let Objective {
        loss,
        metrics,
        confusion,
    } = objective;
    if confusion && classes > MOST_PAIRED {
        let most = MOST_PAIRED;
        return Err(Error::TooManyPairs { classes, most });
    }
    let (key, given) = match loss {
        Loss::CrossEntropy(loss) => {
            if let Some(index) = loss.ignore_index.filter(|&index| index as usize >= classes) {
                return Err(Error::IgnoreIndex { index, classes });
            }
            let key = "training.loss.cross_entropy.class_weights";
            match &loss.class_weights {
                Some(ClassWeights::Given(weights)) => (key, weights.len()),
                Some(ClassWeights::Balanced) | None => (key, classes),
            }
        }
        Loss::BceWithLogits { pos_weight } => {
            let key = "training.loss.bce_with_logits.pos_weight";
            match pos_weight {
                Some(PosWeight::Each(weights)) => (key, weights.len()),
                Some(PosWeight::All(_)) | None => (key, classes),
            }
        }
        Loss::Mse | Loss::L1 | Loss::Huber { .. } => ("training.loss", classes),
    };
    if given != classes {
        return Err(Error::Weights {
            key,
            weights: given,
            classes,
        });
    }
    let tops = metrics.iter().filter_map(|metric| match metric {
        Metric::Top(top) => Some(*top),
        _ => None,
    });
    match tops.into_iter().find(|&top| top as usize >= classes) {
        Some(top) => Err(Error::AlwaysRight { top, classes }),
        None => Ok(()),
    }
}
