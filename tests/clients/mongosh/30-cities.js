// Through the router, after the import of the cities into both collections: what is there, and where.

const geo = db.getSiblingDB('geo');
const input = rows();
const collections = ['cities', 'by_country'];

step('every row was imported', () => {
  for (const name of collections) {
    assert.strictEqual(number(geo[name].countDocuments({})), input.length);
    assert.strictEqual(number(geo[name].estimatedDocumentCount()), input.length);
  }
});

step('documents lie on every shard', () => {
  const stats = geo.cities.aggregate([{ $collStats: { storageStats: {} } }]).toArray();
  const shards = stats.map((one) => one.shard).sort();
  same(shards, [process.env.EXTRA_SHARD.split('/')[0], 'shard1', 'shard2'].sort());
  const found = stats.map((one) => number(one.storageStats.count));
  assert.strictEqual(found.reduce((a, b) => a + b), input.length);
  // Dealt by a hash: nobody has less than half of its share.
  for (const count of found) assert(count > input.length / 6, `uneven: ${found}`);
});

step('getShardDistribution prints each shard', () => {
  const distribution = geo.cities.getShardDistribution();
  const text = JSON.stringify(distribution.value ?? distribution);
  for (const shard of ['shard1', 'shard2']) assert(text.includes(shard), text);
});

step('sh.status() prints shards, databases and chunks', () => {
  const status = sh.status();
  const value = status.value ?? status;
  const text = EJSON.stringify(value);
  assert.strictEqual(value.shards.length, 3, text);
  const database = value.databases.find((one) => one.database._id === 'geo');
  assert(database, text);
  const cities = database.collections['geo.cities'];
  same(cities.shardKey, { _id: 'hashed' });
  assert.strictEqual(cities.chunkMetadata.length, 3, text);
  assert(cities.chunks.length >= 3, text);
  same(database.collections['geo.by_country'].shardKey, { country: 1, name: 1 });
});

step('counts by country equal those of the file', () => {
  const wanted = counts(input, 'country');
  for (const name of collections) {
    const found = geo[name]
      .aggregate([{ $group: { _id: '$country', n: { $sum: 1 } } }, { $sort: { n: -1, _id: 1 } }])
      .toArray();
    same(found, wanted);
  }
});

step('a computed mean equals that of the file', () => {
  const places = input.filter((city) => city.country === 'IS');
  const mean = places.reduce((sum, city) => sum + Number(city.lat), 0) / places.length;
  const [found] = geo.cities
    .aggregate([
      { $match: { country: 'IS' } },
      { $group: { _id: null, n: { $sum: 1 }, mean: { $avg: { $toDouble: '$lat' } } } },
    ])
    .toArray();
  assert.strictEqual(found.n, places.length);
  assert(Math.abs(found.mean - mean) < 1e-9, `${found.mean} and ${mean}`);
});

step('a cursor goes through several batches, sorted over the shards', () => {
  const wanted = input.filter((city) => city.country === 'FR').map((city) => city.name);
  // As the server sorts: by bytes.
  wanted.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  for (const name of collections) {
    const found = geo[name].find({ country: 'FR' }).sort({ name: 1 }).batchSize(100).map((city) => city.name);
    same(found.toArray(), wanted);
  }
});

step('distinct equals the file', () => {
  const wanted = [...new Set(input.map((city) => city.country))].sort();
  same(geo.by_country.distinct('country').sort(), wanted);
});

step('explain of a find by shard key names one shard', () => {
  const one = geo.cities.findOne();
  const plan = geo.cities.find({ _id: one._id }).explain().queryPlanner.winningPlan;
  assert.strictEqual(plan.stage, 'SINGLE_SHARD');
  assert.strictEqual(plan.shards.length, 1);
  const ranged = geo.by_country.find({ country: 'FR', name: 'Paris' }).explain('executionStats');
  assert.strictEqual(ranged.queryPlanner.winningPlan.shards.length, 1);
  const wanted = input.filter((city) => city.country === 'FR' && city.name === 'Paris').length;
  assert.strictEqual(number(ranged.executionStats.nReturned), wanted);
  const all = geo.cities.find({ country: 'FR' }).explain().queryPlanner.winningPlan;
  assert.strictEqual(all.stage, 'SHARD_MERGE');
  assert.strictEqual(all.shards.length, 3);
});

step('a chunk is split where its documents lie', () => {
  const config = db.getSiblingDB('config');
  const { uuid } = config.collections.findOne({ _id: 'geo.by_country' });
  const before = number(config.chunks.countDocuments({ uuid }));
  assert.strictEqual(sh.splitFind('geo.by_country', { country: 'US', name: 'Boston' }).ok, 1);
  assert.strictEqual(number(config.chunks.countDocuments({ uuid })), before + 1);
});
