//! The range of keys that start with a prefix.

use std::ops::Bound;

/// A pair of bounds on keys.
pub(crate) type KeyRange = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// The keys that start with `prefix` and, if given, come strictly after `after`.
pub(crate) fn starting_with(prefix: &[u8], after: Option<&[u8]>) -> KeyRange {
    let lower = match after {
        Some(after) if after >= prefix => Bound::Excluded(after.to_vec()),
        _ => Bound::Included(prefix.to_vec()),
    };
    // The first key past all of them is the prefix with its last byte that can grow grown.
    let mut end = prefix.to_vec();
    while end.last() == Some(&u8::MAX) {
        end.pop();
    }
    let upper = match end.last_mut() {
        Some(byte) => {
            *byte += 1;
            Bound::Excluded(end)
        }
        None => Bound::Unbounded,
    };
    (lower, upper)
}

/// Whether no key lies in `range`, so far as its bounds tell; ordered maps panic on such ranges.
pub(crate) fn is_void((lower, upper): &KeyRange) -> bool {
    match (lower, upper) {
        (Bound::Included(low) | Bound::Excluded(low), Bound::Excluded(high)) => low >= high,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_where_its_last_growable_byte_grows() {
        let end = |prefix: &[u8]| starting_with(prefix, None).1;
        assert_eq!(end(b"ab"), Bound::Excluded(b"ac".to_vec()));
        assert_eq!(end(&[7, 255, 255]), Bound::Excluded(vec![8]));
        assert_eq!(end(&[255]), Bound::Unbounded);
        assert_eq!(end(&[]), Bound::Unbounded);
    }

    #[test]
    fn a_start_past_the_prefix_leaves_nothing() {
        assert!(is_void(&starting_with(b"a", Some(b"b"))));
        assert!(!is_void(&starting_with(b"b", Some(b"a"))));
        assert!(!is_void(&starting_with(b"a", Some(b"aa"))));
    }
}
