//! The write concern of a request: flags over connection string over the server's default.

use super::{Uri, Writer, uri::parse_w};
use clap::Args;
use types::W;

/// Flags of the subcommands that write.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct WriteConcernFlags {
    /// Members that must have a write: a number or `majority` [default: the server's default, majority]
    #[arg(long, value_name = "W", value_parser = |text: &str| parse_w(text).ok_or("a number up to 50, majority, or a mode"))]
    pub(crate) w: Option<W>,
    /// Wait until each write is in the synced journal (`--j false` to not ask for it)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub(crate) j: Option<bool>,
}

impl WriteConcernFlags {
    /// Fills what the flags leave open from the connection string.
    #[must_use]
    pub(crate) fn or_of(&self, uri: &Uri) -> WriteConcernFlags {
        WriteConcernFlags {
            w: self.w.clone().or_else(|| uri.options.w.clone()),
            j: self.j.or(uri.options.journal),
        }
    }

    /// Whether the server will not answer writes.
    pub(crate) fn is_unacknowledged(&self) -> bool {
        self.w == Some(W::Count(0))
    }

    /// Appends `writeConcern`, or nothing if the server's default applies.
    pub(crate) fn write(&self, body: &mut Writer) {
        if self.w.is_none() && self.j.is_none() {
            return;
        }
        let concern = body.begin_document("writeConcern");
        match &self.w {
            Some(W::Count(count)) => body.int32("w", i32::try_from(*count).unwrap_or(i32::MAX)),
            Some(W::Majority) => body.string("w", "majority"),
            Some(W::Mode(mode)) => body.string("w", mode),
            Some(W::Tags(tags)) => {
                let open = body.begin_document("w");
                for (tag, count) in tags {
                    body.int32(tag, i32::try_from(*count).unwrap_or(i32::MAX));
                }
                body.end(open);
            }
            Some(W::Default) | None => {}
        }
        if let Some(journal) = self.j {
            body.boolean("j", journal);
        }
        body.end(concern);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Document, doc};

    #[test]
    fn flags_win_over_the_connection_string() {
        let uri: Uri = "mongodb://a/?w=1&journal=true".parse().unwrap();
        let rows = [
            (
                WriteConcernFlags { w: Some(W::Majority), j: None },
                doc! { "writeConcern": { "w": "majority", "j": true } },
            ),
            (WriteConcernFlags { w: None, j: Some(false) }, doc! { "writeConcern": { "w": 1, "j": false } }),
        ];
        for (flags, expected) in rows {
            let mut writer = Writer::default();
            let open = writer.begin();
            flags.or_of(&uri).write(&mut writer);
            writer.end(open);
            assert_eq!(Document::from_reader(writer.bytes.as_slice()).unwrap(), expected);
        }
        let mut writer = Writer::default();
        WriteConcernFlags::default().or_of(&Uri::local(1)).write(&mut writer);
        assert!(writer.bytes.is_empty());
    }
}
