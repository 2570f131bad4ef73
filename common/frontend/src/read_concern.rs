//! Which commands take which read concern. The level that everybody takes is local.

use command::{Envelope, Spec};
use types::{Code, Fault, ReadConcernLevel};

/// Refuses a level that the command cannot read at.
///
/// # Errors
/// `InvalidOptions` (72).
pub(crate) fn check<S>(spec: &Spec<S>, envelope: &Envelope) -> Result<(), Fault> {
    let Some(level) = envelope.read_concern.level else { return Ok(()) };
    // Statements of transactions take the level of their transaction.
    if supports(spec.name, level) || envelope.in_transaction() {
        return Ok(());
    }
    Err(Fault::new(
        Code::InvalidOptions,
        format!(
            "Command {} does not support {{ readConcern: {{ level: \"{}\", provenance: \"clientSupplied\" }} }} \
             :: caused by :: read concern not supported",
            spec.name,
            level.as_str()
        ),
    ))
}

fn supports(name: &str, level: ReadConcernLevel) -> bool {
    match level {
        ReadConcernLevel::Local => true,
        ReadConcernLevel::Available | ReadConcernLevel::Majority | ReadConcernLevel::Linearizable => {
            matches!(name, "find" | "aggregate" | "count" | "distinct" | "explain")
        }
        ReadConcernLevel::Snapshot => matches!(name, "find" | "aggregate" | "distinct" | "explain"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_take_every_level_and_others_only_local() {
        for (name, takes) in [
            ("find", [true, true, true, true, true]),
            ("count", [true, true, true, true, false]),
            ("insert", [true, false, false, false, false]),
            ("getMore", [true, false, false, false, false]),
            ("ping", [true, false, false, false, false]),
        ] {
            let levels = [
                ReadConcernLevel::Local,
                ReadConcernLevel::Available,
                ReadConcernLevel::Majority,
                ReadConcernLevel::Linearizable,
                ReadConcernLevel::Snapshot,
            ];
            assert_eq!(levels.map(|level| supports(name, level)), takes, "{name}");
        }
    }
}
