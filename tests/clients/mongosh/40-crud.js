// Through the router: the shell's helpers, on a sharded and on an unsharded collection.

const play = db.getSiblingDB('play');
sh.shardCollection('play.sharded', { _id: 'hashed' });

for (const name of ['sharded', 'plain']) {
  const c = play[name];

  step(`${name}: inserts`, () => {
    assert.strictEqual(c.insertOne({ _id: 1, n: 1 }).insertedId, 1);
    const many = c.insertMany(Array.from({ length: 999 }, (_, i) => ({ _id: i + 2, n: (i + 2) % 10 })));
    assert.strictEqual(Object.keys(many.insertedIds).length, 999);
    refused(() => c.insertOne({ _id: 1 }), { code: 11000 });
    assert.strictEqual(c.countDocuments({}), 1000);
  });

  step(`${name}: finds`, () => {
    same(c.findOne({ _id: 7 }), { _id: 7, n: 7 });
    assert.strictEqual(c.findOne({ _id: 0 }), null);
    const page = c.find({ n: 3 }, { n: 0 }).sort({ _id: -1 }).skip(2).limit(3).toArray();
    same(page, [{ _id: 973 }, { _id: 963 }, { _id: 953 }]);
    assert.strictEqual(c.find().batchSize(33).toArray().length, 1000);
    same(c.distinct('n').sort(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert.strictEqual(c.find({ $or: [{ n: 1 }, { _id: { $lt: 11 } }] }).itcount(), 109);
  });

  step(`${name}: updates`, () => {
    const one = c.updateOne({ _id: 1 }, { $set: { seen: true }, $inc: { n: 100 } });
    assert.strictEqual(one.matchedCount + one.modifiedCount, 2);
    same(c.findOne({ _id: 1 }), { _id: 1, n: 101, seen: true });
    assert.strictEqual(c.updateMany({ n: 5 }, { $push: { list: 'a' } }).modifiedCount, 100);
    assert.strictEqual(c.updateMany({ n: 5 }, [{ $set: { size: { $size: '$list' } } }]).modifiedCount, 100);
    assert.strictEqual(c.countDocuments({ size: 1 }), 100);
    const upsert = c.updateOne({ _id: 'new' }, { $set: { n: -1 } }, { upsert: true });
    assert.strictEqual(upsert.insertedId, 'new');
    assert.strictEqual(c.replaceOne({ _id: 'new' }, { n: -2 }).modifiedCount, 1);
    same(c.findOne({ _id: 'new' }), { _id: 'new', n: -2 });
  });

  step(`${name}: findAndModify`, () => {
    assert.strictEqual(c.findOneAndUpdate({ _id: 2 }, { $inc: { n: 1 } }, { returnDocument: 'after' }).n, 3);
    assert.strictEqual(c.findOneAndReplace({ _id: 2 }, { n: 9 }).n, 3);
    assert.strictEqual(c.findOneAndDelete({ _id: 2 }).n, 9);
    assert.strictEqual(c.findAndModify({ query: { _id: 2 }, remove: true }), null);
  });

  step(`${name}: bulkWrite`, () => {
    const reply = c.bulkWrite([
      { insertOne: { document: { _id: 'b1' } } },
      { updateOne: { filter: { _id: 'b1' }, update: { $set: { x: 1 } } } },
      { updateMany: { filter: { n: 6 }, update: { $set: { six: true } } } },
      { replaceOne: { filter: { _id: 'b2' }, replacement: { y: 1 }, upsert: true } },
      { deleteOne: { filter: { _id: 'b1' } } },
      { deleteMany: { filter: { n: 8 } } },
    ]);
    assert.strictEqual(reply.insertedCount, 1);
    assert.strictEqual(reply.modifiedCount, 101);
    assert.strictEqual(reply.upsertedCount, 1);
    assert.strictEqual(reply.deletedCount, 101);
  });

  step(`${name}: indexes`, () => {
    assert.strictEqual(c.createIndex({ n: 1, _id: -1 }), 'n_1__id_-1');
    assert(c.getIndexes().some((index) => index.name === 'n_1__id_-1'));
    const plan = EJSON.stringify(c.find({ n: 3 }).explain());
    assert(plan.includes('IXSCAN') && plan.includes('n_1__id_-1'), plan);
    assert.strictEqual(c.dropIndex('n_1__id_-1').ok, 1);
  });

  step(`${name}: deletes and statistics`, () => {
    assert.strictEqual(c.deleteOne({ _id: 7 }).deletedCount, 1);
    const left = c.countDocuments({});
    assert.strictEqual(number(c.stats().count), left);
    assert.strictEqual(c.deleteMany({}).deletedCount, left);
    assert.strictEqual(c.countDocuments({}), 0);
    assert.strictEqual(c.drop(), true);
  });
}

step('listings', () => {
  play.kept.insertOne({});
  assert(play.getCollectionNames().includes('kept'));
  assert(db.adminCommand({ listDatabases: 1 }).databases.some((one) => one.name === 'play'));
  assert.strictEqual(play.stats().ok, 1);
  assert.strictEqual(play.dropDatabase().ok, 1);
  same(play.getCollectionNames(), []);
});

step('administration that people type', () => {
  assert(db.version().startsWith('8.0'));
  assert.strictEqual(db.serverStatus().process, 'mongos');
  assert.strictEqual(db.hello().msg, 'isdbgrid');
  assert.strictEqual(sh.getBalancerState() === true || sh.getBalancerState() === false, true);
  assert.strictEqual(typeof sh.isBalancerRunning().inBalancerRound, 'boolean');
  assert.strictEqual(db.adminCommand({ ping: 1 }).ok, 1);
  assert.strictEqual(db.hostInfo().ok, 1);
  refused(() => db.runCommand({ noSuchCommand: 1 }), { codeName: 'CommandNotFound' });
  refused(() => db.c.find({ a: { $nope: 1 } }).toArray(), { code: 2 });
  refused(() => db.c.aggregate([{ $nope: 1 }]).toArray(), { code: 40324 });
});
