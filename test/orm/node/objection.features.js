'use strict'

/* Objection: models, relations and graphs, on Knex. */

const knex = require('knex')
const { ForeignKeyViolationError, Model, UniqueViolationError, raw } = require('objection')
const { BY_HAND, UNNAMED, lookups, play, refused } = require('./features')
const { schema } = require('./knex.migrations')

class Author extends Model {
  static get tableName () { return 'authors' }

  static get relationMappings () {
    return {
      books: { relation: Model.HasManyRelation, modelClass: Book, join: { from: 'authors.id', to: 'books.author_id' } }
    }
  }

  $beforeUpdate () { this.updated_at = new Date().toISOString() }
}

class Book extends Model {
  static get tableName () { return 'books' }

  static get relationMappings () {
    return {
      author: { relation: Model.BelongsToOneRelation, modelClass: Author, join: { from: 'books.author_id', to: 'authors.id' } }
    }
  }
}

const email = name => `${name.toLowerCase()}@example.org`
const find = (name, on) => Author.query(on).findOne({ email: email(name) })
const names = async (...of) => (await Author.query().whereIn('email', of.map(email)).orderBy('email')).map(({ name }) => name)

function write (name, titles = [], price = 1, on) {
  const books = titles.map((title, i) => ({ title, price: price + i }))
  return Author.query(on).insertGraph({ email: email(name), name, books })
}

async function crud () {
  const answer = []
  await write('Ann')
  await write('Bob')
  const ann = await find('Ann')
  answer.push(ann.name)
  await ann.$query().patch({ name: 'Anna' })
  answer.push((await find('Ann')).name, await ann.$query().delete(), await find('Ann') || null)
  answer.push(await Author.query().findById(ann.id).patch({ name: 'nobody' }), await Author.query().deleteById(ann.id))
  await write('Ann')
  answer.push(await refused(write('Ann'), 'unique', UniqueViolationError))
  return [...answer, await names('Ann', 'Bob')]
}

const titles = books => books.map(({ title }) => title)
const withTitles = authors => authors.map(({ name, books }) => [name, titles(books)])

async function relations () {
  const cyd = await write('Cyd', ['A', 'B', 'C'])
  const dan = await write('Dan', ['D'])
  const all = [cyd.id, dan.id, (await write('Eve')).id]
  await cyd.$relatedQuery('books').delete().where({ title: 'B' })
  const joined = await Author.query().findByIds(all).withGraphJoined('books').orderBy(['authors.id', 'books.id'])
  const fetched = await Author.query().findByIds(all).withGraphFetched('books').orderBy('id')
  const lazy = await cyd.$relatedQuery('books').orderBy('title')
  const book = await Book.query().findOne({ title: 'D' })
  const author = await book.$relatedQuery('author')
  await cyd.$query().delete()
  const left = await Book.query().whereIn('author_id', all)
  return [withTitles(joined), withTitles(fetched), titles(lazy), author.name, titles(left),
    await refused(cyd.$relatedQuery('books').insert({ title: 'E', price: 1 }), 'foreign key', ForeignKeyViolationError)]
}

async function bulkDelete () {
  const fay = await write('Fay', ['F1', 'F2', 'F3', 'F4', 'F5', 'F6'])
  const books = () => fay.$relatedQuery('books')
  const ofFay = Author.query().select('id').where({ name: 'Fay' })
  return [
    await books().delete().where('price', '>', 4), await books().delete().where('price', '>', 4),
    await books().patch({ price: raw('price * 10') }).where('price', '>=', 3),
    await Book.query().delete().whereIn('author_id', ofFay).where('price', '<', 3),
    await books().resultSize(), await books().delete(), await books().resultSize()
  ]
}

async function transactions () {
  const gus = await write('Gus', ['G1', 'G2', 'G3'])
  const books = on => gus.$relatedQuery('books', on)
  const answer = []
  await refused(Author.transaction(async outer => {
    await books(outer).delete()
    answer.push(await books(outer).resultSize(), await books().resultSize())
    throw new Error('changed my mind')
  }), 'undone', /changed my mind/)
  answer.push(await books().resultSize())
  await Author.transaction(async outer => {
    await books(outer).delete().where({ title: 'G1' })
    await refused(outer.transaction(async inner => {
      await books(inner).delete()
      answer.push(await books(inner).resultSize())
      throw new Error('changed my mind')
    }), 'undone', /changed my mind/)
    answer.push(await books(outer).resultSize())
  })
  answer.push(await books().resultSize())
  await Author.transaction(async outer => {
    answer.push(await refused(outer.transaction(inner => write('Gus', [], 1, inner)), 'unique', UniqueViolationError))
    await books(outer).delete().where({ title: 'G2' })
  })
  return [...answer, await books().resultSize()]
}

async function lock () {
  await write('Hal')
  const [mine, theirs] = [await find('Hal'), await find('Hal')]
  const save = async ({ id, version }, name) =>
    await Author.query().findById(id).where({ version }).patch({ name, version: version + 1 }) === 1 ? 'saved' : 'stale'
  const answer = [await save(theirs, 'theirs'), await save(mine, 'mine')]
  const fresh = await find('Hal')
  return [...answer, fresh.name, await save(fresh, 'mine'), (await find('Hal')).name]
}

async function upsert () {
  const ivy = name => Author.query().insert({ email: email('Ivy'), name }).onConflict('email')
  const answer = []
  for (const name of ['Ivy', 'Ivy 2']) {
    await ivy(name).merge()
    answer.push((await find('Ivy')).name)
  }
  await (await find('Ivy')).$query().delete()
  await ivy('Ivy 3').merge()
  answer.push((await find('Ivy')).name)
  await ivy('nobody').ignore()
  answer.push((await find('Ivy')).name)
  await Author.query().insert([{ email: email('Ivy'), name: 'Ivy 4' }, { email: email('Jan'), name: 'Jan' }])
    .onConflict('email').merge(['name'])
  return [...answer, await names('Ivy', 'Jan')]
}

async function pages () {
  const kim = await write('Kim', Array.from({ length: 12 }, (_, i) => `P${String(i + 1).padStart(2, '0')}`))
  const books = () => kim.$relatedQuery('books')
  await books().delete().whereIn('title', ['P03', 'P07'])
  const offset = []
  const totals = new Set()
  for (const page of [0, 1, 2]) {
    const { results, total } = await books().orderBy('title').page(page, 4)
    offset.push(titles(results))
    totals.add(total)
  }
  const keyset = []
  for (let last = '', page; (page = await books().where('title', '>', last).orderBy('title').limit(4)).length > 0;) {
    keyset.push(titles(page))
    last = page.at(-1).title
  }
  return [offset, ...totals, keyset]
}

play({
  packages: ['objection', 'knex'],
  async open (connection) {
    const db = knex({ client: 'pg', connection, pool: { min: 0, max: 5 } })
    Model.knex(db)
    return db
  },
  schema,
  crud,
  relations,
  bulk_delete: bulkDelete,
  transactions,
  lock,
  upsert,
  pages,
  prepared: () => lookups(
    async () => (await find('Lea'))?.name || null,
    async () => (await find('Lea')).$query().delete(),
    () => write('Lea')),
  async clear () {
    await Book.query().delete()
    await Author.query().delete()
  },
  close: db => db.destroy(),
  notes: { lock: BY_HAND, pgbouncer: UNNAMED }
})
