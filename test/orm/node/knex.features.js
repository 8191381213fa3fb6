'use strict'

/* Knex: its query builder and its migrations. */

const knex = require('knex')
const { BY_HAND, UNNAMED, lookups, play, refused } = require('./features')
const { schema } = require('./knex.migrations')

const UNIQUE = { code: '23505' }
const email = name => `${name.toLowerCase()}@example.org`

async function write (db, name, titles = [], price = 1) {
  const [{ id }] = await db('authors').insert({ email: email(name), name }, ['id'])
  if (titles.length > 0) {
    await db('books').insert(titles.map((title, i) => ({ author_id: id, title, price: price + i })))
  }
  return id
}

const names = (db, ...of) => db('authors').whereIn('email', of.map(email)).orderBy('email').pluck('name')
const titles = (db, author) => db('books').where({ author_id: author }).orderBy('title').pluck('title')
const count = async (db, author) => Number((await db('books').where({ author_id: author }).count('* as n').first()).n)

async function crud (db) {
  const ann = { email: email('Ann') }
  const answer = []
  await write(db, 'Ann')
  await write(db, 'Bob')
  answer.push((await db('authors').where(ann).first()).name)
  await db('authors').where(ann).update({ name: 'Anna', updated_at: db.fn.now() })
  answer.push((await db('authors').where(ann).first('name')).name)
  answer.push(await db('authors').where(ann).delete())
  answer.push(await db('authors').where(ann).first() || null)
  answer.push(await db('authors').where(ann).update({ name: 'nobody' }), await db('authors').where(ann).delete())
  await write(db, 'Ann')
  answer.push(await refused(write(db, 'Ann'), 'unique', UNIQUE))
  return [...answer, await names(db, 'Ann', 'Bob')]
}

function grouped (rows) {
  const authors = new Map()
  for (const { name, title } of rows) {
    authors.set(name, [...authors.get(name) || [], ...title ? [title] : []])
  }
  return [...authors]
}

async function relations (db) {
  const cyd = await write(db, 'Cyd', ['A', 'B', 'C'])
  const dan = await write(db, 'Dan', ['D'])
  const eve = await write(db, 'Eve')
  const all = [cyd, dan, eve]
  await db('books').where({ title: 'B' }).delete()
  const joined = grouped(await db('authors as a').leftJoin('books as b', 'b.author_id', 'a.id')
    .whereIn('a.id', all).select('a.name', 'b.title').orderBy(['a.id', 'b.id']))
  const books = await db('books').whereIn('author_id', all).orderBy('id')
  const selected = grouped((await db('authors').whereIn('id', all).orderBy('id')).flatMap(author => {
    const own = books.filter(book => book.author_id === author.id)
    return own.length > 0 ? own.map(({ title }) => ({ name: author.name, title })) : [{ name: author.name }]
  }))
  const lazy = await titles(db, cyd)
  const { name } = await db('books').join('authors', 'authors.id', 'author_id').where({ title: 'D' }).first('name')
  await db('authors').where({ id: cyd }).delete()
  const left = await db('books').whereIn('author_id', all).pluck('title')
  const late = refused(db('books').insert({ author_id: cyd, title: 'E', price: 1 }), 'foreign key', { code: '23503' })
  return [joined, selected, lazy, name, left, await late]
}

async function bulkDelete (db) {
  const author = await write(db, 'Fay', ['F1', 'F2', 'F3', 'F4', 'F5', 'F6'])
  const books = () => db('books').where({ author_id: author })
  return [
    await books().where('price', '>', 4).delete(), await books().where('price', '>', 4).delete(),
    await books().where('price', '>=', 3).update({ price: db.raw('price * 10') }),
    await db('books').whereIn('author_id', db('authors').select('id').where({ name: 'Fay' })).where('price', '<', 3).delete(),
    await count(db, author), await books().delete(), await count(db, author)
  ]
}

async function transactions (db) {
  const author = await write(db, 'Gus', ['G1', 'G2', 'G3'])
  const books = on => on('books').where({ author_id: author })
  const answer = []
  await refused(db.transaction(async outer => {
    await books(outer).delete()
    answer.push(await count(outer, author), await count(db, author))
    throw new Error('changed my mind')
  }), 'undone', /changed my mind/)
  answer.push(await count(db, author))
  await db.transaction(async outer => {
    await books(outer).where({ title: 'G1' }).delete()
    await refused(outer.transaction(async inner => {
      await books(inner).delete()
      answer.push(await count(inner, author))
      throw new Error('changed my mind')
    }), 'undone', /changed my mind/)
    answer.push(await count(outer, author))
  })
  answer.push(await count(db, author))
  await db.transaction(async outer => {
    answer.push(await refused(outer.transaction(inner => write(inner, 'Gus')), 'unique', UNIQUE))
    await books(outer).where({ title: 'G2' }).delete()
  })
  return [...answer, await count(db, author)]
}

async function lock (db) {
  const id = await write(db, 'Hal')
  const [mine, theirs] = [await db('authors').where({ id }).first(), await db('authors').where({ id }).first()]
  const save = async ({ version }, name) => {
    const changed = await db('authors').where({ id, version }).update({ name, version: version + 1 })
    return changed === 1 ? 'saved' : 'stale'
  }
  const answer = [await save(theirs, 'theirs'), await save(mine, 'mine')]
  const fresh = await db('authors').where({ id }).first()
  answer.push(fresh.name, await save(fresh, 'mine'))
  return [...answer, ...await names(db, 'Hal')]
}

async function upsert (db) {
  const ivy = name => db('authors').insert({ email: email('Ivy'), name }).onConflict('email')
  const name = async () => (await names(db, 'Ivy')).join()
  const answer = []
  for (const value of ['Ivy', 'Ivy 2']) {
    await ivy(value).merge()
    answer.push(await name())
  }
  await db('authors').where({ email: email('Ivy') }).delete()
  await ivy('Ivy 3').merge()
  answer.push(await name())
  await ivy('nobody').ignore()
  answer.push(await name())
  await db('authors').insert([{ email: email('Ivy'), name: 'Ivy 4' }, { email: email('Jan'), name: 'Jan' }])
    .onConflict('email').merge(['name'])
  return [...answer, await names(db, 'Ivy', 'Jan')]
}

async function pages (db) {
  const author = await write(db, 'Kim', Array.from({ length: 12 }, (_, i) => `P${String(i + 1).padStart(2, '0')}`))
  const books = () => db('books').where({ author_id: author })
  await books().whereIn('title', ['P03', 'P07']).delete()
  const offset = []
  for (const from of [0, 4, 8]) offset.push(await books().orderBy('title').limit(4).offset(from).pluck('title'))
  const keyset = []
  for (let last = '', page; (page = await books().where('title', '>', last).orderBy('title').limit(4).pluck('title')).length > 0;) {
    keyset.push(page)
    last = page.at(-1)
  }
  return [offset, await count(db, author), keyset]
}

play({
  packages: ['knex', 'pg'],
  open: async (connection) => knex({ client: 'pg', connection, pool: { min: 0, max: 5 } }),
  schema,
  crud,
  relations,
  bulk_delete: bulkDelete,
  transactions,
  lock,
  upsert,
  pages,
  prepared: db => lookups(
    async () => (await db('authors').where({ email: email('Lea') }).first('name'))?.name || null,
    () => db('authors').where({ email: email('Lea') }).delete(),
    () => write(db, 'Lea')),
  async clear (db) {
    await db('books').delete()
    await db('authors').delete()
  },
  close: db => db.destroy(),
  notes: { relations: 'Joins by hand.', lock: BY_HAND, pgbouncer: UNNAMED }
})
