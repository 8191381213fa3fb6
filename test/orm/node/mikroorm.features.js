'use strict'

/* MikroORM: entities, unit of work, and its migrations. */

const assert = require('node:assert/strict')
const {
  EntitySchema, ForeignKeyConstraintViolationException, MikroORM, OptimisticLockError, UniqueConstraintViolationException, raw
} = require('@mikro-orm/postgresql')
const { Migration, Migrator } = require('@mikro-orm/migrations')
const { DIFFS, UNNAMED, lookups, play, refused } = require('./features')

const time = { type: 'datetime', columnType: 'timestamptz' }

class Author {}
class Book {}

const schemas = [
  new EntitySchema({
    class: Author,
    tableName: 'authors',
    properties: {
      id: { type: 'integer', primary: true },
      email: { type: 'text', unique: true },
      name: { type: 'text' },
      version: { type: 'integer', version: true },
      created_at: { ...time, defaultRaw: 'now()', onCreate: () => new Date() },
      updated_at: { ...time, defaultRaw: 'now()', onCreate: () => new Date(), onUpdate: () => new Date() },
      deleted_at: { ...time, nullable: true },
      books: { kind: '1:m', entity: () => Book, mappedBy: 'author', orderBy: { id: 'asc' } }
    }
  }),
  new EntitySchema({
    class: Book,
    tableName: 'books',
    properties: {
      id: { type: 'integer', primary: true },
      author: { kind: 'm:1', entity: () => Author, inversedBy: 'books', deleteRule: 'cascade' },
      title: { type: 'text' },
      price: { type: 'integer' },
      pages: { type: 'integer', nullable: true },
      deleted_at: { ...time, nullable: true }
    }
  })
]

/* As `mikro-orm migration:create` writes them. */
class Tables extends Migration {
  async up () {
    this.addSql('create table "authors" ("id" serial primary key, "email" text not null, "name" text not null, ' +
      '"version" int not null default 1, "created_at" timestamptz not null default now(), ' +
      '"updated_at" timestamptz not null default now(), "deleted_at" timestamptz null);')
    this.addSql('alter table "authors" add constraint "authors_email_unique" unique ("email");')
    this.addSql('create table "books" ("id" serial primary key, "author_id" int not null, "title" text not null, ' +
      '"price" int not null, "deleted_at" timestamptz null);')
    this.addSql('alter table "books" add constraint "books_author_id_foreign" foreign key ("author_id") ' +
      'references "authors" ("id") on update cascade on delete cascade;')
  }

  async down () {
    this.addSql('drop table if exists "books" cascade;')
    this.addSql('drop table if exists "authors" cascade;')
  }
}

class Pages extends Migration {
  async up () { this.addSql('alter table "books" add column "pages" int null;') }
  async down () { this.addSql('alter table "books" drop column "pages";') }
}

async function schema ({ orm }) {
  const migrator = orm.getMigrator()
  const states = []
  for (const run of [() => migrator.up(), () => migrator.down({ to: 0 }), () => migrator.up()]) {
    states.push((await run()).map(({ name }) => name))
  }
  assert.equal(await orm.schema.getUpdateSchemaSQL({ wrap: false }), '')
  return states
}

const email = name => `${name.toLowerCase()}@example.org`
const find = (em, name) => em.findOne(Author, { email: email(name) })
const titles = books => books.map(({ title }) => title)

async function write (em, name, all = []) {
  const author = em.create(Author, { email: email(name), name })
  all.forEach((title, i) => em.create(Book, { author, title, price: i + 1 }))
  await em.flush()
  return author
}

async function names (em, ...all) {
  const authors = await em.fork().find(Author, { email: all.map(email) }, { orderBy: { email: 'asc' } })
  return authors.map(({ name }) => name)
}

