// The Node driver against a running cluster: SHOAL_URI is its router, CITIES the input file.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, test } from 'node:test';
import { Decimal128, Long, MongoClient, ObjectId } from 'mongodb';

const rows = JSON.parse(fs.readFileSync(process.env.CITIES, 'utf8'));
const client = new MongoClient(process.env.SHOAL_URI, { compressors: ['zlib', 'snappy', 'zstd'] });
const geo = client.db('node_geo');
// Of the rows, so many are inserted in order. Fewer than the sample has.
const ORDERED = 1900;
const byBytes = (a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b));

before(async () => {
  await client.connect();
  await geo.dropDatabase();
  const admin = client.db('admin');
  await admin.command({ enableSharding: 'node_geo' });
  await admin.command({ shardCollection: 'node_geo.cities', key: { _id: 'hashed' } });
  await admin.command({ shardCollection: 'node_geo.by_country', key: { country: 1, name: 1 } });
  for (const name of ['cities', 'by_country']) {
    const documents = rows.map((row, i) => ({ _id: i, ...row }));
    // The default, which goes shard by shard in the order of the list; then what a loader would choose.
    const first = await geo.collection(name).insertMany(documents.slice(0, ORDERED));
    const rest = await geo.collection(name).insertMany(documents.slice(ORDERED), { ordered: false });
    assert.equal(first.insertedCount + rest.insertedCount, rows.length);
  }
});

after(async () => {
  await geo.dropDatabase();
  await client.close();
});

test('the server is a router of the expected version', async () => {
  const hello = await client.db('admin').command({ hello: 1 });
  assert.equal(hello.msg, 'isdbgrid');
  assert.equal(hello.maxWireVersion, 25);
});

test('counts by country equal those of the file', async () => {
  const counts = new Map();
  for (const row of rows) counts.set(row.country, (counts.get(row.country) ?? 0) + 1);
  const wanted = [...counts].map(([_id, n]) => ({ _id, n })).sort((a, b) => b.n - a.n || byBytes(a._id, b._id));
  for (const name of ['cities', 'by_country']) {
    const found = await geo
      .collection(name)
      .aggregate([{ $group: { _id: '$country', n: { $sum: 1 } } }, { $sort: { n: -1, _id: 1 } }])
      .toArray();
    assert.deepEqual(found, wanted);
    assert.equal(await geo.collection(name).countDocuments(), rows.length);
    assert.equal(await geo.collection(name).estimatedDocumentCount(), rows.length);
  }
});

test('documents lie on more than one shard', async () => {
  const stats = await geo.collection('cities').aggregate([{ $collStats: { count: {} } }]).toArray();
  assert.ok(stats.length >= 2);
  assert.equal(stats.reduce((sum, one) => sum + one.count, 0), rows.length);
  for (const one of stats) assert.ok(one.count > 0, JSON.stringify(stats));
});

test('a sorted cursor over several batches', async () => {
  const wanted = rows.filter((row) => row.country === 'DE').map((row) => row.name).sort(byBytes);
  for (const name of ['cities', 'by_country']) {
    const found = [];
    for await (const city of geo.collection(name).find({ country: 'DE' }).sort({ name: 1 }).batchSize(37)) {
      found.push(city.name);
    }
    assert.deepEqual(found, wanted);
  }
});

test('a cursor that is closed early leaves nothing open', async () => {
  const cursor = geo.collection('cities').find().batchSize(10);
  for (let i = 0; i < 25; i += 1) assert.ok(await cursor.next());
  const { id } = cursor;
  await cursor.close();
  const more = geo.command({ getMore: id, collection: "cities" });
  await assert.rejects(more, { codeName: "CursorNotFound" });
});

test('explain of a find by shard key names one shard', async () => {
  for (const id of [0, 1, 2, 3]) {
    const plan = (await geo.collection('cities').find({ _id: id }).explain()).queryPlanner.winningPlan;
    assert.equal(plan.stage, 'SINGLE_SHARD');
    assert.equal(plan.shards.length, 1);
  }
});

