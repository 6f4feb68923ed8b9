//! The names that people give to jobs, datasets, splits and layers.

/// The longest name.
const LONGEST: usize = 128;

/// Whether `text` is a name for a job, a dataset or a split: `[a-z0-9][a-z0-9._-]*`, at most 128 long.
pub fn is_name(text: &str) -> bool {
    let first = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= LONGEST
        && text.bytes().next().is_some_and(first)
        && text
            .bytes()
            .all(|byte| first(byte) || b"._-".contains(&byte))
}

/// Whether `text` is a name for a layer: letters, digits, `_` and `-`, and no bare number, which would read as a position.
pub(super) fn is_layer_name(text: &str) -> bool {
    text.len() <= LONGEST
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
        && text.bytes().any(|byte| !byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_and_begin_with_a_letter_or_digit() {
        for name in ["a", "0", "fashion-mnist", "v1.2_x"] {
            assert!(is_name(name), "{name}");
        }
        for text in ["", "A", "-a", ".a", "a b", "a/b", "é", &"a".repeat(129)] {
            assert!(!is_name(text), "{text}");
        }
    }

    #[test]
    fn a_layer_is_not_called_by_a_number() {
        for name in ["conv1", "Conv_1", "1a", "-"] {
            assert!(is_layer_name(name), "{name}");
        }
        for text in ["", "0", "12", "a.b", "a b", "é", &"a".repeat(129)] {
            assert!(!is_layer_name(text), "{text}");
        }
    }
}
