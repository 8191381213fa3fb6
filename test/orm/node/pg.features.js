'use strict'

/* node-postgres by itself: statements by hand, named ones where they are prepared. */

const pg = require('pg')
const { BY_HAND, lookups, play, refused } = require('./features')

const UNIQUE = { code: '23505' }
const email = name => `${name.toLowerCase()}@example.org`

const steps = [
  `CREATE TABLE authors (
     id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
     email text NOT NULL UNIQUE,
     name text NOT NULL,
     version integer NOT NULL DEFAULT 1,
     created_at timestamptz NOT NULL DEFAULT now(),
     updated_at timestamptz NOT NULL DEFAULT now(),
     deleted_at timestamptz)`,
  `CREATE TABLE books (
     id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
     author_id integer NOT NULL REFERENCES authors ON DELETE CASCADE,
     title text NOT NULL,
     price integer NOT NULL,
     deleted_at timestamptz)`,
  'CREATE INDEX ON books (author_id)',
  'ALTER TABLE books ADD COLUMN pages integer'
]

async function schema ({ pool }) {
  const tags = []
  for (const statement of [...steps, 'DROP TABLE books, authors', ...steps]) {
    tags.push((await pool.query(statement)).command)
  }
  return tags
}

const name = async (on, of) =>
  (await on.query('SELECT name FROM authors WHERE email = $1', [email(of)])).rows[0]?.name || null
const names = async (on, ...of) => (await on.query(
  'SELECT name FROM authors WHERE email = ANY ($1) ORDER BY email', [of.map(email)])).rows.map(row => row.name)
const count = async (on, author) =>
  Number((await on.query('SELECT count(*) AS n FROM books WHERE author_id = $1', [author])).rows[0].n)
const changed = async (on, ...query) => (await on.query(...query)).rowCount

async function write (on, author, titles = []) {
  const { rows: [{ id }] } = await on.query(
    'INSERT INTO authors (email, name) VALUES ($1, $2) RETURNING id', [email(author), author])
  await on.query(`INSERT INTO books (author_id, title, price)
    SELECT $1, title, ordinal FROM unnest($2::text[]) WITH ORDINALITY AS b (title, ordinal)`, [id, titles])
  return id
}

async function crud ({ pool }) {
  const ann = [email('Ann')]
  const answer = []
  await write(pool, 'Ann')
  await write(pool, 'Bob')
  answer.push(await name(pool, 'Ann'))
  await pool.query("UPDATE authors SET name = 'Anna' WHERE email = $1", ann)
  answer.push(await name(pool, 'Ann'))
  answer.push(await changed(pool, 'DELETE FROM authors WHERE email = $1', ann), await name(pool, 'Ann'))
  answer.push(await changed(pool, "UPDATE authors SET name = 'nobody' WHERE email = $1", ann))
  answer.push(await changed(pool, 'DELETE FROM authors WHERE email = $1', ann))
  await write(pool, 'Ann')
  answer.push(await refused(write(pool, 'Ann'), 'unique', UNIQUE))
  return [...answer, await names(pool, 'Ann', 'Bob')]
}

async function relations ({ pool }) {
  const cyd = await write(pool, 'Cyd', ['A', 'B', 'C'])
  const all = [cyd, await write(pool, 'Dan', ['D']), await write(pool, 'Eve')]
  const titles = async (...query) => (await pool.query(...query)).rows.map(row => row.title)
  const grouped = async statement => (await pool.query({ text: statement, values: [all], rowMode: 'array' })).rows
  await pool.query("DELETE FROM books WHERE title = 'B'")
  return [
    await grouped(`SELECT a.name, array_remove(array_agg(b.title ORDER BY b.id), NULL)
      FROM authors AS a LEFT JOIN books AS b ON b.author_id = a.id WHERE a.id = ANY ($1) GROUP BY a.id ORDER BY a.id`),
    await grouped(`SELECT name, ARRAY(SELECT title FROM books WHERE author_id = a.id ORDER BY id)
      FROM authors AS a WHERE id = ANY ($1) ORDER BY id`),
    await titles('SELECT title FROM books WHERE author_id = $1 ORDER BY title', [cyd]),
    (await pool.query("SELECT name FROM books JOIN authors AS a ON a.id = author_id WHERE title = 'D'")).rows[0].name,
    (await pool.query('DELETE FROM authors WHERE id = $1', [cyd])) &&
      await titles('SELECT title FROM books WHERE author_id = ANY ($1)', [all]),
    await refused(pool.query("INSERT INTO books (author_id, title, price) VALUES ($1, 'E', 1)", [cyd]),
      'foreign key', { code: '23503' })
  ]
}

async function bulkDelete ({ pool }) {
  const fay = await write(pool, 'Fay', ['F1', 'F2', 'F3', 'F4', 'F5', 'F6'])
  const books = 'books WHERE author_id = $1'
  return [
    await changed(pool, `DELETE FROM ${books} AND price > 4`, [fay]),
    await changed(pool, `DELETE FROM ${books} AND price > 4`, [fay]),
    await changed(pool, 'UPDATE books SET price = price * 10 WHERE author_id = $1 AND price >= 3', [fay]),
    await changed(pool, `DELETE FROM books USING authors AS a
      WHERE a.id = author_id AND a.name = 'Fay' AND price < 3`),
    await count(pool, fay), await changed(pool, `DELETE FROM ${books}`, [fay]), await count(pool, fay)
  ]
}