test('create, read, update, delete', async () => {
  const c = geo.collection('cities');
  const id = new ObjectId();
  const stored = {
    _id: id, when: new Date(0), big: Long.fromString('9007199254740993'), money: Decimal128.fromString('1.10'),
    bytes: Buffer.from([1, 2, 3]), nothing: null, list: [1, 'two', { three: 3 }], text: 'naïve ☃',
  };
  assert.deepEqual((await c.insertOne({ ...stored })).insertedId, id);
  const found = await c.findOne({ _id: id }, { promoteLongs: false });
  assert.equal(found.money.toString(), '1.10');
  assert.equal(found.big.toString(), '9007199254740993');
  assert.deepEqual([found.when, found.nothing, found.text], [stored.when, null, stored.text]);
  assert.deepEqual(Buffer.from(found.bytes.buffer), stored.bytes);
  assert.equal((await c.updateOne({ _id: id }, { $push: { list: 4 }, $unset: { text: '' } })).modifiedCount, 1);
  const after = await c.findOneAndUpdate({ _id: id }, { $set: { 'list.0': 10 } }, { returnDocument: 'after' });
  assert.equal(Number(after.list[0]), 10);
  assert.equal(after.list.length, 4);
  assert.equal((await c.replaceOne({ _id: id }, { replaced: true })).modifiedCount, 1);
  assert.equal((await c.deleteOne({ _id: id })).deletedCount, 1);
  assert.equal(await c.findOne({ _id: id }), null);
});

test('bulk writes tell which statement failed', async () => {
  const c = geo.collection('cities');
  const documents = [{ _id: 'a' }, { _id: 'b' }, { _id: 'a' }, { _id: 'c' }];
  const ordered = await c.insertMany(documents, { ordered: true }).catch((error) => error);
  assert.equal(ordered.code, 11000);
  assert.equal(ordered.result.insertedCount, 2);
  const unordered = await c.insertMany(documents, { ordered: false }).catch((error) => error);
  assert.deepEqual(unordered.writeErrors.map((error) => error.index), [0, 1, 2]);
  assert.equal(unordered.result.insertedCount, 1);
  const reply = await c.bulkWrite([
    { updateOne: { filter: { _id: 'a' }, update: { $set: { x: 1 } } } },
    { updateOne: { filter: { _id: 'd' }, update: { $set: { x: 1 } }, upsert: true } },
    { deleteMany: { filter: { _id: { $in: ['a', 'b', 'c', 'd'] } } } },
  ]);
  assert.deepEqual([reply.modifiedCount, reply.upsertedCount, reply.deletedCount], [1, 1, 4]);
});

test('sessions, and retryable writes on by default', async () => {
  await client.withSession(async (session) => {
    const c = geo.collection('plain');
    await c.insertOne({ _id: 1 }, { session });
    assert.ok(await c.findOne({ _id: 1 }, { session }));
    assert.ok(session.serverSession.txnNumber >= 1);
  });
});

test('errors carry MongoDB\'s codes', async () => {
  const c = geo.collection('cities');
  await assert.rejects(c.find({ a: { $nope: 1 } }).toArray(), { code: 2 });
  await assert.rejects(c.aggregate([{ $nope: 1 }]).toArray(), { code: 40324 });
  await assert.rejects(client.db('admin').command({ noSuchCommand: 1 }), { codeName: 'CommandNotFound' });
});

test('a hundred operations at a time', async () => {
  const c = geo.collection('cities');
  const ids = Array.from({ length: 1000 }, (_, i) => (i * 7919) % rows.length);
  const found = await Promise.all(ids.map((id) => c.findOne({ _id: id })));
  found.forEach((city, i) => assert.equal(city.name, rows[ids[i]].name));
});
