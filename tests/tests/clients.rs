//! Real clients against real clusters: mongosh, PyMongo and the Node driver, each running its own scripts under
//! `tests/clients` on the whole cities file. What is not installed is skipped aloud, unless it is required.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;
use tests::process::{self, output, say, text};
use tests::{Cluster, cities, clients};

/// Runs a client's program and shows the end of what it said.
fn check(what: &str, command: &mut Command) {
    let begin = std::time::Instant::now();
    let done = output(command);
    let said = text(&done);
    assert!(done.status.success(), "{what}: {}\n{said}", done.status);
    let last: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &last[last.len().saturating_sub(8)..];
    say(&format!("{what} ({:.1} s):\n    {}", begin.elapsed().as_secs_f64(), last.join("\n    ")));
}

/// mongosh's own settings stay out of the user's home.
fn mongosh(program: &Path, cluster: &Cluster, uri: &str, script: &str, extra: &str) -> Command {
    let dir = clients::dir();
    let mut command = Command::new(program);
    command
        .args(["--quiet", "--norc", uri])
        .args(["--file".as_ref(), dir.join("mongosh/lib.js").as_os_str()])
        .args(["--file".as_ref(), dir.join("mongosh").join(script).as_os_str()])
        .env("HOME", cluster.dir())
        .env("CITIES", cities::file())
        .env("EXTRA_SHARD", extra);
    command
}

#[test]
fn mongosh_uses_the_cluster() {
    let Some(program) = clients::mongosh() else { return };
    let cluster = Cluster::start(2);
    let address = cluster.add_shard_server("extra");
    let extra = format!("extra/{address}");
    let direct = format!("mongodb://{address}/?directConnection=true");
    check("mongosh, new shard", &mut mongosh(&program, &cluster, &direct, "10-new-shard.js", &extra));
    check("mongosh, sharding", &mut mongosh(&program, &cluster, &cluster.uri(), "20-sharding.js", &extra));
    for ns in ["geo.cities", "geo.by_country"] {
        let file = cities::file();
        let said = cluster.shoal(&["import", file.to_str().unwrap(), "--ns", ns]);
        say(&format!("import into {ns}: {}", said.trim()));
    }
    check("mongosh, cities", &mut mongosh(&program, &cluster, &cluster.uri(), "30-cities.js", &extra));
    check("mongosh, CRUD", &mut mongosh(&program, &cluster, &cluster.uri(), "40-crud.js", &extra));
    check("mongosh, collation", &mut mongosh(&program, &cluster, &cluster.uri(), "45-collation.js", &extra));

    let mut status = Command::new(&program);
    status.args(["--quiet", "--norc", &cluster.uri(), "--eval", "sh.status()"]).env("HOME", cluster.dir());
    let done = output(&mut status);
    let said = text(&done);
    for part in [
        "shardingVersion",
        "shards",
        "shard1/",
        "shard2/",
        "active mongoses",
        "databases",
        "geo.by_country",
        "chunks",
    ] {
        assert!(said.contains(part), "sh.status() does not show {part}:\n{said}");
    }
}

/// What operators do with a replica set, from `rs.initiate` on.
#[test]
fn mongosh_operates_a_replica_set() {
    let Some(program) = clients::mongosh() else { return };
    let set = tests::ReplicaSet::prepare(5, None, &[]);
    let members: Vec<&str> = (0..set.len()).map(|member| set.host(member)).collect();
    let shell = |uri: &str, script: &str| {
        let dir = clients::dir();
        let mut command = Command::new(&program);
        command
            .args(["--quiet", "--norc", uri])
            .args(["--file".as_ref(), dir.join("mongosh/lib.js").as_os_str()])
            .args(["--file".as_ref(), dir.join("mongosh").join(script).as_os_str()])
            .env("HOME", set.dir())
            .env("MEMBERS", members.join(","));
        command
    };
    let first = format!("mongodb://{}/?directConnection=true", set.host(0));
    check("mongosh, a new replica set", &mut shell(&first, "50-set-initiate.js"));
    let uri = format!("mongodb://{},{},{}/?replicaSet=rs", members[0], members[1], members[2]);
    check("mongosh, operating it", &mut shell(&uri, "51-set.js"));
}

/// Runs one of the PyMongo files against a cluster of its own with two routers.
fn pymongo(file: &str) {
    let Some(python) = clients::python() else { return };
    let cluster = Cluster::start(2);
    let second = cluster.add_router("router2");
    let options = ["-q", "--color=no", "-p", "no:cacheprovider", "-p", "no:asyncio"];
    let mut command = Command::new(python);
    command
        .args(["-m", "pytest"])
        .args(options)
        .arg(file)
        .current_dir(clients::dir().join("python"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("SHOAL_URI", cluster.uri())
        .env("SHOAL_URI_2", format!("mongodb://{second}/"))
        .env("SHOAL_DIR", cluster.dir())
        .env("SHOAL_BIN", process::bin_dir())
        .env("SHOAL_SECONDS", "2")
        .env("CITIES", cities::file());
    check(file, &mut command);
}

#[test]
fn pymongo_uses_the_cluster() {
    pymongo("test_cluster.py");
}

/// Random operations against a model of what MongoDB answers, for each way to shard.
#[test]
fn pymongo_finds_what_a_model_finds() {
    pymongo("test_model.py");
    pymongo("test_collation.py");
}

/// Numbered statements sent again, also through another router and after the shards were killed.
#[test]
fn pymongo_repeats_statements() {
    pymongo("test_retry_resend.py");
}

/// Collections and databases dropped, made and sharded through one router while another writes by what it knew before.
#[test]
fn pymongo_races_definitions() {
    pymongo("test_ddl_races.py");
}

#[test]
fn the_node_driver_uses_the_cluster() {
    let Some(node) = clients::node() else { return };
    let cluster = Cluster::start(2);
    let mut command = Command::new(node);
    command
        .args(["--test", "--test-reporter=spec", "test.mjs"])
        .current_dir(clients::dir().join("node"))
        .env("SHOAL_URI", cluster.uri())
        .env("CITIES", cities::file());
    check("Node driver", &mut command);
}