async function transactions ({ pool }) {
  const gus = await write(pool, 'Gus', ['G1', 'G2', 'G3'])
  const client = await pool.connect()
  const run = statement => client.query(statement)
  const answer = []
  await run('BEGIN')
  await run(`DELETE FROM books WHERE author_id = ${gus}`)
  answer.push(await count(client, gus), await count(pool, gus))
  await run('ROLLBACK')
  answer.push(await count(client, gus))

  await run("BEGIN; DELETE FROM books WHERE title = 'G1'; SAVEPOINT a")
  await run(`DELETE FROM books WHERE author_id = ${gus}`)
  answer.push(await count(client, gus))
  await run('ROLLBACK TO SAVEPOINT a')
  answer.push(await count(client, gus))
  await run('COMMIT')
  answer.push(await count(client, gus))

  await run('BEGIN; SAVEPOINT a')
  answer.push(await refused(write(client, 'Gus'), 'unique', UNIQUE))
  await run("ROLLBACK TO SAVEPOINT a; DELETE FROM books WHERE title = 'G2'; COMMIT")
  client.release()
  return [...answer, await count(pool, gus)]
}

async function lock ({ pool }) {
  const id = await write(pool, 'Hal')
  const read = async () => (await pool.query('SELECT name, version FROM authors WHERE id = $1', [id])).rows[0]
  const save = async ({ version }, value) => await changed(pool,
    'UPDATE authors SET name = $3, version = version + 1 WHERE id = $1 AND version = $2', [id, version, value]) === 1
    ? 'saved'
    : 'stale'
  const [mine, theirs] = [await read(), await read()]
  const answer = [await save(theirs, 'theirs'), await save(mine, 'mine')]
  const fresh = await read()
  return [...answer, fresh.name, await save(fresh, 'mine'), (await read()).name]
}

async function upsert ({ pool }) {
  const insert = 'INSERT INTO authors (email, name) VALUES ($1, $2) ON CONFLICT (email) DO '
  const ivy = (value, action = 'UPDATE SET name = excluded.name') => pool.query(insert + action, [email('Ivy'), value])
  const answer = []
  for (const value of ['Ivy', 'Ivy 2']) {
    await ivy(value)
    answer.push(await name(pool, 'Ivy'))
  }
  await pool.query('DELETE FROM authors WHERE email = $1', [email('Ivy')])
  await ivy('Ivy 3')
  answer.push(await name(pool, 'Ivy'))
  await ivy('nobody', 'NOTHING')
  answer.push(await name(pool, 'Ivy'))
  await pool.query(`INSERT INTO authors (email, name) SELECT * FROM unnest($1::text[], $2::text[])
    ON CONFLICT (email) DO UPDATE SET name = excluded.name`, [[email('Ivy'), email('Jan')], ['Ivy 4', 'Jan']])
  return [...answer, await names(pool, 'Ivy', 'Jan')]
}

async function pages ({ pool }) {
  const kim = await write(pool, 'Kim', Array.from({ length: 12 }, (_, i) => `P${String(i + 1).padStart(2, '0')}`))
  await pool.query('DELETE FROM books WHERE author_id = $1 AND title = ANY ($2)', [kim, ['P03', 'P07']])
  const page = async (condition, value) => (await pool.query(
    `SELECT title FROM books WHERE author_id = $1 ${condition}`, [kim, value])).rows.map(row => row.title)
  const offset = []
  for (const from of [0, 4, 8]) offset.push(await page('ORDER BY title LIMIT 4 OFFSET $2', from))
  const keyset = []
  for (let last = '', next; (next = await page('AND title > $2 ORDER BY title LIMIT 4', last)).length > 0;) {
    keyset.push(next)
    last = next.at(-1)
  }
  return [offset, await count(pool, kim), keyset]
}

function prepared ({ pool, prepare }) {
  const named = prepare ? { name: 'lea' } : {}
  const find = { ...named, text: 'SELECT name FROM authors WHERE email = $1', values: [email('Lea')] }
  return lookups(
    async () => (await pool.query(find)).rows[0]?.name || null,
    () => pool.query('DELETE FROM authors WHERE email = $1', [email('Lea')]),
    () => write(pool, 'Lea'))
}

play({
  packages: ['pg'],
  open: async (connection, { prepare }) => ({ pool: new pg.Pool(connection), prepare }),
  schema,
  crud,
  relations,
  bulk_delete: bulkDelete,
  transactions,
  lock,
  upsert,
  pages,
  prepared,
  clear: ({ pool }) => pool.query('DELETE FROM books; DELETE FROM authors'),
  close: ({ pool }) => pool.end(),
  notes: { schema: 'Statements by hand.', relations: 'Joins by hand.', lock: BY_HAND }
})
