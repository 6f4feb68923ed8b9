//! What an engine refuses. Everything here is found before anything is computed.

/// Why an engine does not do what it is asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The plan has workspace for fewer threads.
    #[error(
        "{threads} threads were asked for, but the plan has workspace for 1 to {planned}: plan with as many threads as run"
    )]
    Threads {
        /// Threads asked for.
        threads: usize,
        /// Threads that the plan is for.
        planned: usize,
    },
    /// The operating system gives no memory for the arena.
    #[error("no memory for an arena of {bytes} bytes: use a smaller batch, or more microbatches")]
    Memory {
        /// Size of the arena.
        bytes: u64,
    },
    /// The threads could not be started.
    #[error("the engine's threads could not be started")]
    Pool(#[from] rayon::ThreadPoolBuildError),
    /// A plan to evaluate was asked to train.
    #[error("the plan is for evaluation only: plan in training mode")]
    NotTraining,
    /// More samples than a microbatch.
    #[error("{samples} samples do not fit into the plan's microbatch of {microbatch}")]
    Samples {
        /// Samples given.
        samples: usize,
        /// The most that fit.
        microbatch: usize,
    },
    /// The values are not those of whole samples.
    #[error("a sample has {sample} values, but {got} were given, which are no whole samples")]
    Values {
        /// Values of a sample.
        sample: usize,
        /// Values that were given.
        got: usize,
    },
    /// A sequence of no step, or of more than were planned for.
    #[error(
        "sequence {position} of the microbatch has {length} steps: 1 to {longest} are planned for"
    )]
    Length {
        /// Position of the sequence in the microbatch.
        position: usize,
        /// Its steps.
        length: u32,
        /// The most steps of the plan.
        longest: usize,
    },
    /// Sequences that are not packed.
    #[error(
        "sequence {position} of the microbatch is longer than the one before it: the longest come first"
    )]
    Unsorted {
        /// Position of the longer one.
        position: usize,
    },
    /// A token that the table has no vector for.
    #[error("row {row} of the microbatch has token {token}, but the vocabulary has {vocabulary}, 0 to {}", .vocabulary - 1)]
    Token {
        /// The row.
        row: usize,
        /// Its token.
        token: u32,
        /// Tokens of the plan.
        vocabulary: usize,
    },
    /// Samples of another kind than the plan takes.
    #[error("the plan takes {expected}")]
    SampleKind {
        /// What it takes.
        expected: &'static str,
    },
    /// Not one row for each step of each sequence.
    #[error("the sequences have {expected} steps together, but {got} rows were given")]
    Rows {
        /// Steps of all sequences.
        expected: usize,
        /// Rows that were given.
        got: usize,
    },
    /// Not one class for each row of the output, or not one value for each of its values.
    #[error("the output has {expected} targets, but {got} were given")]
    Targets {
        /// Targets of the output.
        expected: usize,
        /// Targets that were given.
        got: usize,
    },
    /// Class weights that are to follow from data which the engine does not know.
    #[error(
        "class weights are \"balanced\" and not yet numbers: balance the loss by the rows of each class first"
    )]
    Unbalanced,
    /// A label names no class.
    #[error("sample {position} of the microbatch has label {label}, but there are {classes} classes, 0 to {}", .classes - 1)]
    Label {
        /// Position of the sample in the microbatch.
        position: usize,
        /// Its label.
        label: u32,
        /// Classes of the plan.
        classes: usize,
    },
    /// A tensor without the dimension.
    #[error("there is no dimension {dimension}: the tensor has {dimensions}, counted from 0")]
    Dimension {
        /// The dimension asked for, from 0.
        dimension: usize,
        /// Dimensions of the tensor.
        dimensions: usize,
    },
    /// More microbatches at once than planned for.
    #[error("{microbatches} microbatches were given at once, but the plan has room for {lanes}")]
    Lanes {
        /// Microbatches that were given.
        microbatches: usize,
        /// Lanes of the plan.
        lanes: usize,
    },
    /// There is no such slot.
    #[error("there is no slot {slot}: the plan has {slots}")]
    Slot {
        /// The slot asked for.
        slot: usize,
        /// Slots of the plan.
        slots: usize,
    },
    /// A sum of a step that is no number.
    #[error("the {what} is not a finite number: lower the learning rate, or clip the gradient")]
    NotFinite {
        /// `loss` or `gradient`.
        what: &'static str,
    },
}
