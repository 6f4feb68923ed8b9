//! The flags that stand in for data.

use std::path::PathBuf;

use clap::Args;
use spec::checkpoint::{DataFacts, TokenFacts};
use spec::dataset::TokenForm;
use spec::{Job, Shape};

/// Where the shapes of the data come from, if not from the coordinator.
#[derive(Debug, Args)]
pub struct Shapes {
    /// The shape of one sample, in place of a dataset's
    #[arg(
        long,
        value_name = "CxHxW",
        requires = "classes",
        group = "described",
        conflicts_with = "vocabulary"
    )]
    pub input: Option<Shape>,
    /// The number of tokens of a text, in place of a dataset's; the job says data.sequence_length. Without --classes every token's
    /// target is the next
    #[arg(long, value_name = "N", group = "described", value_parser = clap::value_parser!(u32).range(1..))]
    pub vocabulary: Option<u32>,
    /// The number of classes, in place of a dataset's
    #[arg(long, value_name = "N", requires = "described", value_parser = clap::value_parser!(u32).range(1..))]
    pub classes: Option<u32>,
    /// Read the datasets from this directory instead of asking the coordinator
    #[arg(long, value_name = "DIR", conflicts_with = "described")]
    pub data_dir: Option<PathBuf>,
}

impl Shapes {
    /// Whether they do.
    pub fn are_given(&self) -> bool {
        self.input.is_some() || self.vocabulary.is_some() || self.data_dir.is_some()
    }

    /// What a dataset would tell the model of `job`, where a person says it instead.
    ///
    /// # Errors
    /// Tokens without a `data.sequence_length`, or values with one.
    pub fn facts(&self, job: &Job) -> Result<Option<DataFacts>, String> {
        let length = job.data.sequence_length;
        let classes = (0..self.classes.unwrap_or(0)).map(|class| class.to_string());
        let (shape, tokens) = match (&self.input, self.vocabulary) {
            (None, None) => return Ok(None),
            (Some(shape), _) => match length {
                None => (shape.clone(), None),
                Some(_) => {
                    return Err(format!(
                        "data.sequence_length: --input {shape} is no text; leave one of them out, or give --vocabulary"
                    ));
                }
            },
            (None, Some(vocabulary)) => {
                let Some(sequence_length) = length else {
                    return Err(
                        "data.sequence_length is missing: --vocabulary says how many tokens there are, not how long a text is; add --set data.sequence_length=64"
                            .into(),
                    );
                };
                let form = match self.classes {
                    Some(_) => TokenForm::Sequences,
                    None => TokenForm::Stream,
                };
                let tokens = TokenFacts {
                    form,
                    vocabulary,
                    sequence_length,
                    tokenizer: None,
                };
                let shape = Shape::new(vec![1]).expect("a token is one value");
                (shape, Some(tokens))
            }
        };
        Ok(Some(DataFacts {
            shape,
            classes: classes.collect(),
            tokens,
        }))
    }
}
