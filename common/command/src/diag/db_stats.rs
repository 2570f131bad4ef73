//! `dbStats`: sizes of one database.

use crate::parse::Body;
use crate::{Envelope, Request};
use types::Fault;

/// A `dbStats` command.
#[derive(Debug, Clone, PartialEq)]
pub struct DbStats {
    pub db: String,
    /// Sizes are divided by this; at least 1.
    pub scale: i64,
    pub free_storage: bool,
}

impl DbStats {
    /// Reads the command.
    ///
    /// # Errors
    /// As MongoDB, for bad fields.
    pub fn parse(request: &Request, envelope: &Envelope) -> Result<DbStats, Fault> {
        let mut stats = DbStats { db: envelope.db.clone(), scale: 1, free_storage: false };
        Body::of(request, "dbStats").each(|field| {
            match field.name {
                "scale" => stats.scale = field.positive()?,
                "freeStorage" => stats.free_storage = field.flag()?,
                "comment" => {}
                _ => return field.unknown(),
            }
            Ok(())
        })?;
        Ok(stats)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{check_faults, envelope, request};
    use bson::doc;

    #[test]
    fn fields_are_read() {
        let parse = |body| DbStats::parse(&request(body), &envelope());
        let stats = parse(doc! {"dbStats": 1, "scale": 1024.0, "freeStorage": 0}).unwrap();
        assert_eq!(stats, DbStats { db: "d".into(), scale: 1024, free_storage: false });
        check_faults(|body| parse(body).map(drop), &[(doc! {"dbStats": 1, "scale": 0}, 51024, "")]);
    }
}
