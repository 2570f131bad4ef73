//! Single administration commands, sent to a router: thin names over the database's own commands.

use crate::extended_json::{parse_document, pretty};
use crate::failure::Failure;
use crate::link::{Connection, Error, Target};
use bson::{Document, doc};
use clap::Args;
use types::Namespace;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shoal add-shard shard3/127.0.0.1:27101
  shoal add-shard shard3/127.0.0.1:27101 --name archive --uri mongodb://127.0.0.1:27017/

To add a shard to a cluster that `shoal up` made, run `shoal up` again with a larger --shards.")]
pub(crate) struct AddShard {
    /// The replica set and one or more of its members: SET/HOST:PORT[,HOST:PORT]
    #[arg(value_name = "SET/HOST:PORT")]
    shard: String,
    /// The shard's name [default: the name of the replica set]
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  shoal enable-sharding geo")]
pub(crate) struct EnableSharding {
    /// The database
    db: String,
    /// The shard where its unsharded collections live [default: the cluster chooses]
    #[arg(long, value_name = "SHARD")]
    primary: Option<String>,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shoal shard-collection geo.cities '{\"_id\": \"hashed\"}'
  shoal shard-collection geo.cities '{\"country\": 1, \"name\": 1}'
  shoal shard-collection geo.users '{\"email\": 1}' --unique")]
pub(crate) struct ShardCollection {
    /// DATABASE.COLLECTION
    #[arg(value_parser = namespace)]
    ns: Namespace,
    /// The shard key as JSON: fields with 1 (range) or \"hashed\"
    #[arg(value_name = "KEY_JSON", value_parser = parse_document)]
    key: Document,
    /// No two documents may have the same key
    #[arg(long)]
    unique: bool,
    /// Chunks to begin with (hashed keys only)
    #[arg(long, value_name = "N")]
    chunks: Option<u32>,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shoal split geo.cities --middle '{\"country\": \"US\", \"name\": \"A\"}'    split exactly there
  shoal split geo.cities --find '{\"country\": \"US\", \"name\": \"A\"}'      split the chunk that holds it in two halves")]
pub(crate) struct Split {
    /// DATABASE.COLLECTION
    #[arg(value_parser = namespace)]
    ns: Namespace,
    /// Split at this value of the whole shard key
    #[arg(long, value_name = "JSON", value_parser = parse_document, conflicts_with = "find", required_unless_present = "find")]
    middle: Option<Document>,
    /// Split the chunk that holds this key at its median
    #[arg(long, value_name = "JSON", value_parser = parse_document)]
    find: Option<Document>,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shoal command admin '{\"ping\": 1}'
  shoal command geo '{\"find\": \"cities\", \"filter\": {\"country\": \"IS\"}, \"limit\": 3}'
  shoal command config '{\"count\": \"chunks\"}' --uri mongodb://127.0.0.1:27017/

Types beyond JSON are written as extended JSON: {\"$oid\": \"…\"}, {\"$date\": \"…\"}, {\"$numberLong\": \"…\"}.")]
pub(crate) struct Command {
    /// The database it runs on
    db: String,
    /// The command as JSON; its name is the first field
    #[arg(value_name = "JSON", value_parser = parse_document)]
    command: Document,
    #[command(flatten)]
    target: Target,
}

/// A namespace on the command line.
pub(crate) fn namespace(text: &str) -> Result<Namespace, String> {
    Namespace::parse(text).map_err(|fault| format!("{}; write it as database.collection", fault.message))
}

pub(crate) fn add_shard(options: &AddShard) -> Result<(), Failure> {
    let mut command = doc! { "addShard": &options.shard };
    if let Some(name) = &options.name {
        command.insert("name", name);
    }
    let reply = on_router(&options.target, &command)?;
    say!("added shard {}", reply.get_str("shardAdded").unwrap_or(&options.shard));
    Ok(())
}

pub(crate) fn enable_sharding(options: &EnableSharding) -> Result<(), Failure> {
    Namespace::check_db(&options.db).map_err(|fault| Failure::new(fault.message))?;
    let mut command = doc! { "enableSharding": &options.db };
    if let Some(primary) = &options.primary {
        command.insert("primaryShard", primary);
    }
    on_router(&options.target, &command)?;
    say!("sharding is enabled for {}", options.db);
    Ok(())
}

pub(crate) fn shard_collection(options: &ShardCollection) -> Result<(), Failure> {
    let mut command = doc! { "shardCollection": options.ns.as_str(), "key": options.key.clone() };
    if options.unique {
        command.insert("unique", true);
    }
    if let Some(chunks) = options.chunks {
        command.insert("numInitialChunks", i64::from(chunks));
    }
    on_router(&options.target, &command)?;
    say!("{} is sharded by {}", options.ns, bson::Bson::Document(options.key.clone()).into_relaxed_extjson());
    Ok(())
}

pub(crate) fn split(options: &Split) -> Result<(), Failure> {
    let mut command = doc! { "split": options.ns.as_str() };
    if let Some(middle) = &options.middle {
        command.insert("middle", middle.clone());
    }
    if let Some(find) = &options.find {
        command.insert("find", find.clone());
    }
    on_router(&options.target, &command)?;
    say!("split a chunk of {}", options.ns);
    Ok(())
}

pub(crate) fn command(options: &Command) -> Result<(), Failure> {
    if options.command.is_empty() {
        return Err(Failure::new("the command is empty").next("its name is the first field: {\"ping\": 1}"));
    }
    let mut connection = Connection::open(&options.target.uri, 0)?;
    let reply = connection.run(&options.db, &options.command)?;
    say!("{}", pretty(reply));
    Ok(())
}

fn on_router(target: &Target, command: &Document) -> Result<Document, Failure> {
    let mut connection = Connection::open(&target.uri, 0)?;
    if !connection.hello().is_router {
        return Err(Failure::new(format!("{} is not a router of a sharded cluster", connection.address()))
            .next("name a router with --uri; `shoal status --dir DIR` prints the connection string"));
    }
    match connection.run("admin", command) {
        Ok(reply) => Ok(reply),
        Err(Error::Server(error)) => Err(Failure::new(error.to_string())),
        Err(other) => Err(other.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::fake::{Answer, Fake};
    use std::sync::{Arc, Mutex};

    #[test]
    fn commands_are_those_of_the_database() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let fake = Fake::start(move |command| {
            let mut command = command.clone();
            command.remove("$db");
            log.lock().unwrap().push(command);
            Answer::Reply(doc! { "ok": 1 })
        });
        let target = || Target { uri: fake.uri().parse().unwrap() };
        let ns = namespace("a.b").unwrap();
        shard_collection(&ShardCollection {
            ns: ns.clone(),
            key: doc! { "_id": "hashed" },
            unique: false,
            chunks: Some(8),
            target: target(),
        })
        .unwrap();
        split(&Split { ns, middle: Some(doc! { "_id": 0_i64 }), find: None, target: target() }).unwrap();
        add_shard(&AddShard { shard: "s/h:1".to_owned(), name: None, target: target() }).unwrap();
        assert_eq!(
            *seen.lock().unwrap(),
            [
                doc! { "shardCollection": "a.b", "key": { "_id": "hashed" }, "numInitialChunks": 8_i64 },
                doc! { "split": "a.b", "middle": { "_id": 0_i64 } },
                doc! { "addShard": "s/h:1" },
            ]
        );
    }
}
