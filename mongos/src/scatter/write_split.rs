//! A batch of writes, dealt over the shards that own the documents, and one outcome made of theirs.
//! Ordered batches keep their promise (nothing after the first error is done) by going run by run; unordered ones go to all shards
//! at once. A statement that a shard refused as stale was not executed there, and is routed again; the others are never repeated.

use super::fan_out::fan_out;
use crate::node::Node;
use crate::routing::{ROUTE_ATTEMPTS_MAX, Route, Target, note_stale};
use crate::shards::{is_repeatable_write, label_write};
use bson::{RawArrayBuf, RawBson};
use command::{Context, Request, Rewrite, Upserted, WriteError, WriteOptions, WriteOutcome};
use std::collections::{BTreeMap, HashSet};
use std::time::Instant;
use types::{Fault, Namespace, ShardId};
use value::SharedDoc;

/// Which command a batch belongs to, and under which name its statements travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteKind {
    Insert,
    Update,
    Delete,
}

impl WriteKind {
    fn field(self) -> &'static str {
        match self {
            WriteKind::Insert => "documents",
            WriteKind::Update => "updates",
            WriteKind::Delete => "deletes",
        }
    }
}

/// One statement on its way.
#[derive(Debug, Clone)]
pub struct Statement {
    /// Position in the client's batch.
    pub index: usize,
    /// The statement as the shard gets it.
    pub raw: SharedDoc,
    /// Shards that have executed it already, where it goes to several.
    done: HashSet<ShardId>,
}

impl Statement {
    /// A statement that nobody has executed yet.
    pub fn new(index: usize, raw: SharedDoc) -> Statement {
        Statement { index, raw, done: HashSet::new() }
    }
}

/// Statements for one shard, by their place in the pending list.
#[derive(Debug)]
struct Group {
    target: Target,
    members: Vec<usize>,
}

/// Runs the statements. `target_of` says which shards a statement concerns on a given route.
///
/// # Errors
/// What stops the whole batch: no route, a deadline, a shard that cannot be reached while nothing was done yet.
pub async fn run_writes<T>(
    node: &Node,
    ctx: &Context,
    ns: &Namespace,
    request: &Request,
    kind: WriteKind,
    options: &WriteOptions,
    statements: Vec<Statement>,
    target_of: T,
) -> Result<WriteOutcome, Fault>
where
    T: Fn(&Route, &Statement) -> Result<Vec<Target>, Fault>,
{
    let whole = statements.len();
    let mut outcome =
        WriteOutcome { n_modified: (kind == WriteKind::Update).then_some(0), ..WriteOutcome::default() };
    let mut pending = statements;
    let mut stale_rounds = 0;
    while !pending.is_empty() {
        ctx.check(Instant::now())?;
        let route = match kind {
            WriteKind::Delete => node.routing.route(ns).await?,
            WriteKind::Insert | WriteKind::Update => node.routing.route_or_create(ns).await?,
        };
        let groups = match group(&route, options.ordered, &mut pending, &mut outcome, &target_of) {
            Some(groups) => groups,
            None => break,
        };
        let untouched = groups.len() == 1 && groups.iter().all(|group| group.members.len() == whole);
        let targets: Vec<Target> = groups.iter().map(|group| group.target.clone()).collect();
        let repeatable = is_repeatable_write(ctx);
        let answers = fan_out(node, ctx, &targets, repeatable, |target| {
            let group = groups.iter().find(|group| group.target.shard == target.shard);
            let members: Vec<&Statement> = group
                .iter()
                .flat_map(|group| &group.members)
                .filter_map(|place| pending.get(*place))
                .collect();
            if untouched
                && members.iter().all(|statement| statement.done.is_empty())
                && kind != WriteKind::Insert
            {
                return Ok(request.clone());
            }
            subset(ctx, request, kind, options, &members)
        })
        .await;

        let mut stale = None;
        for (group, (shard, answer)) in groups.iter().zip(answers) {
            match answer
                .map_err(|fault| label_write(fault, ctx))
                .and_then(|reply| WriteOutcome::from_reply(&reply.doc))
            {
                Ok(part) => {
                    absorb(&mut outcome, part, group, &pending);
                    for place in &group.members {
                        if let Some(statement) = pending.get_mut(*place) {
                            statement.done.insert(shard.clone());
                        }
                    }
                }
                Err(fault) if note_stale(&node.routing, ns, &fault) => stale = Some(fault),
                // A driver retries the whole command on this error, and the shards know what they did already.
                Err(fault) if fault.code.is_retryable() || whole == 1 => return Err(fault),
                Err(fault) => {
                    for place in &group.members {
                        if let Some(statement) = pending.get_mut(*place) {
                            outcome.errors.push(WriteError { index: statement.index, fault: fault.clone() });
                            statement.done.insert(shard.clone());
                        }
                        if options.ordered {
                            break;
                        }
                    }
                }
            }
        }
        if options.ordered && !outcome.errors.is_empty() {
            break;
        }
        match stale {
            Some(fault) => {
                node.stale_routes.inc();
                stale_rounds += 1;
                if stale_rounds == ROUTE_ATTEMPTS_MAX {
                    return Err(label_write(fault, ctx));
                }
                // Whoever was executed on all its shards is finished; the others are routed again.
                drop_finished(&mut pending, &groups);
            }
            None => {
                let finished: HashSet<usize> =
                    groups.iter().flat_map(|group| group.members.iter().copied()).collect();
                let mut place = 0;
                pending.retain(|_| {
                    place += 1;
                    !finished.contains(&(place - 1))
                });
            }
        }
    }
    outcome.errors.sort_by_key(|error| error.index);
    // A broadcast statement may have failed on several shards: the client asked once and hears once.
    outcome.errors.dedup_by_key(|error| error.index);
    outcome.upserted.sort_by_key(|upserted| upserted.index);
    Ok(outcome)
}

