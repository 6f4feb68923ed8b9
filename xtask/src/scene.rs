//! Where and when a measurement was taken, for docs/benchmarks.md.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Lines of a table: machine, system, load before, date, commit.
pub fn rows(root: &Path) -> Vec<(&'static str, String)> {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<&str> = load.split(' ').take(2).collect();
    vec![
        ("machine", format!("{}, {cores} cores", processor())),
        ("system", said(root, &["uname", "-sr"])),
        ("load before (1 and 5 minutes)", load.join(", ")),
        ("date", said(root, &["date", "-u", "+%F %R UTC"])),
        (
            "commit",
            said(root, &["git", "describe", "--always", "--dirty"]),
        ),
        ("compiler", said(root, &["rustc", "--version"])),
    ]
}

/// Prints a table of two columns.
pub fn print(rows: &[(&str, String)]) {
    println!("| | |\n| --- | --- |");
    for (key, value) in rows {
        println!("| {key} | {value} |");
    }
    println!();
}

/// The processor's name.
fn processor() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = |key: &str| {
        let line = cpus.lines().find(|line| line.starts_with(key))?;
        Some(line.split_once(':')?.1.trim().to_string())
    };
    let known = named("model name").unwrap_or_else(|| std::env::consts::ARCH.to_string());
    match (named("cpu family"), named("model\t")) {
        (Some(family), Some(model)) => format!("{known} (family {family}, model {model})"),
        _ => known,
    }
}

/// What a command says in its first line; "unknown" if it says nothing.
fn said(root: &Path, words: &[&str]) -> String {
    let output = Command::new(words[0])
        .args(&words[1..])
        .current_dir(root)
        .output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let line = text
        .ok()
        .and_then(|text| text.lines().next().map(String::from));
    line.unwrap_or_else(|| "unknown".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_is_not_there_is_unknown() {
        assert_eq!(said(Path::new("/"), &["no-such-command"]), "unknown");
        assert_eq!(said(Path::new("/"), &["echo", "two", "words"]), "two words");
    }
}
