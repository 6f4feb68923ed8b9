//! The pages that people read first, kept true. The commands that README.md and docs/cli.md mark are run as they are
//! written, in a folder with the repository's job files and digits; the JSON that docs/cli.md shows has the keys that
//! are printed; the job files that docs/job-file.md shows are read, and its mistakes are told as it says.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Daemon, answer, trainyard, until};
use crate::yard::repository;

/// The line before a block whose commands are run.
const RUN: &str = "<!-- run -->";
/// The line before a job file that is refused; the block after it shows how.
const REFUSED: &str = "<!-- refused -->";

/// How the pages start the binary.
const PROGRAMS: [&str; 2] = ["trainyard ", "cargo run --release -- "];

/// A fenced block of a page.
struct Block {
    mark: String,
    language: String,
    lines: Vec<String>,
}

/// A command that a page shows, and what it shows of the answer.
struct Shown {
    arguments: Vec<String>,
    answer: Vec<String>,
}

fn page(path: &str) -> String {
    fs::read_to_string(repository(path)).expect("the page is there")
}

/// The fenced blocks of a page, each with the line before it.
fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let (mut open, mut before) = (false, "");
    for line in page.lines() {
        match (line.strip_prefix("```"), open) {
            (Some(language), false) => blocks.push(Block {
                mark: before.to_string(),
                language: language.to_string(),
                lines: Vec::new(),
            }),
            (None, true) => {
                let block = blocks.last_mut().expect("a block is open");
                block.lines.push(line.to_string());
            }
            _ => {}
        }
        open ^= line.starts_with("```");
        before = line;
    }
    assert!(!open, "a block is not closed");
    blocks
}

/// The commands of the marked blocks: every line of `sh`, those after `$` of `console`.
fn commands(page: &str) -> Vec<Shown> {
    let mut commands: Vec<Shown> = Vec::new();
    for block in blocks(page).iter().filter(|block| block.mark == RUN) {
        for line in &block.lines {
            let typed = match block.language.as_str() {
                "sh" => Some(line.as_str()).filter(|line| !line.is_empty()),
                "console" => line.strip_prefix("$ "),
                other => panic!("a block of {other} cannot be run"),
            };
            match typed {
                Some(typed) => commands.push(Shown {
                    arguments: arguments(typed),
                    answer: Vec::new(),
                }),
                None => commands
                    .last_mut()
                    .into_iter()
                    .for_each(|shown| shown.answer.push(line.clone())),
            }
        }
    }
    commands
}

/// The arguments of a command; what follows a `#` is for the reader.
fn arguments(typed: &str) -> Vec<String> {
    let typed = typed.split(" #").next().unwrap_or(typed);
    let rest = PROGRAMS.iter().find_map(|name| typed.strip_prefix(name));
    let rest = rest.unwrap_or_else(|| panic!("{typed:?} does not start the binary"));
    let needs_a_shell = rest.contains(['|', '>', '<', '&', ';', '"', '\'', '$', '*']);
    assert!(!needs_a_shell, "{typed:?} needs a shell");
    rest.split_whitespace().map(str::to_string).collect()
}

/// A folder with the files of the repository that the pages name.
fn checkout() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for path in [
        "jobs/digits-cnn.toml",
        "jobs/fashion-cnn.toml",
        "data/digits/digits.csv.gz",
        "LICENSE",
    ] {
        let to = folder.path().join(path);
        fs::create_dir_all(to.parent().expect("it is in a folder")).expect("a folder");
        fs::copy(repository(path), to).expect("the repository has the file");
    }
    folder
}

/// Runs a page's commands one after the other; each must be done, and print JSON with the keys that the page shows. What
/// `up` starts is used by the commands after it, and ended at the end.
fn run(page: &str) -> usize {
    let folder = checkout();
    let log = folder.path().join("log");
    let mut yard: Option<(Daemon, String)> = None;
    let commands = commands(page);
    for Shown {
        arguments,
        answer: shown,
    } in &commands
    {
        let mut command = trainyard(folder.path());
        command.args(arguments);
        if let Some((_, url)) = &yard {
            command.env("TRAINYARD_COORDINATOR", url);
        }
        if arguments[0] == "up" {
            assert!(yard.is_none(), "a page starts one yard");
            // The page's port may be in use here.
            command.args(["--listen", "127.0.0.1:0", "--json"]);
            let (daemon, address) = Daemon::serving(&mut command, "coordinator", &log);
            let url = format!("http://{address}");
            until_workers(folder.path(), &url, arguments);
            yard = Some((daemon, url));
            continue;
        }
        let told = answer(&mut command).done();
        assert!(!told.is_empty(), "{arguments:?} says nothing");
        let first = |lines: &[String]| lines.iter().find(|line| line.starts_with('{')).cloned();
        if let Some(shown) = first(shown) {
            let told = first(&told).unwrap_or_else(|| panic!("{arguments:?} prints no JSON"));
            assert_eq!(keys(&shown), keys(&told), "{arguments:?}");
        }
    }
    if let Some((mut daemon, _)) = yard {
        assert_eq!(daemon.end(Signal::TERM), Some(0));
    }
    commands.len()
}

/// Waits for the workers that `up` was told to start.
fn until_workers(folder: &Path, url: &str, up: &[String]) {
    let flag = up.iter().position(|argument| argument == "--workers");
    let count: usize = flag.map_or(1, |at| up[at + 1].parse().expect("a number"));
    until("worker of up", || {
        let mut list: Command = trainyard(folder);
        list.args(["worker", "list", "--json", "--coordinator", url]);
        (answer(&mut list).done().len() == count).then_some(())
    });
}

/// The keys of a JSON object, in order.
fn keys(line: &str) -> Vec<String> {
    let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let object = value.as_object().expect("an object");
    object.keys().cloned().collect()
}

#[test]
fn the_readme_runs_as_it_is_written() {
    let readme = page("README.md");
    assert!(run(&readme) >= 10);
    for command in [
        "cargo run --release -- quickstart",
        "cargo test --release --workspace",
    ] {
        assert!(
            readme.lines().any(|line| line.starts_with(command)),
            "{command} is not in it"
        );
    }
}

#[test]
fn the_page_of_the_command_line_runs_as_it_is_written() {
    assert!(run(&page("docs/cli.md")) >= 20);
}

#[test]
fn the_page_of_the_job_file_shows_jobs_that_are_read_and_mistakes_as_they_are_told() {
    let blocks = blocks(&page("docs/job-file.md"));
    let (mut read, mut refused) = (0, 0);
    for (number, block) in blocks.iter().enumerate() {
        if block.language != "toml" {
            continue;
        }
        let text = block.lines.join("\n");
        let parsed = spec::job_file::parse(&text);
        if block.mark == REFUSED {
            let mistakes = parsed.expect_err("the page says that it is refused");
            let shown = blocks[number + 1].lines.join("\n");
            assert_eq!(mistakes.display_for("job.toml"), shown);
            refused += 1;
        } else if block.lines.iter().any(|line| line.starts_with("name = ")) {
            let job = parsed.unwrap_or_else(|mistakes| panic!("{mistakes}\n{text}"));
            let canonical = spec::job_file::render(&job);
            assert_eq!(spec::job_file::parse(&canonical), Ok(job));
            read += 1;
        }
    }
    assert!(
        read >= 2 && refused >= 1,
        "{read} are read, {refused} refused"
    );
}
