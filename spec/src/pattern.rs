//! Patterns for the names of parameters: `*` stands for any characters, none included, `?` for exactly one.

/// Whether `name` is one that `pattern` stands for, as a whole.
pub fn matches(pattern: &str, name: &str) -> bool {
    // Names are ASCII, so that a byte is a character.
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    // Where the newest star stands, and how far it has reached.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&character) if character == b'?' || character == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                // The star takes one character more. Earlier stars need not: what they took fits already.
                Some((at, reached)) => {
                    star = Some((at, reached + 1));
                    p = at + 1;
                    n = reached + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&character| character == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters_and_a_question_mark_for_one() {
        for (pattern, name) in [
            ("*", ""),
            ("*", "0.weight"),
            ("*.bias", "conv1.bias"),
            ("conv?.*", "conv1.weight"),
            ("*.*.*", "3.0.weight"),
            ("*a*ab", "aaaab"),
            ("0.weight", "0.weight"),
            ("**", "x"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("", "0.weight"),
            ("weight", "0.weight"),
            ("*.bias", "conv1.bias2"),
            ("conv?.*", "conv.weight"),
            ("conv?.*", "conv12.weight"),
            ("*.0.*", "3.1.weight"),
            ("?", ""),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        let (pattern, name) = ("*a".repeat(200) + "b", "a".repeat(4000));
        assert!(!matches(&pattern, &name));
    }
}