async function crud ({ orm }) {
  const answer = []
  await write(orm.em.fork(), 'Ann')
  await write(orm.em.fork(), 'Bob')
  const em = orm.em.fork()
  const ann = await find(em, 'Ann')
  answer.push(ann.name)
  ann.name = 'Anna'
  await em.flush()
  answer.push((await find(em.fork(), 'Ann')).name)
  em.remove(ann)
  await em.flush()
  answer.push(1, await find(em, 'Ann'))
  answer.push(await em.nativeUpdate(Author, { email: email('Ann') }, { name: 'nobody' }))
  answer.push(await em.nativeDelete(Author, { email: email('Ann') }))
  await write(orm.em.fork(), 'Ann')
  answer.push(await refused(write(orm.em.fork(), 'Ann'), 'unique', UniqueConstraintViolationException))
  return [...answer, await names(em, 'Ann', 'Bob')]
}

async function relations ({ orm }) {
  const em = orm.em.fork()
  const [cyd, dan, eve] = [await write(em, 'Cyd', ['A', 'B', 'C']), await write(em, 'Dan', ['D']), await write(em, 'Eve')]
  const all = { id: [cyd.id, dan.id, eve.id] }
  em.remove(await em.findOne(Book, { title: 'B' }))
  await em.flush()
  const eager = async strategy => (await orm.em.fork().find(Author, all, { populate: ['books'], strategy, orderBy: { id: 'asc' } }))
    .map(({ name, books }) => [name, titles(books.getItems())])
  const answer = [await eager('joined'), await eager('select-in')]
  const session = orm.em.fork()
  const lazy = await find(session, 'Cyd')
  answer.push(titles(await lazy.books.loadItems()))
  const other = orm.em.fork()
  const book = await other.findOne(Book, { title: 'D' })
  await other.populate(book, ['author'])
  answer.push(book.author.name)
  session.remove(lazy)
  await session.flush()
  const fresh = orm.em.fork()
  answer.push(titles(await fresh.find(Book, { author: all })))
  fresh.create(Book, { author: fresh.getReference(Author, cyd.id), title: 'E', price: 1 })
  return [...answer, await refused(fresh.flush(), 'foreign key', ForeignKeyConstraintViolationException)]
}

async function bulkDelete ({ orm }) {
  const em = orm.em.fork()
  const author = await write(em, 'Fay', ['F1', 'F2', 'F3', 'F4', 'F5', 'F6'])
  const remove = where => em.nativeDelete(Book, where)
  return [
    await remove({ author, price: { $gt: 4 } }), await remove({ author, price: { $gt: 4 } }),
    await em.nativeUpdate(Book, { author, price: { $gte: 3 } }, { price: raw('price * 10') }),
    await remove({ author: { name: 'Fay' }, price: { $lt: 3 } }),
    await em.count(Book, { author }), await remove({ author }), await em.count(Book, { author })
  ]
}

async function transactions ({ orm }) {
  const em = orm.em.fork()
  const author = (await write(em, 'Gus', ['G1', 'G2', 'G3'])).id
  const count = on => on.count(Book, { author })
  const answer = []
  await refused(em.transactional(async outer => {
    await outer.nativeDelete(Book, { author })
    answer.push(await count(outer), await count(orm.em.fork()))
    throw new Error('changed my mind')
  }), 'undone', /changed my mind/)
  answer.push(await count(em))
  await em.transactional(async outer => {
    await outer.nativeDelete(Book, { author, title: 'G1' })
    await refused(outer.transactional(async inner => {
      await inner.nativeDelete(Book, { author })
      answer.push(await count(inner))
      throw new Error('changed my mind')
    }), 'undone', /changed my mind/)
    answer.push(await count(outer))
  })
  answer.push(await count(em))
  await em.transactional(async outer => {
    answer.push(await refused(outer.transactional(inner => write(inner, 'Gus')), 'unique', UniqueConstraintViolationException))
    await outer.nativeDelete(Book, { author, title: 'G2' })
  })
  return [...answer, await count(em)]
}

