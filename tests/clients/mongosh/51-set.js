// Connected to a replica set of three as drivers are: what an operator does. MEMBERS names its members and two fresh servers.

const hosts = process.env.MEMBERS.split(',');
const admin = db.getSiblingDB('admin');

function until(what, look) {
  const begin = Date.now();
  let last;
  while (Date.now() - begin < 40000) {
    try {
      if (look()) return;
    } catch (error) {
      last = error; // in the middle of an election
    }
    sleep(100);
  }
  throw new Error(`waited 40 s in vain for ${what}: ${last ?? JSON.stringify(rs.status().members.map((m) => [m.name, m.stateStr]))}`);
}

const states = () => rs.status().members.map((member) => member.stateStr).sort().join(' ');
const primary = () => rs.status().members.find((member) => member.stateStr === 'PRIMARY')?.name;
const well = (wanted) => until(wanted, () => states() === wanted);
// What a command prints and does not return.
function printed(run) {
  const lines = [];
  const result = run();
  lines.push(typeof result === 'string' ? result : EJSON.stringify(result?.value ?? result));
  return lines.join('\n');
}

step('db.hello names the set', () => {
  const hello = db.hello();
  assert.strictEqual(hello.setName, 'rs');
  assert.strictEqual(hello.isWritablePrimary, true);
  same([...hello.hosts].sort(), hosts.slice(0, 3).sort());
  assert.strictEqual(hello.primary, hello.me);
  assert(hello.electionId && hello.setVersion >= 1 && hello.lastWrite.majorityOpTime);
});

step('rs.status tells of each member', () => {
  const status = rs.status();
  assert.strictEqual(status.set, 'rs');
  assert.strictEqual(status.myState, 1);
  assert(number(status.term) >= 1);
  assert(status.optimes.lastCommittedOpTime && status.date instanceof Date);
  for (const member of status.members) {
    assert.strictEqual(member.health, 1);
    assert(member.optime && member.optimeDate instanceof Date && number(member.uptime) >= 0, EJSON.stringify(member));
    if (!member.self) assert(member.lastHeartbeat instanceof Date && number(member.pingMs) >= 0, EJSON.stringify(member));
  }
});

step('rs.conf shows the configuration with its defaults', () => {
  const conf = rs.conf();
  assert.strictEqual(conf._id, 'rs');
  assert.strictEqual(number(conf.protocolVersion), 1);
  assert.strictEqual(conf.settings.electionTimeoutMillis, 10000);
  for (const member of conf.members) {
    assert.strictEqual(member.arbiterOnly, false);
    assert.strictEqual(number(member.priority), 1);
    assert.strictEqual(number(member.votes), 1);
  }
});

step('writes wait for all members', () => {
  const reply = db.getSiblingDB('ops').c.insertOne({ a: 1 }, { writeConcern: { w: 3, j: true, wtimeout: 20000 } });
  assert.strictEqual(reply.acknowledged, true);
  for (const mode of ['secondary', 'nearest', 'primaryPreferred']) {
    assert.strictEqual(db.getSiblingDB('ops').c.find().readPref(mode).toArray().length, 1, mode);
  }
});

step('rs.printReplicationInfo and rs.printSecondaryReplicationInfo', () => {
  const info = db.getReplicationInfo();
  assert(info.logSizeMB > 0 && info.timeDiff >= 0 && info.tFirst && info.tLast, EJSON.stringify(info));
  assert(printed(() => rs.printReplicationInfo()).includes('oplog'), printed(() => rs.printReplicationInfo()));
  const secondaries = printed(() => rs.printSecondaryReplicationInfo());
  for (const host of hosts.slice(0, 3)) {
    if (host !== primary()) assert(secondaries.includes(host), secondaries);
  }
});

step('rs.add adds a member, which copies what is there', () => {
  assert.strictEqual(rs.add({ host: hosts[3], priority: 0.5 }).ok, 1);
  well('PRIMARY SECONDARY SECONDARY SECONDARY');
  assert.strictEqual(rs.conf().members.length, 4);
  until('the document there', () => db.getSiblingDB('ops').c.insertOne({ a: 2 }, { writeConcern: { w: 4, wtimeout: 5000 } }).acknowledged);
});

step('rs.addArb adds an arbiter', () => {
  // Like MongoDB from 5.0 on, an arbiter asks for a default write concern that was chosen.
  admin.runCommand({ setDefaultRWConcern: 1, defaultWriteConcern: { w: 'majority' } });
  assert.strictEqual(rs.addArb(hosts[4]).ok, 1);
  well('ARBITER PRIMARY SECONDARY SECONDARY SECONDARY');
  assert.deepStrictEqual([...db.hello().arbiters], [hosts[4]]);
});

step('rs.remove removes them again', () => {
  assert.strictEqual(rs.remove(hosts[4]).ok, 1);
  well('PRIMARY SECONDARY SECONDARY SECONDARY');
  assert.strictEqual(rs.remove(hosts[3]).ok, 1);
  well('PRIMARY SECONDARY SECONDARY');
  same(rs.conf().members.map((member) => member.host).sort(), hosts.slice(0, 3).sort());
});

step('rs.reconfig changes priorities and tags, and the preferred member takes over', () => {
  const conf = rs.conf();
  const wanted = conf.members.find((member) => member.host !== primary());
  wanted.priority = 5;
  wanted.tags = { use: 'first' };
  assert.strictEqual(rs.reconfig(conf).ok, 1);
  until('the takeover', () => primary() === wanted.host);
  same({ ...rs.conf().members.find((member) => member.host === wanted.host).tags }, { use: 'first' });
  const back = rs.conf();
  for (const member of back.members) member.priority = 1;
  assert.strictEqual(rs.reconfig(back).ok, 1);
});

step('rs.stepDown hands over', () => {
  const before = primary();
  assert.strictEqual(rs.stepDown(20, 5).ok, 1);
  until('another primary', () => primary() && primary() !== before);
  until('writes again', () => db.getSiblingDB('ops').c.insertOne({ a: 3 }).acknowledged);
});

step('rs.freeze and rs.syncFrom are for secondaries', () => {
  refused(() => rs.freeze(5), { codeName: 'NotSecondary' });
  const secondary = rs.status().members.find((member) => member.stateStr === 'SECONDARY').name;
  const direct = new Mongo(`mongodb://${secondary}/?directConnection=true`).getDB('admin');
  assert.strictEqual(direct.runCommand({ replSetFreeze: 1 }).ok, 1);
  assert.strictEqual(direct.runCommand({ replSetSyncFrom: primary() }).ok, 1);
  assert.strictEqual(direct.hello().secondary, true);
  refused(() => direct.getSiblingDB('ops').c.insertOne({}), { codeName: 'NotWritablePrimary' });
});
