//! Input that is refused: one sentence with the remedy, the right exit status, nothing half done. docs/errors.md lists
//! the cases.

use crate::process::Answer;

mod chunks;
mod daemons;
mod imports;
mod job_files;
mod names;

/// The one sentence of a refusal.
fn sentence(answer: Answer, code: i32) -> String {
    let said = answer.ended(code);
    let line = said.strip_suffix('\n').unwrap_or(&said);
    assert!(!line.contains('\n'), "more than a line: {said}");
    let sentence = line.strip_prefix("trainyard: ");
    sentence
        .unwrap_or_else(|| panic!("not said by trainyard: {said}"))
        .to_string()
}

/// The mistakes of a job that is refused, a line each.
fn mistakes(answer: Answer) -> Vec<String> {
    let said = answer.ended(2);
    let lines = said.strip_prefix("trainyard: the job is refused\n");
    let lines = lines.unwrap_or_else(|| panic!("not a job's refusal: {said}"));
    lines.lines().map(str::to_string).collect()
}
