//! What a local cluster looks like now, asked from those processes that answer. What cannot be asked is named as a problem.

use super::layout::{Home, Layout, Member, Role};
use super::process;
use crate::link::{Connection, Error, Uri};
use bson::{Bson, Document, doc};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// One question may take this long: a hanging process must not hang the status.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// Documents in one batch of a listing.
const BATCH: i32 = 10_000;
const INTERNAL_DATABASES: [&str; 3] = ["admin", "config", "local"];

/// The whole picture; the shape of `shoal status --json`.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Survey {
    pub(crate) uri: String,
    pub(crate) processes: Vec<ProcessState>,
    pub(crate) shards: Vec<ShardState>,
    pub(crate) collections: Vec<CollectionState>,
    pub(crate) problems: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ProcessState {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) shard: Option<String>,
    pub(crate) host: String,
    pub(crate) pid: Option<i32>,
    pub(crate) running: bool,
    /// `primary`, `secondary` or `other` for a member of a replica set that answers.
    pub(crate) state: Option<&'static str>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ShardState {
    pub(crate) name: String,
    pub(crate) host: String,
    /// Chunks of all collections; `None` if the config server could not be asked.
    pub(crate) chunks: Option<u64>,
    /// Documents of all collections; `None` if the shard could not be asked.
    pub(crate) documents: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(crate) struct CollectionState {
    pub(crate) ns: String,
    pub(crate) sharded: bool,
    /// The shard key, in relaxed extended JSON.
    pub(crate) key: Option<serde_json::Value>,
    pub(crate) shards: Vec<Part>,
}

/// A collection on one shard.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Part {
    pub(crate) shard: String,
    pub(crate) chunks: Option<u64>,
    pub(crate) documents: Option<u64>,
}

/// What the config server knows.
#[derive(Debug, Default)]
struct Catalogue {
    /// Shard, address.
    shards: Vec<(String, String)>,
    /// Namespace to key and, by shard, chunks.
    collections: BTreeMap<String, (Document, BTreeMap<String, u64>)>,
}

/// Looks at everything.
pub(crate) fn survey(layout: &Layout, home: &Home) -> Survey {
    let mut survey = Survey { uri: layout.uri().unwrap_or_default(), ..Survey::default() };
    for member in &layout.members {
        let pid = process::running(member, home);
        survey.processes.push(ProcessState {
            name: member.name.clone(),
            role: member.role,
            shard: member.shard().map(str::to_owned),
            host: member.host(),
            pid: pid.map(|pid| pid.as_raw_nonzero().get()),
            running: pid.is_some(),
            state: pid.and_then(|_| state(member)),
        });
        if pid.is_none() {
            survey.problems.push(format!("{} is down", member.name));
        }
    }
    let runs = |name: &str| survey.processes.iter().any(|one| one.name == name && one.running);
    let mut problems = Vec::new();
    let mut catalogue = None;
    // The router's answer is that of a client; the config server's will do where the router is down.
    for role in [Role::Router, Role::Config] {
        for member in layout.members.iter().filter(|member| member.role == role && runs(&member.name)) {
            if catalogue.is_none() {
                match read_catalogue(member) {
                    Ok(found) => catalogue = Some(found),
                    Err(error) => problems.push(format!("{} does not answer: {error}", member.name)),
                }
            }
        }
    }
    let mut counts = BTreeMap::new();
    let is_primary =
        |name: &str| survey.processes.iter().any(|one| one.name == name && one.state == Some("primary"));
    for shard in layout.shards() {
        let runs: Vec<&Member> = shard.members.iter().copied().filter(|member| runs(&member.name)).collect();
        match runs.iter().find(|member| is_primary(&member.name)) {
            Some(primary) => match count_documents(primary) {
                Ok(found) => drop(counts.insert(shard.name.to_owned(), found)),
                Err(error) => problems.push(format!("{} does not answer: {error}", primary.name)),
            },
            // Where no member runs that is said already.
            None if !runs.is_empty() => problems.push(format!("{} has no primary", shard.name)),
            None => {}
        }
    }
    survey.problems.extend(problems);
    survey.shards = shards(layout, catalogue.as_ref(), &counts);
    survey.collections = collections(&survey.shards, catalogue.as_ref(), &counts);
    survey
}

type Counts = BTreeMap<String, BTreeMap<String, u64>>;

fn shards(layout: &Layout, catalogue: Option<&Catalogue>, counts: &Counts) -> Vec<ShardState> {
    let listed = match catalogue {
        Some(catalogue) => catalogue.shards.clone(),
        None => layout.shards().iter().map(|shard| (shard.name.to_owned(), shard.address())).collect(),
    };
    listed
        .into_iter()
        .map(|(name, host)| ShardState {
            chunks: catalogue.map(|catalogue| {
                catalogue.collections.values().filter_map(|(_, chunks)| chunks.get(&name)).sum()
            }),
            documents: counts.get(&name).map(|of_shard| of_shard.values().sum()),
            name,
            host,
        })
        .collect()
}

