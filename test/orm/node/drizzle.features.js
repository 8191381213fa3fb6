'use strict'

/* Drizzle: tables, relational queries, and in drizzle/ the migrations as drizzle-kit generates them. */

const path = require('node:path')
const { TransactionRollbackError, and, asc, eq, getTableColumns, gt, gte, inArray, lt, relations, sql } = require('drizzle-orm')
const { drizzle } = require('drizzle-orm/node-postgres')
const { migrate } = require('drizzle-orm/node-postgres/migrator')
const { index, integer, pgTable, serial, text, timestamp } = require('drizzle-orm/pg-core')
const pg = require('pg')
const { BY_HAND, DIFFS, lookups, play, refused } = require('./features')

const time = () => timestamp({ withTimezone: true })

const authors = pgTable('authors', {
  id: serial().primaryKey(),
  email: text().notNull().unique(),
  name: text().notNull(),
  version: integer().notNull().default(1),
  created_at: time().notNull().defaultNow(),
  updated_at: time().notNull().defaultNow(),
  deleted_at: time()
})

const books = pgTable('books', {
  id: serial().primaryKey(),
  author_id: integer().notNull().references(() => authors.id, { onDelete: 'cascade' }),
  title: text().notNull(),
  price: integer().notNull(),
  pages: integer(),
  deleted_at: time()
}, table => [index().on(table.author_id)])

const tables = {
  authors,
  books,
  authorsRelations: relations(authors, ({ many }) => ({ books: many(books) })),
  booksRelations: relations(books, ({ one }) => ({
    author: one(authors, { fields: [books.author_id], references: [authors.id] })
  }))
}

const UNIQUE = error => error.cause.code === '23505'
const email = name => `${name.toLowerCase()}@example.org`
const of = name => eq(authors.email, email(name))
const find = (db, name) => db.query.authors.findFirst({ where: of(name) })

/** Drizzle has no way back: it is asked for what it knows of as applied, twice. */
async function schema ({ db }) {
  const applied = []
  for (let i = 0; i < 2; i++) {
    await migrate(db, { migrationsFolder: path.join(__dirname, 'drizzle') })
    applied.push((await db.execute('SELECT count(*) FROM drizzle.__drizzle_migrations')).rows)
  }
  return applied
}

async function write (db, name, titles = []) {
  const [{ id }] = await db.insert(authors).values({ email: email(name), name }).returning({ id: authors.id })
  if (titles.length > 0) {
    await db.insert(books).values(titles.map((title, i) => ({ author_id: id, title, price: i + 1 })))
  }
  return id
}

const names = async (db, ...all) => (await db.select({ name: authors.name }).from(authors)
  .where(inArray(authors.email, all.map(email))).orderBy(authors.email)).map(({ name }) => name)

async function crud ({ db }) {
  const answer = []
  await write(db, 'Ann')
  await write(db, 'Bob')
  answer.push((await find(db, 'Ann')).name)
  await db.update(authors).set({ name: 'Anna', updated_at: new Date() }).where(of('Ann'))
  answer.push((await find(db, 'Ann')).name)
  answer.push((await db.delete(authors).where(of('Ann')).returning()).length, await find(db, 'Ann') || null)
  answer.push((await db.update(authors).set({ name: 'nobody' }).where(of('Ann'))).rowCount)
  answer.push((await db.delete(authors).where(of('Ann'))).rowCount)
  await write(db, 'Ann')
  answer.push(await refused(write(db, 'Ann'), 'unique', UNIQUE))
  return [...answer, await names(db, 'Ann', 'Bob')]
}

async function related ({ db }) {
  const cyd = await write(db, 'Cyd', ['A', 'B', 'C'])
  const all = [cyd, await write(db, 'Dan', ['D']), await write(db, 'Eve')]
  await db.delete(books).where(eq(books.title, 'B'))
  const rows = await db.select({ name: authors.name, title: books.title }).from(authors)
    .leftJoin(books, eq(books.author_id, authors.id)).where(inArray(authors.id, all)).orderBy(authors.id, books.id)
  const joined = new Map(rows.map(({ name }) => [name, rows.filter(row => row.name === name)]))
  const nested = await db.query.authors.findMany({
    where: inArray(authors.id, all), with: { books: { orderBy: asc(books.id) } }, orderBy: asc(authors.id)
  })
  const titles = async where => (await db.select().from(books).where(where).orderBy(books.title)).map(({ title }) => title)
  const lazy = await titles(eq(books.author_id, cyd))
  const { author } = await db.query.books.findFirst({ where: eq(books.title, 'D'), with: { author: true } })
  await db.delete(authors).where(eq(authors.id, cyd))
  return [
    [...joined].map(([name, group]) => [name, group.map(({ title }) => title).filter(Boolean)]),
    nested.map(({ name, books }) => [name, books.map(({ title }) => title)]),
    lazy, author.name, await titles(inArray(books.author_id, all)),
    await refused(db.insert(books).values({ author_id: cyd, title: 'E', price: 1 }), 'foreign key',
      error => error.cause.code === '23503')
  ]
}

