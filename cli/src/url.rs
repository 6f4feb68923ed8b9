//! Where a coordinator may be.

use crate::stop::Stop;

/// Checks that a text can be a coordinator's URL: `http://` and a host.
///
/// # Errors
/// It is another text.
pub fn check(url: &str) -> Result<(), Stop> {
    let host = url.strip_prefix("http://").unwrap_or_default();
    if host.is_empty() || host.contains(char::is_whitespace) {
        Err(Stop::refused(format!(
            "\"{url}\" is not a coordinator's URL: expected one as http://127.0.0.1:7070"
        )))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_needs_its_scheme_and_a_host() {
        for good in ["http://127.0.0.1:7070", "http://yard", "http://[::1]:1/"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "yard:7070",
            "ftp://yard",
            "https://yard",
            "http://",
            "http://a b",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