fn collections(
    shards: &[ShardState],
    catalogue: Option<&Catalogue>,
    counts: &Counts,
) -> Vec<CollectionState> {
    let mut names: Vec<&String> = counts.values().flat_map(BTreeMap::keys).collect();
    names.extend(catalogue.iter().flat_map(|catalogue| {
        catalogue
            .collections
            .keys()
            .filter(|ns| !INTERNAL_DATABASES.contains(&ns.split('.').next().unwrap_or("")))
    }));
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .map(|ns| {
            let known = catalogue.and_then(|catalogue| catalogue.collections.get(ns));
            let part = |shard: &ShardState| {
                let chunks = known.and_then(|(_, chunks)| chunks.get(&shard.name)).copied();
                let documents = counts.get(&shard.name).map(|of_shard| of_shard.get(ns).copied());
                // A shard that has neither chunks nor the collection is left out; one that cannot be asked is not.
                match (chunks, documents) {
                    (None, Some(None)) => None,
                    (None, None) if known.is_some() => None,
                    (chunks, documents) => Some(Part {
                        shard: shard.name.clone(),
                        chunks: known.is_some().then_some(chunks.unwrap_or(0)),
                        documents: documents.map(Option::unwrap_or_default),
                    }),
                }
            };
            CollectionState {
                ns: ns.clone(),
                sharded: known.is_some(),
                key: known.map(|(key, _)| Bson::Document(key.clone()).into_relaxed_extjson()),
                shards: shards.iter().filter_map(part).collect(),
            }
        })
        .collect()
}

fn read_catalogue(member: &Member) -> Result<Catalogue, Error> {
    let mut connection = open(member)?;
    let mut catalogue = Catalogue::default();
    for shard in connection
        .run_cursor("config", &doc! { "find": "shards", "sort": { "_id": 1 }, "batchSize": BATCH })?
    {
        catalogue.shards.push((text(&shard, "_id"), text(&shard, "host")));
    }
    let mut by_uuid: BTreeMap<String, String> = BTreeMap::new();
    for collection in connection.run_cursor("config", &doc! { "find": "collections", "batchSize": BATCH })? {
        let ns = text(&collection, "_id");
        // Tracked but unsharded collections have a key of MongoDB's own; they are shown as unsharded.
        if collection.get_bool("unsplittable").unwrap_or(false)
            || collection.get_bool("dropped").unwrap_or(false)
        {
            continue;
        }
        if let Some(uuid) = collection.get("uuid") {
            by_uuid.insert(uuid.to_string(), ns.clone());
        }
        let key = collection.get_document("key").cloned().unwrap_or_default();
        catalogue.collections.insert(ns, (key, BTreeMap::new()));
    }
    let chunks =
        doc! { "find": "chunks", "projection": { "uuid": 1, "ns": 1, "shard": 1 }, "batchSize": BATCH };
    for chunk in connection.run_cursor("config", &chunks)? {
        let ns = match chunk.get("uuid") {
            Some(uuid) => by_uuid.get(&uuid.to_string()).cloned(),
            None => chunk.get_str("ns").ok().map(str::to_owned),
        };
        if let Some((_, by_shard)) = ns.and_then(|ns| catalogue.collections.get_mut(&ns)) {
            *by_shard.entry(text(&chunk, "shard")).or_insert(0) += 1;
        }
    }
    Ok(catalogue)
}

/// Documents by namespace, as the shard itself counts them.
fn count_documents(shard: &Member) -> Result<BTreeMap<String, u64>, Error> {
    let mut connection = open(shard)?;
    let mut counts = BTreeMap::new();
    let databases = connection.run("admin", &doc! { "listDatabases": 1, "nameOnly": true })?;
    let databases = databases.get_array("databases").cloned().unwrap_or_default();
    for db in databases.iter().filter_map(|db| db.as_document()?.get_str("name").ok()) {
        if INTERNAL_DATABASES.contains(&db) {
            continue;
        }
        let listing = doc! { "listCollections": 1, "nameOnly": true, "cursor": { "batchSize": BATCH } };
        for collection in connection.run_cursor(db, &listing)? {
            let name = text(&collection, "name");
            if name.starts_with("system.") || collection.get_str("type").is_ok_and(|kind| kind == "view") {
                continue;
            }
            let reply = connection.run(db, &doc! { "count": &name })?;
            counts.insert(format!("{db}.{name}"), number(reply.get("n")));
        }
    }
    Ok(counts)
}

