//! Lines for people and scripts, on standard output and standard error.

use std::fmt::Arguments;
use std::io::Write;

/// Writes a line to standard output. A reader that has gone away (`shoal up | head -1`) is no reason to stop half-way.
pub(crate) fn line(text: Arguments<'_>) {
    writeln!(std::io::stdout(), "{text}").ok(); // as said above
}

/// Writes a line to standard error, with the same patience.
pub(crate) fn error_line(text: Arguments<'_>) {
    writeln!(std::io::stderr(), "{text}").ok(); // as above
}

/// `println!` that does not panic when nobody reads any more.
macro_rules! say {
    () => { $crate::output::line(format_args!("")) };
    ($($text:tt)*) => { $crate::output::line(format_args!($($text)*)) };
}

/// `eprintln!` that does not panic when nobody reads any more.
macro_rules! complain {
    ($($text:tt)*) => { $crate::output::error_line(format_args!($($text)*)) };
}
