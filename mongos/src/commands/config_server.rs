//! Handing a command to the config server, which alone changes the cluster's metadata.

use crate::node::Node;
use crate::routing::Target;
use crate::shards::Sending;
use bson::RawDocumentBuf;
use command::{Context, Reply, Request};
use types::{Fault, ShardId};

/// The config server as a target.
pub(super) fn target() -> Target {
    Target { shard: ShardId::config(), routing: None }
}

/// Runs the client's command on the config server under its internal name there: same fields, other first name.
///
/// # Errors
/// The config server's fault.
pub(super) async fn forward_as(
    node: &Node,
    ctx: &Context,
    name: &str,
    request: &Request,
) -> Result<Reply, Fault> {
    let mut body = RawDocumentBuf::new();
    for (position, element) in request.body.iter().enumerate() {
        let (field, value) =
            element.map_err(|error| Fault::new(types::Code::InvalidBSON, error.to_string()))?;
        match position {
            0 => {
                let name = bson::raw::CString::try_from(name)
                    .map_err(|_| Fault::internal("command name with a NUL"))?;
                body.append(name, value);
            }
            _ => body.append(field, value),
        }
    }
    node.ask(ctx, &target(), &Request::from_body(body), Sending::Write).await
}
