//! Progress bars on the terminal's error stream; nothing is drawn where that is not a terminal.

use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// How often bars are brought up to date.
pub(crate) const TICK: Duration = Duration::from_millis(150);

/// A bar over a known number of operations.
pub(crate) fn operations(total: u64, what: &str) -> ProgressBar {
    styled(
        ProgressBar::new(total),
        "{prefix} [{bar:32}] {human_pos}/{human_len} {per_sec} eta {eta} {msg}",
        what,
    )
}

/// A bar over the bytes of a file, or a spinner where the size is not known.
pub(crate) fn bytes(total: Option<u64>, what: &str) -> ProgressBar {
    match total {
        Some(total) => {
            styled(ProgressBar::new(total), "{prefix} [{bar:32}] {bytes}/{total_bytes} eta {eta} {msg}", what)
        }
        None => styled(ProgressBar::new_spinner(), "{prefix} {spinner} {bytes} {elapsed} {msg}", what),
    }
}

fn styled(bar: ProgressBar, template: &str, what: &str) -> ProgressBar {
    bar.set_prefix(what.to_owned());
    // A template that does not parse costs the looks of the bar, nothing else; the test below keeps them right.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

/// `12,345` for people.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Operations a second, as a whole number.
pub(crate) fn rate(count: u64, seconds: f64) -> u64 {
    if seconds > 0.0 { (count as f64 / seconds).round() as u64 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, expected) in
            [(0, "0"), (999, "999"), (1000, "1,000"), (171_075, "171,075"), (1_234_567, "1,234,567")]
        {
            assert_eq!(grouped(number), expected);
        }
        assert_eq!(rate(10, 2.0), 5);
        assert_eq!(rate(10, 0.0), 0);
    }

    #[test]
    fn templates_parse() {
        for template in [
            "{prefix} [{bar:32}] {human_pos}/{human_len} {per_sec} eta {eta} {msg}",
            "{prefix} [{bar:32}] {bytes}/{total_bytes} eta {eta} {msg}",
            "{prefix} {spinner} {bytes} {elapsed} {msg}",
        ] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }
}
