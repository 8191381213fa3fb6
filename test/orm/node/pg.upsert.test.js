'use strict'

/* node-postgres: bulk_upsert() with JSON parameters, and COPY that upserts by pg-copy-streams. */

const assert = require('node:assert/strict')
const { Readable } = require('node:stream')
const { pipeline } = require('node:stream/promises')
const pg = require('pg')
const { from } = require('pg-copy-streams')
const { COUNTS, ROWS, counts, products } = require('./products')

const OWN_UPSERT = `
  INSERT INTO twins (sku, name, price, stock) VALUES ($1, $2, $3, $4)
  ON CONFLICT (sku) DO UPDATE
  SET name = excluded.name, price = excluded.price, stock = excluded.stock`

async function ownUpsert ({ client }, rows = ROWS) {
  for (const { sku, name, price, stock } of rows) {
    await client.query(OWN_UPSERT, [sku, name, price, stock])
  }
}

async function upsert ({ client }, ...parameters) {
  const places = parameters.map((_, i) => `$${i + 1}`).join(', ')
  const { rows } = await client.query(`SELECT * FROM orm_ext.bulk_upsert(${places})`, parameters)
  return counts(rows[0])
}

async function lastCounts ({ client }) {
  const { rows } = await client.query(
    'SELECT inserted, updated, unchanged, skipped FROM orm_ext.last_bulk_result()')
  return counts(rows[0])
}

const field = value => value === null ? '' : `"${String(value).replaceAll('"', '""')}"`
const csv = rows => rows.map(row => Object.values(row).map(field).join(',') + '\r\n').join('')

const COPY = `COPY products (sku, name, price, stock) FROM STDIN
  WITH (FORMAT csv, on_conflict 'update', conflict_columns (sku))`

/** Streams the lines in pieces of that many bytes, and returns how many rows were read. */
async function copy ({ client }, statement, lines, size = 7) {
  const bytes = Buffer.from(lines)
  const stream = client.query(from(statement))
  const pieces = []
  for (let i = 0; i < bytes.length; i += size) pieces.push(bytes.subarray(i, i + size))
  await pipeline(Readable.from(pieces), stream)
  return stream.rowCount
}

const fails = (code, promise, pattern) => assert.rejects(promise, error => {
  assert.equal(error.code, code)
  if (pattern) assert.match(`${error.message} ${error.where}`, pattern)
  return true
})