async function bulkDelete ({ db }) {
  const fay = eq(books.author_id, await write(db, 'Fay', ['F1', 'F2', 'F3', 'F4', 'F5', 'F6']))
  const remove = async where => (await db.delete(books).where(where)).rowCount
  const ofFay = db.select({ id: authors.id }).from(authors).where(eq(authors.name, 'Fay'))
  return [
    await remove(and(fay, gt(books.price, 4))), await remove(and(fay, gt(books.price, 4))),
    (await db.update(books).set({ price: sql`${books.price} * 10` }).where(and(fay, gte(books.price, 3)))).rowCount,
    await remove(and(inArray(books.author_id, ofFay), lt(books.price, 3))),
    await db.$count(books, fay), await remove(fay), await db.$count(books, fay)
  ]
}

async function transactions ({ db }) {
  const gus = eq(books.author_id, await write(db, 'Gus', ['G1', 'G2', 'G3']))
  const titled = title => and(gus, eq(books.title, title))
  const answer = []
  await refused(db.transaction(async outer => {
    await outer.delete(books).where(gus)
    answer.push(await outer.$count(books, gus), await db.$count(books, gus))
    outer.rollback()
  }), 'undone', TransactionRollbackError)
  answer.push(await db.$count(books, gus))
  await db.transaction(async outer => {
    await outer.delete(books).where(titled('G1'))
    await refused(outer.transaction(async inner => {
      await inner.delete(books).where(gus)
      answer.push(await inner.$count(books, gus))
      inner.rollback()
    }), 'undone', TransactionRollbackError)
    answer.push(await outer.$count(books, gus))
  })
  answer.push(await db.$count(books, gus))
  await db.transaction(async outer => {
    answer.push(await refused(outer.transaction(inner => write(inner, 'Gus')), 'unique', UNIQUE))
    await outer.delete(books).where(titled('G2'))
  })
  return [...answer, await db.$count(books, gus)]
}

async function lock ({ db }) {
  await write(db, 'Hal')
  const [mine, theirs] = [await find(db, 'Hal'), await find(db, 'Hal')]
  const save = async ({ id, version }, name) => (await db.update(authors).set({ name, version: version + 1 })
    .where(and(eq(authors.id, id), eq(authors.version, version)))).rowCount === 1
    ? 'saved'
    : 'stale'
  const answer = [await save(theirs, 'theirs'), await save(mine, 'mine')]
  const fresh = await find(db, 'Hal')
  return [...answer, fresh.name, await save(fresh, 'mine'), (await find(db, 'Hal')).name]
}

async function upsert ({ db }) {
  const insert = (...all) => db.insert(authors).values(all.map(([key, name]) => ({ email: email(key), name })))
  const update = { target: authors.email, set: { name: sql`excluded.name` } }
  const answer = []
  for (const name of ['Ivy', 'Ivy 2']) {
    await insert(['Ivy', name]).onConflictDoUpdate(update)
    answer.push((await find(db, 'Ivy')).name)
  }
  await db.delete(authors).where(of('Ivy'))
  await insert(['Ivy', 'Ivy 3']).onConflictDoUpdate(update)
  answer.push((await find(db, 'Ivy')).name)
  await insert(['Ivy', 'nobody']).onConflictDoNothing()
  answer.push((await find(db, 'Ivy')).name)
  await insert(['Ivy', 'Ivy 4'], ['Jan', 'Jan']).onConflictDoUpdate(update)
  return [...answer, await names(db, 'Ivy', 'Jan')]
}

async function pages ({ db }) {
  const titles = Array.from({ length: 12 }, (_, i) => `P${String(i + 1).padStart(2, '0')}`)
  const kim = eq(books.author_id, await write(db, 'Kim', titles))
  await db.delete(books).where(and(kim, inArray(books.title, ['P03', 'P07'])))
  const page = async (where, offset) => (await db.query.books.findMany(
    { where, orderBy: asc(books.title), limit: 4, offset })).map(({ title }) => title)
  const keyset = []
  for (let last = '', next; (next = await page(and(kim, gt(books.title, last)))).length > 0;) {
    keyset.push(next)
    last = next.at(-1)
  }
  return [[await page(kim, 0), await page(kim, 4), await page(kim, 8)], await db.$count(books, kim), keyset]
}

function prepared ({ db, prepare }) {
  const { name } = getTableColumns(authors)
  const find = db.select({ name }).from(authors).where(eq(authors.email, sql.placeholder('email')))
    .prepare(prepare ? 'find_author' : '')
  return lookups(
    async () => (await find.execute({ email: email('Lea') }))[0]?.name || null,
    () => db.delete(authors).where(of('Lea')),
    () => write(db, 'Lea'))
}

play({
  packages: ['drizzle-orm', 'pg'],
  async open (connection, { prepare }) {
    const pool = new pg.Pool(connection)
    return { pool, db: drizzle(pool, { schema: tables }), prepare }
  },
  schema,
  crud,
  relations: related,
  bulk_delete: bulkDelete,
  transactions,
  lock,
  upsert,
  pages,
  prepared,
  async clear ({ db }) {
    await db.delete(books)
    await db.delete(authors)
  },
  close: ({ pool }) => pool.end(),
  notes: { schema: DIFFS, lock: BY_HAND }
})