async function lock ({ orm }) {
  await write(orm.em.fork(), 'Hal')
  const [mine, theirs] = [orm.em.fork(), orm.em.fork()]
  const read = em => find(em, 'Hal')
  const save = async (em, author, name) => {
    author.name = name
    try {
      await em.flush()
      return 'saved'
    } catch (error) {
      if (error instanceof OptimisticLockError) return 'stale'
      throw error
    }
  }
  const [my, their] = [await read(mine), await read(theirs)]
  const answer = [await save(theirs, their, 'theirs'), await save(mine, my, 'mine')]
  const fresh = orm.em.fork()
  const author = await read(fresh)
  return [...answer, author.name, await save(fresh, author, 'mine'), ...await names(fresh, 'Hal')]
}

async function upsert ({ orm }) {
  const ivy = (name, options) => orm.em.fork().upsert(Author, { email: email('Ivy'), name }, options)
  const answer = []
  for (const name of ['Ivy', 'Ivy 2']) {
    await ivy(name)
    answer.push(...await names(orm.em, 'Ivy'))
  }
  await orm.em.fork().nativeDelete(Author, { email: email('Ivy') })
  await ivy('Ivy 3')
  answer.push(...await names(orm.em, 'Ivy'))
  await ivy('nobody', { onConflictAction: 'ignore', onConflictFields: ['email'] })
  answer.push(...await names(orm.em, 'Ivy'))
  await orm.em.fork().upsertMany(Author, [{ email: email('Ivy'), name: 'Ivy 4' }, { email: email('Jan'), name: 'Jan' }])
  return [...answer, await names(orm.em, 'Ivy', 'Jan')]
}

async function pages ({ orm }) {
  const em = orm.em.fork()
  const author = await write(em, 'Kim', Array.from({ length: 12 }, (_, i) => `P${String(i + 1).padStart(2, '0')}`))
  await em.nativeDelete(Book, { author, title: ['P03', 'P07'] })
  const orderBy = { title: 'asc' }
  const fresh = orm.em.fork()
  const offset = []
  const totals = new Set()
  for (const from of [0, 4, 8]) {
    const [books, total] = await fresh.findAndCount(Book, { author: author.id }, { orderBy, limit: 4, offset: from })
    offset.push(titles(books))
    totals.add(total)
  }
  const keyset = []
  let cursor
  do {
    cursor = await fresh.findByCursor(Book, { author: author.id }, { orderBy, first: 4, after: cursor })
    keyset.push(titles(cursor.items))
  } while (cursor.hasNextPage)
  return [offset, ...totals, keyset]
}

play({
  packages: ['@mikro-orm/core', 'pg'],
  async open ({ host, port, user, database }) {
    const orm = await MikroORM.init({
      entities: schemas,
      host,
      port,
      user,
      dbName: database,
      extensions: [Migrator],
      migrations: {
        migrationsList: [{ name: 'Tables', class: Tables }, { name: 'Pages', class: Pages }], snapshot: false, silent: true
      },
      // Else updates of the schema would drop what belongs to the extension.
      schemaGenerator: { ignoreSchema: ['orm_ext'] },
      ensureDatabase: false
    })
    return { orm }
  },
  schema,
  crud,
  relations,
  bulk_delete: bulkDelete,
  transactions,
  lock,
  upsert,
  pages,
  prepared: ({ orm }) => lookups(
    async () => (await find(orm.em.fork(), 'Lea'))?.name || null,
    () => orm.em.fork().nativeDelete(Author, { email: email('Lea') }),
    () => write(orm.em.fork(), 'Lea')),
  async clear ({ orm }) {
    await orm.em.fork().nativeDelete(Book, {})
    await orm.em.fork().nativeDelete(Author, {})
  },
  close: ({ orm }) => orm.close(),
  notes: { schema: DIFFS, pgbouncer: UNNAMED }
})
