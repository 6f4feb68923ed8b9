//! The processor: its name, how many cores there are, and which instructions matter here.

use std::fs;

/// Instructions that kernels here use or could use, as Linux spells them.
const MATTER: &[&str] = &[
    "sse4_2",
    "avx",
    "f16c",
    "fma",
    "avx2",
    "avx512f",
    "avx512bw",
    "avx512cd",
    "avx512dq",
    "avx512vl",
    "avx512_vnni",
    "avx512_bf16",
    "amx_bf16",
    "asimd",
    "asimdhp",
    "bf16",
    "sve",
];

/// What `/proc/cpuinfo` tells.
#[derive(Debug, PartialEq)]
pub struct Processor {
    /// The name, else the architecture.
    pub name: String,
    /// Those of its instructions that matter.
    pub features: Vec<&'static str>,
}

/// This machine's processor.
pub fn processor() -> Processor {
    parse(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default())
}

/// Cores of the machine that are switched on.
pub fn cores_online() -> usize {
    let text = fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    count(text.trim())
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// The numbers of a list as `0-3,8`.
fn count(list: &str) -> Option<usize> {
    list.split(',')
        .map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let [first, last] = [first, last].map(str::parse::<usize>);
            Some(last.ok()?.checked_sub(first.ok()?)? + 1)
        })
        .sum()
}

fn parse(cpuinfo: &str) -> Processor {
    let value = |keys: &[&str]| {
        let fields = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        let mut fields = fields.map(|(key, value)| (key.trim(), value.trim()));
        fields
            .find(|(key, _)| keys.contains(key))
            .map(|(_, value)| value)
    };
    let name = value(&["model name", "Model", "cpu model"]).unwrap_or(std::env::consts::ARCH);
    let flags: Vec<&str> = value(&["flags", "Features"])
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    Processor {
        name: name.to_string(),
        features: MATTER
            .iter()
            .copied()
            .filter(|feature| flags.contains(feature))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_and_the_features_are_those_of_the_first_core() {
        let text = "processor\t: 0\nmodel\t\t: 17\nmodel name\t: A Processor @ 2 GHz\nflags\t\t: fpu avx avx2 avx512f\n\
                    processor\t: 1\nmodel name\t: Another\nflags\t\t: fpu\n";
        let expected = Processor {
            name: "A Processor @ 2 GHz".to_string(),
            features: vec!["avx", "avx2", "avx512f"],
        };
        assert_eq!(parse(text), expected);
        assert_eq!(parse("").name, std::env::consts::ARCH);
    }

    #[test]
    fn lists_of_cores_are_counted() {
        assert_eq!(count("0-1"), Some(2));
        assert_eq!(count("0,2-5,8"), Some(6));
        assert_eq!(count("5-2"), None);
        assert_eq!(count(""), None);
    }
}
