//! The mistakes found so far, still by place.

use crate::job_file::mistake::{Mistake, Mistakes, Wrong};
use crate::job_file::position::Cursor;
use crate::job_file::tree::Place;

/// Mistakes past this many are counted only.
const KEPT: usize = 200;

/// Collects mistakes.
#[derive(Debug, Default)]
pub(super) struct Found {
    found: Vec<(Place, Wrong)>,
    more: usize,
}

impl Found {
    /// Notes that something is wrong at `place`.
    pub(super) fn add(&mut self, place: Place, wrong: Wrong) {
        if self.found.len() < KEPT {
            self.found.push((place, wrong));
        } else {
            self.more += 1;
        }
    }

    /// Nothing if nothing was found; else the mistakes in order, with lines and columns of `text` and the texts of `set`.
    pub(super) fn into_mistakes(mut self, text: &str, set: &[String]) -> Option<Mistakes> {
        if self.found.is_empty() {
            return None;
        }
        self.found.sort_by_key(|(place, _)| *place);
        let mut cursor = Cursor::new(text);
        let mistakes = self.found.into_iter().map(|(place, wrong)| {
            let position = match place {
                Place::File(offset) => Some(cursor.at(offset)),
                Place::Nowhere | Place::Set(_) => None,
            };
            Mistake {
                line: position.map(|(line, _)| line),
                column: position.map(|(_, column)| column),
                set: match place {
                    Place::Set(index) => set.get(index).cloned(),
                    Place::File(_) | Place::Nowhere => None,
                },
                message: wrong.to_string(),
                wrong,
            }
        });
        Some(Mistakes {
            mistakes: mistakes.collect(),
            more: self.more,
        })
    }
}
