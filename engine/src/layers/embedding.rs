//! A vector for each token.

use plan::{Embedding, Stage};

use crate::backend::{Backend, EmbeddingBackward};
use crate::layers::views::Views;

/// `y = W[token]`
pub(crate) fn forward(
    device: &mut dyn Backend,
    views: &Views,
    stage: &Stage,
    embedding: &Embedding,
    tokens: &[u32],
) {
    let (table, _) = views.weight_and_bias(stage, views.plan.places.parameters);
    let y = views.batch(stage, tokens.len()).y;
    device.embedding_forward(embedding, tokens, table, y);
}

/// `dW[token] += dy`; the gradient goes into `slot`.
pub(crate) fn backward(
    device: &mut dyn Backend,
    views: &Views,
    stage: &Stage,
    embedding: &Embedding,
    tokens: &[u32],
    slot: usize,
) {
    let (table_gradient, _) = views.weight_and_bias(stage, slot);
    let at = EmbeddingBackward {
        y_gradient: views
            .batch(stage, tokens.len())
            .y_gradient
            .expect("a stage with parameters has a backward pass"),
        table_gradient,
        adds: embedding.tied,
    };
    device.embedding_backward(embedding, tokens, at);
}
