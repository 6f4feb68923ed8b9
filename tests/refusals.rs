//! Input that is refused: one sentence with the remedy, the right exit status, nothing half done. docs/errors.md lists
//! the cases.

use std::sync::LazyLock;

use crate::process::Answer;

mod capacity;
mod chunks;
mod daemons;
mod exchange;
mod imports;
mod job_files;
mod names;
mod text;

/// The one sentence of a refusal.
pub fn sentence(answer: Answer, code: i32) -> String {
    let said = answer.ended(code);
    let line = said.strip_suffix('\n').unwrap_or(&said);
    assert!(!line.contains('\n'), "more than a line: {said}");
    let sentence = line.strip_prefix("trainyard: ");
    let sentence = sentence.unwrap_or_else(|| panic!("not said by trainyard: {said}"));
    assert_documented(sentence, code);
    sentence.to_string()
}

/// The mistakes of a job that is refused, a line each.
pub fn mistakes(answer: Answer) -> Vec<String> {
    let said = answer.ended(2);
    let lines = said.strip_prefix("trainyard: the job is refused\n");
    let lines = lines.unwrap_or_else(|| panic!("not a job's refusal: {said}"));
    lines.lines().for_each(|line| assert_documented(line, 2));
    lines.lines().map(str::to_string).collect()
}

/// A sentence of docs/errors.md: the texts between what differs from case to case, and the exit code.
struct Documented {
    texts: Vec<String>,
    code: i32,
}

static PAGE: LazyLock<Vec<Documented>> = LazyLock::new(|| {
    let rows = include_str!("../docs/errors.md").lines();
    let cells = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    let documented = cells.filter_map(|cells| {
        let [_, _, sentence, code, _, _] = cells.as_slice() else {
            return None;
        };
        let code = code.parse().ok()?;
        // `a <file> b <line> c` is a, b and c.
        let sentence = sentence.trim_matches('`').trim();
        let parts = sentence.split('<');
        let texts = parts.map(|part| part.split_once('>').map_or(part, |(_, text)| text));
        let texts = texts.map(str::to_string).collect();
        Some(Documented { texts, code })
    });
    documented.collect()
});

impl Documented {
    /// Whether the texts stand in the sentence in their order, the first at its beginning and the last at its end.
    fn is(&self, sentence: &str) -> bool {
        let (Some(first), Some(last)) = (self.texts.first(), self.texts.last()) else {
            return false;
        };
        let Some(mut rest) = sentence.strip_prefix(first.as_str()) else {
            return false;
        };
        for text in &self.texts[1..] {
            match rest.find(text.as_str()) {
                Some(at) => rest = &rest[at + text.len()..],
                None => return false,
            }
        }
        sentence.ends_with(last.as_str())
    }
}

/// Asserts that docs/errors.md has the sentence, with its exit code.
fn assert_documented(sentence: &str, code: i32) {
    let found = PAGE.iter().any(|row| row.code == code && row.is(sentence));
    assert!(
        found,
        "docs/errors.md has no row with code {code} for: {sentence}"
    );
}