/// What a member of a replica set says it is; `None` for a router, and for what does not answer.
fn state(member: &Member) -> Option<&'static str> {
    if member.role == Role::Router {
        return None;
    }
    let connection = open(member).ok()?;
    let hello = connection.hello();
    Some(match (hello.is_writable, hello.is_secondary) {
        (true, _) => "primary",
        (false, true) => "secondary",
        (false, false) => "other",
    })
}

fn open(member: &Member) -> Result<Connection, Error> {
    let mut uri = Uri::local(member.port);
    uri.options.connect_timeout = ANSWER_WAIT;
    uri.options.socket_timeout = ANSWER_WAIT;
    Connection::open(&uri, 0)
}

fn text(document: &Document, name: &str) -> String {
    document.get_str(name).unwrap_or_default().to_owned()
}

fn number(value: Option<&Bson>) -> u64 {
    match value {
        Some(Bson::Int32(number)) => u64::try_from(*number).unwrap_or(0),
        Some(Bson::Int64(number)) => u64::try_from(*number).unwrap_or(0),
        Some(Bson::Double(number)) => *number as u64,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::fake::{Answer, Fake};

    fn member(fake: &Fake, name: &str, role: Role) -> Member {
        let port = fake.address().rsplit(':').next().unwrap().parse().unwrap();
        Member { name: name.to_owned(), role, port, set: None }
    }

    fn cursor(ns: &str, documents: Vec<Document>) -> Answer {
        Answer::Reply(doc! { "cursor": { "firstBatch": documents, "id": 0_i64, "ns": ns }, "ok": 1 })
    }

    #[test]
    fn the_catalogue_and_the_counts_are_joined() {
        let uuid = bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes: vec![1; 16] };
        let of = uuid.clone();
        let config = Fake::start(move |command| match command.get_str("find").unwrap() {
            "shards" => cursor(
                "config.shards",
                vec![
                    doc! { "_id": "shard1", "host": "shard1/h:1" },
                    doc! { "_id": "shard2", "host": "shard2/h:2" },
                ],
            ),
            "collections" => cursor(
                "config.collections",
                vec![doc! { "_id": "g.c", "key": { "_id": "hashed" }, "uuid": of.clone() }],
            ),
            _ => cursor(
                "config.chunks",
                vec![
                    doc! { "uuid": of.clone(), "shard": "shard1" },
                    doc! { "uuid": of.clone(), "shard": "shard1" },
                    doc! { "uuid": of.clone(), "shard": "shard2" },
                ],
            ),
        });
        let shard = Fake::start(|command| {
            if command.contains_key("listDatabases") {
                return Answer::Reply(doc! { "databases": [{ "name": "g" }, { "name": "config" }], "ok": 1 });
            }
            if command.contains_key("getMore") {
                return Answer::Reply(
                    doc! { "cursor": { "nextBatch": [{ "name": "u", "type": "collection" }], "id": 0_i64, "ns": "g.$cmd.listCollections" }, "ok": 1 },
                );
            }
            if command.contains_key("listCollections") {
                return Answer::Reply(doc! {
                    "cursor": { "firstBatch": [{ "name": "c", "type": "collection" }], "id": 7_i64, "ns": "g.$cmd.listCollections" },
                    "ok": 1,
                });
            }
            Answer::Reply(
                doc! { "n": if command.get_str("count").unwrap() == "c" { 10 } else { 3 }, "ok": 1.0 },
            )
        });
        let catalogue = read_catalogue(&member(&config, "config", Role::Config)).unwrap();
        let counted = count_documents(&member(&shard, "shard1", Role::Shard)).unwrap();
        assert_eq!(counted, BTreeMap::from([("g.c".to_owned(), 10), ("g.u".to_owned(), 3)]));
        let counts = BTreeMap::from([("shard1".to_owned(), counted)]);
        let layout = Layout::plan(1, 1, super::super::ports::next_free(43_000, &[]).unwrap(), None).unwrap();
        let shards = shards(&layout, Some(&catalogue), &counts);
        let seen: Vec<_> = shards.iter().map(|one| (one.name.as_str(), one.chunks, one.documents)).collect();
        assert_eq!(seen, [("shard1", Some(2), Some(13)), ("shard2", Some(1), None)]);
        let collections = collections(&shards, Some(&catalogue), &counts);
        let parts = |index: usize| -> Vec<_> {
            collections[index]
                .shards
                .iter()
                .map(|part| (part.shard.as_str(), part.chunks, part.documents))
                .collect()
        };
        assert_eq!((collections[0].ns.as_str(), collections[0].sharded), ("g.c", true));
        assert_eq!(parts(0), [("shard1", Some(2), Some(10)), ("shard2", Some(1), None)]);
        assert_eq!((collections[1].ns.as_str(), collections[1].sharded), ("g.u", false));
        assert_eq!(parts(1), [("shard1", None, Some(3)), ("shard2", None, None)]);
    }
}
