// Through the router: a shard is added, collections are sharded.

const [setName] = process.env.EXTRA_SHARD.split('/');

step('sh.addShard adds the new shard', () => {
  const reply = sh.addShard(process.env.EXTRA_SHARD);
  assert.strictEqual(reply.shardAdded, setName);
  const shards = db.adminCommand({ listShards: 1 }).shards;
  same(shards.map((shard) => shard._id).sort(), [setName, 'shard1', 'shard2'].sort());
});

step('sh.enableSharding', () => {
  assert.strictEqual(sh.enableSharding('geo').ok, 1);
  assert.notStrictEqual(db.getSiblingDB('config').databases.findOne({ _id: 'geo' }), null);
});

step('sh.shardCollection, hashed: chunks on every shard', () => {
  const reply = sh.shardCollection('geo.cities', { _id: 'hashed' });
  assert.strictEqual(reply.collectionsharded, 'geo.cities');
  const config = db.getSiblingDB('config');
  const collection = config.collections.findOne({ _id: 'geo.cities' });
  const owners = config.chunks.distinct('shard', { uuid: collection.uuid });
  same(owners.sort(), [setName, 'shard1', 'shard2'].sort());
});

step('sh.shardCollection, ranged and compound', () => {
  const reply = sh.shardCollection('geo.by_country', { country: 1, name: 1 });
  assert.strictEqual(reply.collectionsharded, 'geo.by_country');
});

step('sh.splitAt and sh.splitFind', () => {
  assert.strictEqual(sh.splitAt('geo.by_country', { country: 'M', name: 'M' }).ok, 1);
  const config = db.getSiblingDB('config');
  const collection = config.collections.findOne({ _id: 'geo.by_country' });
  assert.strictEqual(config.chunks.countDocuments({ uuid: collection.uuid }), 2);
});

step('what cannot be sharded is refused with a code', () => {
  refused(() => sh.shardCollection('geo.wrong', { a: 2 }), {});
  refused(() => sh.shardCollection('geo.cities', { other: 1 }), {});
});
