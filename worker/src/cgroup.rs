//! What the control groups that this process is in allow: memory and processor time. The kernel enforces the least of
//! all groups from the process's own up to the root.

use std::fs;
use std::path::{Path, PathBuf};

/// The limits of this process's control groups.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Limits {
    /// The most memory, in bytes; `None` for no limit.
    pub memory_bytes: Option<u64>,
    /// The most processor time, in cores; `None` for no limit.
    pub cores: Option<f64>,
}

/// The limits of this process's control groups, versions 1 and 2. None where the system has no such groups.
pub fn limits() -> Limits {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    read(Path::new("/sys/fs/cgroup"), &groups)
}

/// The limits below `root` of a process that is in `groups`, lines as in `/proc/self/cgroup`.
fn read(root: &Path, groups: &str) -> Limits {
    let mut limits = Limits::default();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
            continue;
        };
        let has = |name: &str| controllers.split(',').any(|controller| controller == name);
        if controllers.is_empty() {
            for folder in upwards(root, path) {
                lower(&mut limits.memory_bytes, number(&folder.join("memory.max")));
                let text = fs::read_to_string(folder.join("cpu.max")).unwrap_or_default();
                let mut words = text.split_whitespace().map(str::parse::<f64>);
                if let (Some(Ok(quota)), Some(Ok(period))) = (words.next(), words.next()) {
                    lower(&mut limits.cores, Some(quota / period));
                }
            }
        } else if has("memory") {
            for folder in upwards(&root.join("memory"), path) {
                // No limit is written as the largest number of pages.
                let limit = number(&folder.join("memory.limit_in_bytes"));
                lower(
                    &mut limits.memory_bytes,
                    limit.filter(|&limit| limit < 1 << 60),
                );
            }
        } else if has("cpu") {
            for folder in upwards(&root.join("cpu"), path) {
                let quota = number(&folder.join("cpu.cfs_quota_us"));
                let period = number(&folder.join("cpu.cfs_period_us"));
                if let (Some(quota), Some(period)) = (quota, period) {
                    lower(&mut limits.cores, Some(quota as f64 / period as f64));
                }
            }
        }
    }
    limits
}

/// The folder of a group and those of the groups that it lies in. In a container the root may be the group itself.
fn upwards(root: &Path, path: &str) -> Vec<PathBuf> {
    let inside = Path::new(path.trim_start_matches('/'));
    inside.ancestors().map(|group| root.join(group)).collect()
}

/// The positive number in a file.
fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn lower<T: PartialOrd>(limit: &mut Option<T>, other: Option<T>) {
    if let Some(other) = other
        && limit.as_ref().is_none_or(|limit| other < *limit)
    {
        *limit = Some(other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let file = root.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        root
    }

    #[test]
    fn the_least_of_all_groups_counts() {
        let root = root(&[
            ("cpu.max", "max 100000\n"),
            ("a/memory.max", "1000000\n"),
            ("a/cpu.max", "150000 100000\n"),
            ("a/b/memory.max", "max\n"),
            ("a/b/cpu.max", "400000 100000\n"),
        ]);
        let limits = read(root.path(), "0::/a/b\n");
        let expected = Limits {
            memory_bytes: Some(1_000_000),
            cores: Some(1.5),
        };
        assert_eq!(limits, expected);
        assert_eq!(read(root.path(), "0::/\n"), Limits::default());
        assert_eq!(read(root.path(), ""), Limits::default());
    }

    #[test]
    fn groups_of_version_1_have_a_folder_for_each_controller() {
        let root = root(&[
            ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory/a/memory.limit_in_bytes", "2048\n"),
            ("cpu/a/cpu.cfs_quota_us", "-1\n"),
            ("cpu/a/cpu.cfs_period_us", "100000\n"),
        ]);
        let groups = "5:memory:/a\n4:cpu,cpuacct:/a\n1:name=systemd:/x\nnonsense\n";
        let limits = read(root.path(), groups);
        assert_eq!(limits.memory_bytes, Some(2048));
        assert_eq!(limits.cores, None);
    }
}
