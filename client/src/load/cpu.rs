//! Processor time of processes, as /proc counts it in ticks: right for runs of seconds.

use std::fs;

/// A process to watch: `None` is this one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Watched(pub(crate) Option<u32>);

impl Watched {
    /// Microseconds of user and system time so far; `None` if the process is gone.
    pub(crate) fn micros(self) -> Option<u64> {
        let path = match self.0 {
            Some(pid) => format!("/proc/{pid}/stat"),
            None => "/proc/self/stat".to_owned(),
        };
        let text = fs::read_to_string(path).ok()?;
        // The name in parentheses may contain anything; user and system time are the 12th and 13th field after it.
        let (_, fields) = text.rsplit_once(')')?;
        let mut fields = fields.split_ascii_whitespace().skip(11);
        let user: u64 = fields.next()?.parse().ok()?;
        let system: u64 = fields.next()?.parse().ok()?;
        Some((user + system) * 1_000_000 / rustix::param::clock_ticks_per_second().max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_time() {
        let before = Watched(None).micros().unwrap();
        let begin = std::time::Instant::now();
        let mut sum = 0_u64;
        while begin.elapsed().as_millis() < 60 {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(Watched(Some(std::process::id())).micros().unwrap() > before);
        assert!(Watched(Some(u32::MAX)).micros().is_none());
    }
}