function json (scenario) {
  scenario('rows as JSON.stringify() has them', async client => {
    assert.deepEqual(await upsert(client, 'products', JSON.stringify(ROWS), ['sku']), COUNTS)
    await ownUpsert(client)
  })

  scenario('one object, which pg stringifies by itself', async client => {
    assert.deepEqual(await upsert(client, 'products', ROWS[0], ['sku']),
      { inserted: 0, updated: 1, unchanged: 0, skipped: 0 })
    await ownUpsert(client, ROWS.slice(0, 1))
  })

  // pg makes an array of PostgreSQL's out of an array, whatever is in it.
  scenario('an array that was not stringified', async client => {
    await fails('22P02', upsert(client, 'products', ROWS, ['sku']), /json/)
  })

  scenario('parameters with types', async client => {
    const { rows } = await client.client.query(
      'SELECT * FROM orm_ext.bulk_upsert($1::regclass, $2::jsonb, conflict => $3::text[])',
      ['products', JSON.stringify(ROWS), ['sku']])
    assert.deepEqual(counts(rows[0]), COUNTS)
    await ownUpsert(client)
  })

  scenario('all parameters, none with a type', async client => {
    assert.deepEqual(await upsert(client, 'products', JSON.stringify(ROWS), ['sku'], ['stock'], 'update', 'error'),
      { inserted: 2, updated: 0, unchanged: 2, skipped: 0 })
    await ownUpsert(client, ROWS.slice(1))
  })

  scenario('a statement with a name', async client => {
    for (let i = 0; i < 8; i++) {
      const { rows } = await client.client.query({
        name: 'upsert',
        text: "SELECT * FROM orm_ext.bulk_upsert('products', $1, '{sku}')",
        values: [JSON.stringify(i % 2 ? ROWS.slice(0, 2) : ROWS)]
      })
      assert.deepEqual(counts(rows[0]), i === 0
        ? COUNTS
        : { inserted: 0, updated: 0, unchanged: i % 2 ? 2 : 4, skipped: 0 })
    }
    await ownUpsert(client)
  })

  scenario('rows come back in order', async client => {
    const { rows } = await client.client.query(
      `SELECT ordinal, action, (result).id, (result).sku, to_jsonb(result) AS result
         FROM orm_ext.bulk_upsert_returning(NULL::products, $1, $2)`,
      [JSON.stringify(ROWS), ['sku']])
    assert.deepEqual(rows.map(row => [row.ordinal, row.action, row.sku]),
      [['1', 'updated', 'pot'], ['2', 'inserted', 'mug'], ['3', 'unchanged', 'cup'], ['4', 'inserted', 'jug']])
    const objects = ROWS.map(row => ({ ...row }))
    for (const { ordinal, result } of rows) Object.assign(objects[ordinal - 1], result)
    assert.deepEqual(objects.map(object => object.name), ROWS.map(row => row.name))
    assert.deepEqual(objects[2].tags, ['tea', 'blue'])
    await ownUpsert(client)
  })

  // JSON.stringify() leaves undefined out, which is what is wanted; NaN becomes null.
  scenario('undefined is absent, null is null', async client => {
    const rows = [
      { sku: 'cup', name: 'Cup', note: null, tags: undefined },
      { sku: 'pan', stock: 2, note: undefined },
      { sku: 'mug', name: 'Mug', price: undefined }]
    assert.deepEqual(await upsert(client, 'products', JSON.stringify(rows), ['sku']),
      { inserted: 1, updated: 2, unchanged: 0, skipped: 0 })
    await client.client.query(`
      UPDATE twins SET note = NULL WHERE sku = 'cup';
      UPDATE twins SET stock = 2 WHERE sku = 'pan';
      INSERT INTO twins (sku, name) VALUES ('mug', 'Mug')`)
  })

  scenario('dates, buffers and big integers', async client => {
    const seen = new Date(Date.UTC(2026, 2, 1, 12, 30, 15, 123))
    const photo = Buffer.from([0, 1, 92, 39, 255])
    await upsert(client, 'products', JSON.stringify([
      { id: 9007199254740993n.toString(), sku: 'mug', name: 'Mug', seen_at: seen, photo: '\\x' + photo.toString('hex') }
    ]), ['sku'])
    await client.client.query(
      'INSERT INTO twins (id, sku, name, seen_at, photo) VALUES ($1, $2, $3, $4, $5)',
      [9007199254740993n, 'mug', 'Mug', seen, photo])
    const { rows } = await client.client.query("SELECT id, photo FROM products WHERE sku = 'mug'")
    assert.deepEqual(rows, [{ id: '9007199254740993', photo }])
  })

  scenario('an error names row and column', async client => {
    const broken = { sku: 'x', name: 'X', price: 'cheap' }
    await fails('22P02', upsert(client, 'products', JSON.stringify([...ROWS, broken]), ['sku']),
      /row 5.*price.*cheap/s)
    await fails('42703', upsert(client, 'products', JSON.stringify([{ sku: 'x', colour: 'red' }]), ['sku']),
      /colour/)
    await fails('22023', upsert(client, 'products', '[]', ['sku'], null, 'replace'))
    assert.deepEqual(await upsert(client, 'products', JSON.stringify(ROWS), ['sku']), COUNTS)
    await ownUpsert(client)
  })

  scenario('two pooled clients, opposite order', async (client, observer) => {
    const pool = new pg.Pool({ ...client.connection, max: 2 })
    const rows = Array.from({ length: 200 }, (_, i) => ({ sku: `item ${i}`, name: 'Item', stock: 1 }))
    const statement = "SELECT * FROM orm_ext.bulk_upsert('products', $1, '{sku}')"
    for (let round = 0; round < 5; round++) {
      const batches = [rows, [...rows].reverse()].map((batch, i) =>
        JSON.stringify(batch.map(row => ({ ...row, stock: 2 * round + i }))))
      await Promise.all(batches.map(batch => pool.query(statement, [batch])))
    }
    await pool.end()
    const { rows: [row] } = await observer.query(
      "SELECT count(*)::int, count(DISTINCT stock)::int AS stocks FROM products WHERE sku LIKE 'item %'")
    assert.deepEqual(row, { count: 200, stocks: 1 })
    await observer.query(`INSERT INTO twins (sku, name, stock)
      SELECT sku, name, stock FROM products WHERE sku LIKE 'item %'`)
  })
}

