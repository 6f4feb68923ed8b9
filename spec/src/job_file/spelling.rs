//! The word that a person most likely meant, and how words from outside are shown: quoted, escaped and cut.

/// Longer texts are cut when shown.
const SHOWN: usize = 80;

/// Words longer than this are no misspelling of a known one.
const COMPARED: usize = 64;

/// The known word that `word` most likely stands for, if one is near: the fewest edits, upper case for lower case counting
/// none, else the only one that begins as the word does.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    if word.chars().count() > COMPARED {
        return None;
    }
    let word = word.to_lowercase();
    let edits = |known: &str| strsim::osa_distance(&word, known);
    let near = known.iter().copied().min_by_key(|known| edits(known))?;
    let longer = word.chars().count().max(near.chars().count());
    if edits(near) <= (longer / 3).max(1) && edits(near) < longer {
        return Some(near);
    }
    let mut begun = known.iter().copied().filter(|known| {
        word.len() >= 3 && known.starts_with(&word) || known.len() >= 3 && word.starts_with(*known)
    });
    begun.next().filter(|_| begun.next().is_none())
}

/// The text in quotes, on one line, cut if it is long.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", shown(text))
}

/// The text on one line, cut if it is long.
pub(super) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for (index, char) in text.chars().enumerate() {
        if index == SHOWN {
            shown.push('…');
            break;
        }
        if char == '"' {
            shown.push(char);
        } else {
            shown.extend(char.escape_debug());
        }
    }
    shown
}

/// `"a"`, `"a" or "b"`, `"a", "b" or "c"`.
pub(super) fn listed(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &[
        "batch_size",
        "drop_last",
        "epochs",
        "lr",
        "max_pool2d",
        "optimizer",
        "seed",
        "steps",
    ];

    #[test]
    fn misspelt_words_find_the_word_that_was_meant() {
        for (word, meant) in [
            ("epoch", "epochs"),
            ("Epochs", "epochs"),
            ("epcohs", "epochs"),
            ("optimiser", "optimizer"),
            ("batchsize", "batch_size"),
            ("batch", "batch_size"),
            ("MaxPool2d", "max_pool2d"),
            ("max_pool", "max_pool2d"),
            ("l", "lr"),
        ] {
            assert_eq!(nearest(word, KNOWN), Some(meant), "{word}");
        }
    }

    #[test]
    fn words_that_are_like_nothing_find_nothing() {
        for word in [
            "",
            "x",
            "qq",
            "dropout_rate",
            "verify",
            &"e".repeat(1 << 20),
        ] {
            assert_eq!(nearest(word, KNOWN), None, "{}", shown(word));
        }
        assert_eq!(nearest("epochs", &[]), None);
    }

    #[test]
    fn shown_texts_stay_on_one_line_and_short() {
        assert_eq!(shown("a\nb"), "a\\nb");
        assert_eq!(shown(&"é".repeat(100)).chars().count(), SHOWN + 1);
    }
}
