//! Where a plan's buffers lie in the arena of a device whose numbers have a given size.

use plan::{Plan, Stage};

use crate::backend::View;

/// A plan's buffers as views. The plan counts 4 bytes per number: for wider ones everything moves apart in proportion.
#[derive(Debug)]
pub(crate) struct Views {
    /// The plan.
    pub plan: Plan,
    /// Bytes of a number.
    pub size: usize,
    /// The lane whose buffers are meant.
    pub lane: usize,
}

impl Views {
    fn scale(&self) -> usize {
        self.size / 4
    }

    /// Bytes of the whole arena.
    pub fn arena_bytes(&self) -> u64 {
        self.plan.arena_bytes.saturating_mul(self.scale() as u64)
    }

    /// The whole of a buffer.
    pub fn buffer(&self, buffer: usize) -> View {
        let buffer = &self.plan.buffers[buffer];
        let lane = if buffer.in_lane { self.lane } else { 0 };
        let offset = buffer.offset + lane as u64 * self.plan.lane_bytes;
        View {
            offset: offset as usize * self.scale(),
            bytes: buffer.bytes as usize * self.scale(),
        }
    }

    /// The first `words` numbers of a buffer.
    pub fn words(&self, buffer: usize, words: usize) -> View {
        View {
            bytes: words * self.size,
            ..self.buffer(buffer)
        }
    }

    /// What classes or outputs weigh in the loss, where they do not all weigh 1.
    pub fn loss_weights(&self) -> Option<View> {
        let weights = self.plan.places.loss_weights;
        weights.map(|buffer| self.words(buffer, self.plan.classes))
    }

    /// Bytes of a record, and where in it the tail begins.
    pub fn record(&self) -> (usize, usize) {
        (
            self.plan.record_bytes as usize * self.scale(),
            self.plan.tail_offset as usize * self.scale(),
        )
    }

    /// One parameter in a flat buffer: among the parameters themselves, or its gradient in a slot. That of a frozen one has
    /// no place in a record and goes where nobody reads it.
    pub fn parameter(&self, buffer: usize, parameter: usize) -> View {
        let (plan, parameter) = (&self.plan, &self.plan.parameters[parameter]);
        let words = parameter.words();
        let (buffer, first) = if parameter.trained || buffer == plan.places.parameters {
            (buffer, words.start)
        } else {
            let spare = plan.places.spare_gradients;
            let spare = spare.expect("a plan has room for every gradient that is computed");
            (spare, words.start - plan.trained_count)
        };
        View {
            offset: self.buffer(buffer).offset + first * self.size,
            bytes: words.len() * self.size,
        }
    }

    /// Weight and bias of a stage in a flat buffer.
    pub fn weight_and_bias(&self, stage: &Stage, buffer: usize) -> (View, Option<View>) {
        let mut parameters = stage
            .parameters
            .clone()
            .map(|parameter| self.parameter(buffer, parameter));
        let weight = parameters
            .next()
            .expect("a stage with parameters has a weight");
        (weight, parameters.next())
    }

    /// Weight and bias of a stage that may have neither, in a flat buffer.
    pub fn parameters(&self, stage: &Stage, buffer: usize) -> [Option<View>; 2] {
        let mut parameters = stage.parameters.clone();
        [(); 2].map(|()| {
            parameters
                .next()
                .map(|parameter| self.parameter(buffer, parameter))
        })
    }

    /// Weight and bias of the norm that a convolution takes along: the last two parameters of its stage.
    pub fn norm_parameters(&self, stage: &Stage, buffer: usize) -> [View; 2] {
        let last = stage.parameters.end;
        [last - 2, last - 1].map(|parameter| self.parameter(buffer, parameter))
    }

    /// What a stage reads and writes, for `samples`.
    pub fn batch(&self, stage: &Stage, samples: usize) -> Batch {
        let view = |buffer, words: usize| self.words(buffer, words * samples);
        let indices = stage.indices.map(|indices| self.buffer(indices));
        Batch {
            x: view(stage.input, stage.inputs),
            shortcut: (stage.shortcut_input).map(|buffer| view(buffer, stage.inputs)),
            y: view(stage.output, stage.outputs),
            x_gradient: stage
                .input_gradient
                .map(|buffer| view(buffer, stage.inputs)),
            shortcut_gradient: stage
                .shortcut_gradient
                .map(|buffer| view(buffer, stage.inputs)),
            y_gradient: stage
                .output_gradient
                .map(|buffer| view(buffer, stage.outputs)),
            indices,
            statistics: stage.statistics.map(|buffer| self.buffer(buffer)),
            convolved: stage.convolved.map(|buffer| self.buffer(buffer)),
        }
    }
}

/// What a stage reads and writes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Batch {
    pub x: View,
    pub shortcut: Option<View>,
    pub y: View,
    pub x_gradient: Option<View>,
    pub shortcut_gradient: Option<View>,
    pub y_gradient: Option<View>,
    pub indices: Option<View>,
    pub statistics: Option<View>,
    pub convolved: Option<View>,
}

impl Batch {
    /// What a stage reads, unless it works in place.
    pub fn source(&self, stage: &Stage) -> Option<View> {
        (stage.input != stage.output).then_some(self.x)
    }
}