function copying (scenario) {
  scenario('COPY: csv in small pieces', async client => {
    assert.equal(await copy(client, COPY, csv(ROWS)), 4)
    assert.deepEqual(await lastCounts(client), COUNTS)
    await ownUpsert(client)
  })

  scenario('COPY: text, with a header', async client => {
    const lines = ROWS.map(row => Object.values(row)
      .map(value => String(value).replaceAll('\\', '\\\\').replaceAll('\t', '\\t')).join('\t') + '\n')
    await copy(client, `COPY products (sku, name, price, stock) FROM STDIN
      WITH (HEADER match, on_conflict 'update', conflict_columns 'sku')`,
    ['sku\tname\tprice\tstock\n', ...lines].join(''))
    assert.deepEqual(await lastCounts(client), COUNTS)
    await ownUpsert(client)
  })

  scenario('COPY: 50,000 rows, twice', async (client, observer) => {
    const rows = Array.from({ length: 50000 }, (_, i) => ({ sku: `item ${(i * 7919) % 50000}`, name: 'Item', price: 1, stock: i }))
    assert.equal(await copy(client, COPY, csv(rows), 16384), 50000)
    assert.equal(await copy(client, COPY, csv(rows), 65536), 50000)
    assert.deepEqual(await lastCounts(client), { inserted: 0, updated: 0, unchanged: 50000, skipped: 0 })
    await observer.query(
      "INSERT INTO twins (sku, name, price, stock) SELECT 'item ' || (i * 7919::bigint) % 50000, 'Item', 1, i FROM generate_series(0, 49999) i")
  })

  scenario('COPY: a source that breaks', async client => {
    const stream = client.client.query(from(COPY))
    const source = new Readable({
      read () {
        this.push('mug,Mug,1,1\n')
        this.destroy(new Error('no more'))
      }
    })
    await assert.rejects(pipeline(source, stream), /no more/)
    await ownUpsert(client, [])
  })

  scenario('COPY: an error names the line', async client => {
    await fails('22P02', copy(client, COPY, 'mug,Mug,1,1\nx,X,cheap,1\n'),
      /COPY products, line 2, column price: "cheap"/)
    await fails('23514', copy(client, COPY, 'mug,Mug,1,1\nx,X,-1,1\n'), /row 2/)
    assert.equal(await copy(client, COPY, csv(ROWS)), 4)
    await ownUpsert(client)
  })

  scenario('COPY without options: the setting', async client => {
    const statement = 'COPY products (id, sku, name, price, stock) FROM STDIN (FORMAT csv)'
    const rows = [{ id: 2, ...ROWS[0] }, { id: 50, ...ROWS[1] }, { id: 1, ...ROWS[2] }]
    await fails('23505', copy(client, statement, csv(rows)))
    await client.client.query('BEGIN')
    await client.client.query("SET LOCAL orm_ext.copy_on_conflict = 'update'")
    assert.equal(await copy(client, statement, csv(rows)), 3)
    assert.deepEqual(await lastCounts(client), { inserted: 1, updated: 1, unchanged: 1, skipped: 0 })
    await client.client.query('COMMIT')
    await fails('23505', copy(client, statement, csv(rows)))
    await ownUpsert(client, ROWS.slice(0, 3))
  })
}

products({
  name: 'pg',
  open: async connection => {
    const client = new pg.Client(connection)
    await client.connect()
    return { client, connection, close: () => client.end() }
  },
  define (scenario) {
    json(scenario)
    copying(scenario)
  }
})
