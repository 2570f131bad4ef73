//! `_shardsvrEnterCriticalSection`, `_shardsvrLeaveCriticalSection`: the config server holds a collection's requests back.

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

pub(super) const LEAVE: Spec<Node> =
    internal("_shardsvrLeaveCriticalSection", "lets requests to a collection go on", |node, _, request| {
        Box::pin(async move {
            node.leave_section(&fields::namespace(&request)?).await?;
            Ok(Reply::ok())
        })
    });
