//! A batch of writes, dealt over the shards that own the documents, and one outcome made of theirs.
//! Ordered batches keep their promise (nothing after the first error is done) by going run by run; unordered ones go to all shards
//! at once. A statement that a shard refused as stale was not executed there, and is routed again; the others are never repeated.

use super::fan_out::fan_out;
use crate::node::Node;
use crate::routing::{ROUTE_ATTEMPTS_MAX, Route, Target, note_stale};
use crate::shards::{Sending, label_write};
use bson::{RawArrayBuf, RawBson};
use command::{Context, Request, Rewrite, Upserted, WriteError, WriteOptions, WriteOutcome};
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::time::{Duration, Instant};
use types::{Fault, Namespace, ShardId, W, WriteConcern};
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

/// The command that statements belong to.
#[derive(Debug, Clone, Copy)]
pub struct WriteBatch<'a> {
    pub ns: &'a Namespace,
    pub request: &'a Request,
    pub kind: WriteKind,
    pub options: &'a WriteOptions,
}

/// Acknowledged once it is done, before the journal has it.
const RELAXED: WriteConcern = WriteConcern { w: W::Count(1), journal: Some(false), timeout: Duration::ZERO };

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
    batch: WriteBatch<'_>,
    statements: Vec<Statement>,
    target_of: T,
) -> Result<WriteOutcome, Fault>
where
    T: Fn(&Route, &Statement) -> Result<Vec<Target>, Fault>,
{
    let WriteBatch { ns, request, kind, options } = batch;
    let whole = statements.len();
    let mut outcome =
        WriteOutcome { n_modified: (kind == WriteKind::Update).then_some(0), ..WriteOutcome::default() };
    let mut pending: VecDeque<Statement> = statements.into();
    let mut stale_rounds = 0;
    // Shards that have acknowledged runs before those were as safe as the client asks for.
    let mut unsettled: BTreeSet<ShardId> = BTreeSet::new();
    while !pending.is_empty() {
        ctx.check(Instant::now())?;
        let route = match kind {
            WriteKind::Delete => node.routing.route(ns).await?,
            WriteKind::Insert | WriteKind::Update => node.routing.route_or_create(ns).await?,
        };
        let round = next_round(&route, options.ordered, &pending, &mut outcome.errors, &target_of);
        let targets: Vec<Target> = round.groups.iter().map(|group| group.target.clone()).collect();
        // The runs of an ordered batch need not each wait for the write concern: one wait at the end is as good.
        let is_last = !options.ordered || round.span >= pending.len() || route.collection().is_none();
        let answers = fan_out(node, ctx, &targets, Sending::Write, |target| {
            let members: Vec<&Statement> = round
                .groups
                .iter()
                .filter(|group| group.target.shard == target.shard)
                .flat_map(|group| &group.members)
                .filter_map(|place| pending.get(*place))
                .collect();
            // The whole batch for one shard goes as it came. Inserts may have been given an `_id`.
            let is_whole = members.len() == whole && targets.len() == 1 && kind != WriteKind::Insert;
            if is_whole && are_of(request, kind, &members) {
                return Ok(request.clone());
            }
            subset(ctx, request, kind, options, &members, is_last)
        })
        .await;

        let mut stale = None;
        for (group, (shard, answer)) in round.groups.iter().zip(answers) {
            let answer = answer.and_then(|reply| WriteOutcome::from_reply(&reply.doc));
            match answer {
                Ok(part) => {
                    absorb(&mut outcome, part, group, &pending);
                    match is_last {
                        true => unsettled.remove(&shard),
                        false => unsettled.insert(shard.clone()),
                    };
                }
                Err(fault) if note_stale(&node.routing, ns, &fault) => {
                    stale = Some(fault);
                    continue;
                }
                // A driver retries the whole command on this error, and the shards know what they did already.
                Err(fault) if fault.code.is_retryable() || whole == 1 => return Err(label_write(fault, ctx)),
                Err(fault) => {
                    let failed = group.members.iter().filter_map(|place| pending.get(*place));
                    let failed =
                        failed.map(|statement| WriteError { index: statement.index, fault: fault.clone() });
                    outcome.errors.extend(failed.take(if options.ordered { 1 } else { usize::MAX }));
                }
            }
            for place in &group.members {
                if let Some(statement) = pending.get_mut(*place) {
                    statement.done.insert(shard.clone());
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
                keep_unfinished(&mut pending, &round);
            }
            None => drop(pending.drain(..round.span)),
        }
    }
    settle(node, ctx, unsettled, &mut outcome).await?;
    outcome.errors.sort_by_key(|error| error.index);
    // A broadcast statement may have failed on several shards: the client asked once and hears once.
    outcome.errors.dedup_by_key(|error| error.index);
    outcome.upserted.sort_by_key(|upserted| upserted.index);
    Ok(outcome)
}

/// Waits until all that the shards have acknowledged is as safe as the client asks for.
async fn settle(
    node: &Node,
    ctx: &Context,
    shards: BTreeSet<ShardId>,
    outcome: &mut WriteOutcome,
) -> Result<(), Fault> {
    let concern = ctx.envelope.write_concern.clone().unwrap_or_default();
    if concern.is_unacknowledged() || concern == RELAXED {
        return Ok(());
    }
    let mut body = bson::rawdoc! { "_shardsvrAwaitWrites": 1, "$db": "admin" };
    body.append(bson::raw::cstr!("writeConcern"), concern.to_doc());
    let request = Request::from_body(body);
    let targets: Vec<Target> = shards.into_iter().map(|shard| Target { shard, routing: None }).collect();
    for (_, answer) in fan_out(node, ctx, &targets, Sending::Idempotent, |_| Ok(request.clone())).await {
        let settled = answer.and_then(|reply| WriteOutcome::from_reply(&reply.doc));
        let settled = settled.map_err(|fault| label_write(fault, ctx))?;
        if outcome.write_concern_error.is_none() {
            outcome.write_concern_error = settled.write_concern_error;
        }
    }
    Ok(())
}

/// What one round sends: the groups, and how many statements from the front on it settles.
#[derive(Debug, Default)]
struct Round {
    groups: Vec<Group>,
    span: usize,
}

/// Deals the next statements to shards: all of them if unordered, else the longest run that goes to one shard.
/// A statement that cannot be routed is an error of that statement; one that concerns no shard (nothing can match) is done.
fn next_round<T>(
    route: &Route,
    ordered: bool,
    pending: &VecDeque<Statement>,
    errors: &mut Vec<WriteError>,
    target_of: &T,
) -> Round
where
    T: Fn(&Route, &Statement) -> Result<Vec<Target>, Fault>,
{
    let mut groups: BTreeMap<ShardId, Group> = BTreeMap::new();
    let mut span = 0;
    for (place, statement) in pending.iter().enumerate() {
        let targets = match target_of(route, statement) {
            Ok(targets) => targets,
            // Its turn comes when those before it are done.
            Err(_) if ordered && !groups.is_empty() => break,
            Err(fault) => {
                errors.push(WriteError { index: statement.index, fault });
                span = place + 1;
                if ordered {
                    break;
                }
                continue;
            }
        };
        let targets: Vec<Target> =
            targets.into_iter().filter(|target| !statement.done.contains(&target.shard)).collect();
        if targets.is_empty() {
            span = place + 1;
            continue;
        }
        let continues_run =
            groups.len() == 1 && matches!(targets.as_slice(), [target] if groups.contains_key(&target.shard));
        if ordered && !groups.is_empty() && !continues_run {
            break;
        }
        span = place + 1;
        let is_broadcast = targets.len() > 1;
        for target in targets {
            let shard = target.shard.clone();
            groups.entry(shard).or_insert_with(|| Group { target, members: Vec::new() }).members.push(place);
        }
        if ordered && is_broadcast {
            break;
        }
    }
    Round { groups: groups.into_values().collect(), span }
}

/// After a round in which a shard was stale: keeps the statements that some shard has still to execute.
fn keep_unfinished(pending: &mut VecDeque<Statement>, round: &Round) {
    let mut unfinished: Vec<usize> = Vec::new();
    for group in &round.groups {
        let waits = |place: &&usize| {
            pending.get(**place).is_some_and(|statement| !statement.done.contains(&group.target.shard))
        };
        unfinished.extend(group.members.iter().filter(waits));
    }
    let unfinished: HashSet<usize> = unfinished.into_iter().collect();
    let settled: Vec<Statement> = pending.drain(..round.span).collect();
    let kept = settled.into_iter().enumerate().filter(|(place, _)| unfinished.contains(place));
    let kept: Vec<Statement> = kept.map(|(_, statement)| statement).collect();
    for statement in kept.into_iter().rev() {
        pending.push_front(statement);
    }
}

/// Whether these are the statements of the request: all of them, unchanged. What a search narrowed, or left for later, is not.
fn are_of(request: &Request, kind: WriteKind, members: &[&Statement]) -> bool {
    let mut members = members.iter();
    let mut is_next = |doc: &[u8]| members.next().is_some_and(|member| member.raw.as_bytes() == doc);
    let all_agree = match request.sequence(kind.field()) {
        Some(documents) => documents.iter().all(|doc| is_next(doc.as_bytes())),
        None => request.body.get_array(kind.field()).is_ok_and(|documents| {
            documents
                .into_iter()
                .all(|doc| doc.is_ok_and(|doc| doc.as_document().is_some_and(|doc| is_next(doc.as_bytes()))))
        }),
    };
    all_agree && members.next().is_none()
}

/// The client's command with these statements only; numbered, so that a retry is known by the same numbers wherever it goes.
fn subset(
    ctx: &Context,
    request: &Request,
    kind: WriteKind,
    options: &WriteOptions,
    members: &[&Statement],
    is_last: bool,
) -> Result<Request, Fault> {
    let mut rewrite = Rewrite::of(request)
        .sequence(kind.field(), members.iter().map(|statement| statement.raw.clone()).collect())
        .remove("stmtId");
    if ctx.envelope.txn_number.is_some() {
        let numbers: RawArrayBuf =
            members.iter().map(|statement| options.statements.of(statement.index)).collect();
        rewrite = rewrite.set("stmtIds", RawBson::Array(numbers));
    }
    if !is_last {
        rewrite = rewrite.set("writeConcern", RELAXED.to_doc());
    }
    rewrite.finish()
}

/// Adds a shard's outcome, with positions of the client's batch.
fn absorb(outcome: &mut WriteOutcome, part: WriteOutcome, group: &Group, pending: &VecDeque<Statement>) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::Place;

    fn target(shard: &str) -> Target {
        Target { shard: ShardId::new(shard), routing: None }
    }

    fn statements(places: &[&str]) -> VecDeque<Statement> {
        let doc = |shards: &str| SharedDoc::from(bson::rawdoc! { "shards": shards });
        places.iter().enumerate().map(|(index, shards)| Statement::new(index, doc(shards))).collect()
    }

    /// Each statement names its shards, separated by blanks; `!` cannot be routed.
    fn target_of(_: &Route, statement: &Statement) -> Result<Vec<Target>, Fault> {
        let shards = statement.raw.get_str("shards").unwrap();
        if shards == "!" {
            return Err(Fault::bad_value("no route"));
        }
        Ok(shards.split_whitespace().map(target).collect())
    }

    /// The rounds of a batch: what goes to which shard in each, and the statements that fail.
    fn check(ordered: bool, places: &[&str], expected: &[&[(&str, &[usize])]], failed: &[usize]) {
        let route = Route { place: Place::Nowhere };
        let mut pending = statements(places);
        let mut errors = Vec::new();
        let mut rounds = Vec::new();
        while !pending.is_empty() {
            let round = next_round(&route, ordered, &pending, &mut errors, &target_of);
            assert!(round.span > 0, "every round settles something");
            let groups: Vec<(String, Vec<usize>)> = round
                .groups
                .iter()
                .map(|group| {
                    (
                        group.target.shard.to_string(),
                        group.members.iter().map(|place| pending[*place].index).collect(),
                    )
                })
                .collect();
            if !groups.is_empty() {
                rounds.push(groups);
            }
            pending.drain(..round.span);
            if ordered && !errors.is_empty() {
                break;
            }
        }
        let expected: Vec<Vec<(String, Vec<usize>)>> = expected
            .iter()
            .map(|round| {
                round.iter().map(|(shard, members)| ((*shard).to_owned(), members.to_vec())).collect()
            })
            .collect();
        assert_eq!(rounds, expected, "{places:?}");
        assert_eq!(errors.iter().map(|error| error.index).collect::<Vec<_>>(), failed, "{places:?}");
    }

    #[test]
    fn batches_are_dealt() {
        check(false, &["a", "b", "a"], &[&[("a", &[0, 2]), ("b", &[1])]], &[]);
        check(true, &["a", "b", "a"], &[&[("a", &[0])], &[("b", &[1])], &[("a", &[2])]], &[]);
        check(true, &["a", "a", "b"], &[&[("a", &[0, 1])], &[("b", &[2])]], &[]);
        check(true, &["a b", "a"], &[&[("a", &[0]), ("b", &[0])], &[("a", &[1])]], &[]);
        check(false, &["a b", "a"], &[&[("a", &[0, 1]), ("b", &[0])]], &[]);
        check(true, &["", "a", "", "a"], &[&[("a", &[1, 3])]], &[]);
        check(true, &["a", "!", "b"], &[&[("a", &[0])]], &[1]);
        check(false, &["a", "!", "b"], &[&[("a", &[0]), ("b", &[2])]], &[1]);
    }

    #[test]
    fn only_the_statements_of_the_request_go_as_it_came() {
        let pending = statements(&["a", "b", "c"]);
        let members: Vec<&Statement> = pending.iter().collect();
        let documents: Vec<SharedDoc> = pending.iter().map(|statement| statement.raw.clone()).collect();
        let body = bson::rawdoc! { "update": "c", "updates": documents.iter().map(|doc| doc.to_buf()).collect::<RawArrayBuf>() };
        let in_body = Request::from_body(body);
        let sequence = command::Sequence { name: "updates".to_owned(), documents };
        let in_sequence = Request { body: bson::rawdoc! { "update": "c" }.into(), sequences: vec![sequence] };
        let narrowed = Statement::new(1, bson::rawdoc! { "shards": "b", "more": 1 }.into());
        for request in [in_body, in_sequence] {
            let check = |members: &[&Statement]| are_of(&request, WriteKind::Update, members);
            assert!(check(&members));
            assert!(!check(&members[..1]), "one of several");
            assert!(!check(&members[1..]), "the rest");
            assert!(!check(&[members[0], &narrowed, members[2]]), "a narrowed one");
        }
    }

    #[test]
    fn a_stale_round_keeps_what_is_not_done() {
        let route = Route { place: Place::Nowhere };
        let mut pending = statements(&["a", "a b", "b", "!"]);
        let mut errors = Vec::new();
        let round = next_round(&route, false, &pending, &mut errors, &target_of);
        for place in [0, 1] {
            pending[place].done.insert(ShardId::new("a"));
        }
        keep_unfinished(&mut pending, &round);
        assert_eq!(pending.iter().map(|statement| statement.index).collect::<Vec<_>>(), [1, 2]);
        let again = next_round(&route, false, &pending, &mut errors, &target_of);
        assert_eq!(again.groups.len(), 1, "the first shard is not asked again");
        assert_eq!(again.groups[0].members, [0, 1]);
    }
}
