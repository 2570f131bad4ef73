// On a fresh shard server itself: a replica set of one member is made.

step('rs.initiate makes a set of one member', () => {
  const reply = rs.initiate();
  assert.strictEqual(reply.ok, 1);
  const begin = Date.now();
  while (!db.hello().isWritablePrimary) {
    assert(Date.now() - begin < 20000, 'no primary within 20 s');
    sleep(50);
  }
});

step('rs.status and rs.conf tell of it', () => {
  const status = rs.status();
  assert.strictEqual(status.members.length, 1);
  assert.strictEqual(status.members[0].stateStr, 'PRIMARY');
  assert.strictEqual(status.set, process.env.EXTRA_SHARD.split('/')[0]);
  const conf = rs.conf();
  assert.strictEqual(conf._id, status.set);
  assert.strictEqual(conf.members[0].host, process.env.EXTRA_SHARD.split('/')[1]);
});

step('a second rs.initiate is refused', () => {
  refused(() => rs.initiate(), { codeName: 'AlreadyInitialized' });
});
