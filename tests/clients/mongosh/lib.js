// What the scripts share: the input, what it must yield, and a way to run a step by its name.
// Loaded into mongosh before each script.

const assert = require('assert');
const fs = require('fs');

const rows = () => JSON.parse(fs.readFileSync(process.env.CITIES, 'utf8'));

// mongosh shows 64-bit integers as Long; comparisons want numbers.
const number = (value) => (typeof value === 'object' && value !== null ? Number(value.toString()) : value);

// Values of the shell and of a script have different prototypes: they are compared by what they say, order included.
function same(found, wanted) {
  assert.strictEqual(EJSON.stringify(found), EJSON.stringify(wanted));
}

function step(name, run) {
  try {
    run();
  } catch (error) {
    print(`FAILED: ${name}`);
    print(error.stack ?? String(error));
    quit(1);
  }
  print(`ok: ${name}`);
}

// Counts by a field, most first, then by name: `[{ _id, n }]`.
function counts(list, field) {
  const found = new Map();
  for (const row of list) found.set(row[field], (found.get(row[field]) ?? 0) + 1);
  return [...found]
    .map(([_id, n]) => ({ _id, n }))
    .sort((a, b) => b.n - a.n || (a._id < b._id ? -1 : 1));
}

// The error of something that must fail, compared field by field. `assert.throws` cannot wait for the shell's calls.
function refused(run, wanted) {
  let caught;
  try {
    run();
  } catch (error) {
    caught = error;
  }
  assert(caught, 'it was not refused');
  for (const [field, value] of Object.entries(wanted)) assert.strictEqual(caught[field], value, String(caught));
  assert(caught.code > 0, String(caught));
}
