//! One of several words, alone or with values: `"adam"`, `{ adam = { lr = 0.1 } }`.

use crate::job_file::expected::Expected;
use crate::job_file::field::{Field, Section};
use crate::job_file::found::Found;
use crate::job_file::mistake::Wrong;
use crate::job_file::tree::Value;

/// The word that is chosen, and its values; none where the word stands alone.
pub(super) fn choice<'t>(
    field: &Field<'t>,
    words: &'static [&'static str],
    keys: fn(&str) -> &'static [&'static str],
    example: &'static str,
    found: &mut Found,
) -> Option<(&'static str, Section<'t>)> {
    let expected = Expected::Choice { words, example };
    match &field.node.value {
        Value::Text(_) => {
            let word = field.word(words, found)?;
            Some((word, Section::absent(format!("{}.{word}", field.key))))
        }
        Value::Table(entries) => {
            let section = field.section(words, found)?;
            let mut chosen: Vec<&'static str> = words
                .iter()
                .copied()
                .filter(|word| entries.contains_key(*word))
                .collect();
            chosen.sort_by_key(|word| section.key_place(word));
            let word = *chosen.first().or_else(|| {
                field.wrong_type(expected, found);
                None
            })?;
            if let Some(second) = chosen.get(1) {
                let place = section.key_place(second).unwrap_or(field.place());
                let (first, second) = (
                    format!("{}.{word}", field.key),
                    format!("{}.{second}", field.key),
                );
                found.add(place, Wrong::Exclusive { first, second });
                return None;
            }
            let values = section.get(word)?.section(keys(word), found)?;
            Some((word, values))
        }
        _ => {
            field.wrong_type(expected, found);
            None
        }
    }
}
