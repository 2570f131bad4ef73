//! `_shardsvrEnterCriticalSection`, `_shardsvrLeaveCriticalSection`, `_shardsvrEndCriticalSections`: the config server holds a collection's requests back.

use super::{fields, internal};
use crate::node::Node;
use command::{Reply, Spec};

pub(super) const ENTER: Spec<Node> =
    internal("_shardsvrEnterCriticalSection", "holds requests to a collection back", |node, _, request| {
        Box::pin(async move {
            node.require_identity()?;
            let ns = fields::namespace(&request)?;
            node.enter_section(&ns, request.body.get_i64("configTerm").unwrap_or(0)).await?;
            Ok(Reply::ok())
        })
    });

pub(super) const END: Spec<Node> = internal(
    "_shardsvrEndCriticalSections",
    "ends what earlier primaries of the config server held back",
    |node, _, request| {
        Box::pin(async move {
            let term =
                request.body.get_i64("configTerm").map_err(|_| fields::malformed(&request, "configTerm"))?;
            node.end_sections_before(term).await?;
            Ok(Reply::ok())
        })
    },
);

pub(super) const LEAVE: Spec<Node> =
    internal("_shardsvrLeaveCriticalSection", "lets requests to a collection go on", |node, _, request| {
        Box::pin(async move {
            node.leave_section(&fields::namespace(&request)?).await?;
            Ok(Reply::ok())
        })
    });
