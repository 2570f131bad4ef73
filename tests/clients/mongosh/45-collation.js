// Through the router: collations of collections, indexes and queries, as the shell's helpers name them.

const words = db.getSiblingDB('words');
words.dropDatabase();

step('a collection with a collation', () => {
  words.createCollection('c', { collation: { locale: 'de', strength: 2 } });
  words.c.insertMany(['a', 'B', '\u00e4', 'Z'].map((_id) => ({ _id, w: _id })));
  const info = words.getCollectionInfos({ name: 'c' })[0];
  assert.strictEqual(info.options.collation.locale, 'de');
  assert.strictEqual(info.options.collation.strength, 2);
  assert.strictEqual(info.options.collation.version, '57.1');
  refused(() => words.c.insertOne({ _id: 'b' }), { code: 11000 });
  same(words.c.find().sort({ _id: 1 }).toArray().map((doc) => doc._id), ['a', '\u00e4', 'B', 'Z']);
  same(words.c.findOne({ w: 'b' }), { _id: 'B', w: 'B' });
});

step('a query with a collation', () => {
  words.plain.insertMany(['a', 'B', '\u00e4', 'Z'].map((_id) => ({ _id })));
  same(words.plain.find().sort({ _id: 1 }).toArray().map((doc) => doc._id), ['B', 'Z', 'a', '\u00e4']);
  const german = words.plain.find().collation({ locale: 'de', strength: 2 }).sort({ _id: -1 });
  same(german.toArray().map((doc) => doc._id), ['Z', 'B', '\u00e4', 'a']);
  assert.strictEqual(words.plain.find({ _id: 'z' }).collation({ locale: 'de', strength: 2 }).itcount(), 1);
  assert.strictEqual(words.plain.find({ _id: 'z' }).itcount(), 0);
  same(words.plain.distinct('_id', {}, { collation: { locale: 'de', strength: 1 } }).length, 3);
  const grouped = words.plain.aggregate([{ $group: { _id: '$_id' } }], { collation: { locale: 'de', strength: 1 } });
  assert.strictEqual(grouped.toArray().length, 3);
  assert.strictEqual(words.plain.updateOne({ _id: 'b' }, { $set: { n: 1 } }, { collation: { locale: 'en', strength: 2 } }).matchedCount, 1);
});

step('indexes with a collation', () => {
  words.c.createIndex({ w: 1 });
  words.c.createIndex({ w: 1 }, { name: 'bytes', collation: { locale: 'simple' } });
  const shown = words.c.getIndexes().map((index) => [index.name, index.collation?.locale ?? null]);
  same(shown, [['_id_', 'de'], ['w_1', 'de'], ['bytes', null]]);
  const plan = (cursor) => EJSON.stringify(cursor.explain());
  assert(plan(words.c.find({ w: 'b' })).includes('"w_1"'));
  assert(plan(words.c.find({ w: 'b' }).collation({ locale: 'simple' })).includes('"bytes"'));
  refused(() => words.c.createIndex({ w: 1 }, { collation: { locale: 'sv' } }), { code: 86 });
});
