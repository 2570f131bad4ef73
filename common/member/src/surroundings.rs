//! A member as its engine sees it: the waits for the other members, the disk, and what is shown but not stored.

use crate::Member;
use bson::{RawDocument, RawDocumentBuf};
use command::{BoxFuture, WriteConcernError};
use engine::{Disk, Surroundings};
use frontend::commands::current_op;
use std::path::Path;
use std::time::Instant;
use types::{Fault, Namespace, OpTime, ReadAt, ReadConcern, W, WriteConcern};

/// The file system that holds the data; `None` where the system does not say.
pub(crate) fn disk(dir: &Path) -> Option<Disk> {
    let stat = rustix::fs::statvfs(dir).ok()?;
    let total = stat.f_blocks * stat.f_frsize;
    Some(Disk { used: total.saturating_sub(stat.f_bfree * stat.f_frsize), total })
}

impl Surroundings for Member {
    fn disk(&self) -> Option<Disk> {
        disk(&self.dir)
    }

    fn check_writable(&self, _ns: &Namespace) -> Result<(), Fault> {
        self.replication.check_writable()
    }

    fn acknowledge(
        &self,
        op_time: OpTime,
        concern: &WriteConcern,
        deadline: Option<Instant>,
    ) -> BoxFuture<Result<Option<WriteConcernError>, Fault>> {
        let (replication, concern) = (self.replication.clone(), concern.clone());
        Box::pin(async move { replication.await_write_concern(op_time, &concern, deadline).await })
    }

    fn read_ready(
        &self,
        concern: &ReadConcern,
        deadline: Option<Instant>,
    ) -> BoxFuture<Result<ReadAt, Fault>> {
        Box::pin(self.waits().read_ready(*concern, deadline))
    }

    /// A majority, or one member where arbiters make it likely that no majority of those with data can be had.
    fn implicit_write_concern(&self) -> WriteConcern {
        let view = self.replication.view();
        let short = view.config.as_ref().is_some_and(|config| {
            let arbiters = config.voters().filter(|member| member.arbiter_only).count();
            let with_data = config.voters().filter(|member| member.holds_data()).count();
            arbiters > 0 && with_data <= config.majority()
        });
        match short {
            true => WriteConcern { w: W::Count(1), ..WriteConcern::default() },
            false => WriteConcern::default(),
        }
    }

    fn holds_background_writes(&self) -> bool {
        self.front.write_lock.is_locked()
    }

    /// `local.system.replset`: the configuration, which is kept elsewhere.
    fn virtual_documents(&self, ns: &Namespace) -> Option<Vec<RawDocumentBuf>> {
        if ns.as_str() != "local.system.replset" {
            return None;
        }
        let config = self.replication.view().config.as_ref().map(|config| config.to_document());
        // A configuration that does not encode would have been refused when it came.
        Some(config.and_then(|config| RawDocumentBuf::try_from(&config).ok()).into_iter().collect())
    }

    fn current_operations(&self, stage: &RawDocument) -> Result<Vec<RawDocumentBuf>, Fault> {
        let options = current_op::StageOptions::parse(stage)?;
        current_op::raw_documents(&self.front, options.idle)
    }
}
