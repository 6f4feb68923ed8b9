//! The loss: `-log softmax(logits)[label]`, summed over samples.

use crate::backend::Backend;
use crate::layers::views::Views;

/// Sums over the samples of a microbatch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sums {
    /// Of the losses.
    pub loss: f64,
    /// Of the samples whose largest logit stands at their label.
    pub correct: u64,
    /// Of the samples.
    pub samples: u64,
}

/// The sums alone.
pub(crate) fn forward(device: &mut dyn Backend, views: &Views, labels: &[u32]) -> Sums {
    let logits = views.words(views.plan.places.logits, labels.len() * views.plan.classes);
    let (loss, correct) = device.cross_entropy(logits, labels, None);
    Sums {
        loss,
        correct,
        samples: labels.len() as u64,
    }
}

/// The sums, and the gradient of the loss sum: `softmax(logits) - one_hot(label)`.
pub(crate) fn forward_backward(device: &mut dyn Backend, views: &Views, labels: &[u32]) -> Sums {
    let words = labels.len() * views.plan.classes;
    let logits = views.words(views.plan.places.logits, words);
    let gradient = views
        .plan
        .places
        .logits_gradient
        .map(|buffer| views.words(buffer, words));
    let (loss, correct) = device.cross_entropy(logits, labels, gradient);
    Sums {
        loss,
        correct,
        samples: labels.len() as u64,
    }
}
