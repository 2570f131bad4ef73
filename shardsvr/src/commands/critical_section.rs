//! `_shardsvrEnterCriticalSection`, `_shardsvrLeaveCriticalSection`: the config server holds a collection's requests back.

use super::{fields, internal};
use crate::node::Node;
use command::{Reply, Spec};

pub(super) const ENTER: Spec<Node> =
    internal("_shardsvrEnterCriticalSection", "holds requests to a collection back", |node, _, request| {
        Box::pin(async move {
            node.require_identity()?;
            node.gate.enter_critical(&fields::namespace(&request)?).await?;
            Ok(Reply::ok())
        })
    });

pub(super) const LEAVE: Spec<Node> =
    internal("_shardsvrLeaveCriticalSection", "lets requests to a collection go on", |node, _, request| {
        Box::pin(async move {
            node.gate.leave_critical(&fields::namespace(&request)?).await;
            Ok(Reply::ok())
        })
    });
