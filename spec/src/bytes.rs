//! Amounts of memory as people read and write them.

use std::fmt;
use std::str::FromStr;

/// An amount of memory, in bytes: printed as `1.5 MiB`, read from `1.5MiB`, `512 KiB` or a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

/// The units, smallest first, each 1024 of the one before.
const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];

/// A text that is no amount of memory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an amount of memory as 512MiB, 1.5GiB or a number of bytes")]
pub struct NotBytes;

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut value = self.0 as f64;
        for unit in UNITS {
            if value < 1024.0 && unit == "B" {
                return write!(f, "{} B", self.0);
            } else if value < 1024.0 || unit == "TiB" {
                return write!(f, "{value:.1} {unit}");
            }
            value /= 1024.0;
        }
        Ok(())
    }
}

impl FromStr for Bytes {
    type Err = NotBytes;

    fn from_str(text: &str) -> Result<Self, NotBytes> {
        let end = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let unit = unit.trim_start();
        let power = match unit {
            "" => Some(0),
            _ => UNITS
                .iter()
                .position(|known| known.eq_ignore_ascii_case(unit)),
        };
        let scale = (1u64 << (10 * power.ok_or(NotBytes)?)) as f64;
        let bytes = number.parse::<f64>().map_err(|_| NotBytes)? * scale;
        if bytes.is_finite() && bytes < u64::MAX as f64 {
            Ok(Bytes(bytes as u64))
        } else {
            Err(NotBytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_printed_in_the_largest_unit_that_leaves_one() {
        let printed =
            [0, 512, 1536, 3 << 20, 5 << 30, 2 << 50].map(|bytes| Bytes(bytes).to_string());
        assert_eq!(
            printed,
            [
                "0 B",
                "512 B",
                "1.5 KiB",
                "3.0 MiB",
                "5.0 GiB",
                "2048.0 TiB"
            ]
        );
    }

    #[test]
    fn amounts_are_read_with_and_without_a_unit() {
        let cases = [
            ("512", 512),
            ("512 B", 512),
            ("1.5KiB", 1536),
            ("3mib", 3 << 20),
            ("0.5 GiB", 1 << 29),
        ];
        for (text, bytes) in cases {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
        for text in [
            "",
            "MiB",
            "1 MB",
            "-1",
            "1..5KiB",
            "1e3",
            "99999999999999999999999",
        ] {
            assert_eq!(text.parse::<Bytes>(), Err(NotBytes), "{text}");
        }
    }
}
