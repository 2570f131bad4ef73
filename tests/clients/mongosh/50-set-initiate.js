// On the first of five fresh servers itself: a replica set of three is made. MEMBERS names all five.

const hosts = process.env.MEMBERS.split(',');

step('rs.initiate makes a set of three members', () => {
  const members = hosts.slice(0, 3).map((host, _id) => ({ _id, host }));
  assert.strictEqual(rs.initiate({ _id: 'rs', members }).ok, 1);
  const begin = Date.now();
  const states = () => rs.status().members.map((member) => member.stateStr).sort();
  while (JSON.stringify(states()) !== JSON.stringify(['PRIMARY', 'SECONDARY', 'SECONDARY'])) {
    assert(Date.now() - begin < 30000, `not ready within 30 s: ${states()}`);
    sleep(50);
  }
});

step('a second rs.initiate is refused', () => {
  refused(() => rs.initiate(), { codeName: 'AlreadyInitialized' });
});