/// Deals the next statements to shards: all of them if unordered, else the longest run that goes to one shard.
/// A statement that cannot be routed is an error of that statement. `None` where nothing is left to send.
fn group<T>(
    route: &Route,
    ordered: bool,
    pending: &mut Vec<Statement>,
    outcome: &mut WriteOutcome,
    target_of: &T,
) -> Option<Vec<Group>>
where
    T: Fn(&Route, &Statement) -> Result<Vec<Target>, Fault>,
{
    let mut groups: BTreeMap<ShardId, Group> = BTreeMap::new();
    for (place, statement) in pending.iter().enumerate() {
        let targets = match target_of(route, statement) {
            Ok(targets) => targets,
            Err(fault) if ordered && !groups.is_empty() => {
                drop(fault); // its turn comes when those before it are done
                break;
            }
            Err(fault) => {
                outcome.errors.push(WriteError { index: statement.index, fault });
                if ordered {
                    return None;
                }
                continue;
            }
        };
        let targets: Vec<Target> =
            targets.into_iter().filter(|target| !statement.done.contains(&target.shard)).collect();
        let starts_run = groups.is_empty();
        let continues_run = groups.len() == 1
            && targets.len() == 1
            && targets.iter().all(|target| groups.contains_key(&target.shard));
        if ordered && !starts_run && !continues_run {
            break;
        }
        let is_broadcast = targets.len() > 1;
        for target in targets {
            let shard = target.shard.clone();
            groups.entry(shard).or_insert_with(|| Group { target, members: Vec::new() }).members.push(place);
        }
        if ordered && is_broadcast {
            break;
        }
    }
    // Statements that concern no shard (nothing can match) are done; so are those that cannot be routed.
    let grouped: HashSet<usize> = groups.values().flat_map(|group| group.members.iter().copied()).collect();
    if groups.is_empty() {
        pending.clear();
        return None;
    }
    let last = grouped.iter().copied().max().unwrap_or(0);
    let mut kept = BTreeMap::new();
    let mut place = 0;
    let mut next = 0;
    pending.retain(|_| {
        let keep = grouped.contains(&place) || (ordered && place > last);
        if keep {
            kept.insert(place, next);
            next += 1;
        }
        place += 1;
        keep
    });
    let renumber = |mut group: Group| {
        group.members = group.members.iter().filter_map(|place| kept.get(place).copied()).collect();
        group
    };
    Some(groups.into_values().map(renumber).collect())
}

/// After a stale round: drops the statements whose every target of this round has executed them.
fn drop_finished(pending: &mut Vec<Statement>, groups: &[Group]) {
    let mut unfinished = HashSet::new();
    for group in groups {
        for place in &group.members {
            if pending.get(*place).is_some_and(|statement| !statement.done.contains(&group.target.shard)) {
                unfinished.insert(*place);
            }
        }
    }
    let grouped: HashSet<usize> = groups.iter().flat_map(|group| group.members.iter().copied()).collect();
    let mut place = 0;
    pending.retain(|_| {
        let keep = !grouped.contains(&place) || unfinished.contains(&place);
        place += 1;
        keep
    });
}

/// The client's command with these statements only; numbered, so that a retry is known by the same numbers wherever it goes.
fn subset(
    ctx: &Context,
    request: &Request,
    kind: WriteKind,
    options: &WriteOptions,
    members: &[&Statement],
) -> Result<Request, Fault> {
    let mut rewrite = Rewrite::of(request)
        .sequence(kind.field(), members.iter().map(|statement| statement.raw.clone()).collect())
        .remove("stmtId");
    if ctx.envelope.txn_number.is_some() {
        let numbers: RawArrayBuf =
            members.iter().map(|statement| options.statements.of(statement.index)).collect();
        rewrite = rewrite.set("stmtIds", RawBson::Array(numbers));
    }
    rewrite.finish()
}

/// Adds a shard's outcome, with positions of the client's batch.
fn absorb(outcome: &mut WriteOutcome, part: WriteOutcome, group: &Group, pending: &[Statement]) {
    let index_of = |position: usize| {
        group
            .members
            .get(position)
            .and_then(|place| pending.get(*place))
            .map_or(position, |statement| statement.index)
    };
    outcome.n += part.n;
    if let (Some(sum), Some(modified)) = (&mut outcome.n_modified, part.n_modified) {
        *sum += modified;
    }
    outcome.upserted.extend(
        part.upserted
            .into_iter()
            .map(|upserted| Upserted { index: index_of(upserted.index), id: upserted.id }),
    );
    outcome.errors.extend(
        part.errors.into_iter().map(|error| WriteError { index: index_of(error.index), fault: error.fault }),
    );
    if outcome.write_concern_error.is_none() {
        outcome.write_concern_error = part.write_concern_error;
    }
    outcome.retried_statements.extend(part.retried_statements);
}
