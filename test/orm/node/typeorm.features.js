'use strict'

/* TypeORM: entities that know of no soft deletion, and its migrations. */

require('reflect-metadata')

const assert = require('node:assert/strict')
const { DataSource, EntitySchema, In, LessThan, MoreThan, MoreThanOrEqual, QueryFailedError } = require('typeorm')
const { DIFFS, UNNAMED, lookups, play, refused } = require('./features')

const id = { type: 'int', primary: true, generated: 'increment' }

const Author = new EntitySchema({
  name: 'Author',
  tableName: 'authors',
  columns: {
    id,
    email: { type: 'text', unique: true },
    name: { type: 'text' },
    version: { type: 'int', version: true },
    createdAt: { type: 'timestamptz', createDate: true },
    updatedAt: { type: 'timestamptz', updateDate: true }
  },
  relations: {
    books: { type: 'one-to-many', target: 'Book', inverseSide: 'author', cascade: ['insert'] },
    shelf: { type: 'one-to-many', target: 'Book', inverseSide: 'writer', lazy: true }
  }
})

/* The same reference twice, to be read eagerly and lazily. */
const author = { type: 'many-to-one', target: 'Author', joinColumn: { name: 'authorId' } }

const Book = new EntitySchema({
  name: 'Book',
  tableName: 'books',
  columns: { id, authorId: { type: 'int' }, title: { type: 'text' }, price: { type: 'int' } },
  relations: {
    author: { ...author, inverseSide: 'books', onDelete: 'CASCADE' },
    writer: { ...author, inverseSide: 'shelf', lazy: true }
  }
})

/* As migration:generate writes them. */
class Tables1700000000000 {
  async up (queryRunner) {
    await queryRunner.query('CREATE TABLE "authors" ("id" SERIAL NOT NULL, "email" text NOT NULL, "name" text NOT NULL, ' +
      '"version" integer NOT NULL, "createdAt" TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(), ' +
      '"updatedAt" TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(), "deletedAt" TIMESTAMP WITH TIME ZONE, ' +
      'CONSTRAINT "UQ_7b7b9f1b5b1c7c0b8b8b2f3b4c2" UNIQUE ("email"), ' +
      'CONSTRAINT "PK_d2ed02fabd9b52847ccb85e6b88" PRIMARY KEY ("id"))')
    await queryRunner.query('CREATE TABLE "books" ("id" SERIAL NOT NULL, "authorId" integer NOT NULL, "title" text NOT NULL, ' +
      '"price" integer NOT NULL, "deletedAt" TIMESTAMP WITH TIME ZONE, ' +
      'CONSTRAINT "PK_f3f2f25a099d24e12545b70b022" PRIMARY KEY ("id"))')
    await queryRunner.query('ALTER TABLE "books" ADD CONSTRAINT "FK_54f49efe2dd4d2850e736e9ab86" ' +
      'FOREIGN KEY ("authorId") REFERENCES "authors"("id") ON DELETE CASCADE ON UPDATE NO ACTION')
  }

  async down (queryRunner) {
    await queryRunner.query('ALTER TABLE "books" DROP CONSTRAINT "FK_54f49efe2dd4d2850e736e9ab86"')
    await queryRunner.query('DROP TABLE "books"')
    await queryRunner.query('DROP TABLE "authors"')
  }
}

class Pages1700000000001 {
  up (queryRunner) { return queryRunner.query('ALTER TABLE "books" ADD "pages" integer') }
  down (queryRunner) { return queryRunner.query('ALTER TABLE "books" DROP COLUMN "pages"') }
}

/* Its key is declared to hold among live rows, so that there is nothing to update. */
const Tag = new EntitySchema({
  name: 'Tag',
  tableName: 'tags',
  columns: { id, name: { type: 'text' }, deletedAt: { type: 'timestamptz', nullable: true } },
  indices: [{ columns: ['name'], unique: true, where: '("deletedAt" IS NULL)' }]
})

async function differences ({ options }) {
  const source = await new DataSource({ ...options, entities: [Tag] }).initialize()
  await source.synchronize()
  const { upQueries } = await source.driver.createSchemaBuilder().log()
  await source.destroy()
  return upQueries
}

async function schema ({ source }) {
  const states = [(await source.runMigrations()).map(({ name }) => name)]
  await source.undoLastMigration()
  await source.undoLastMigration()
  states.push(await source.showMigrations())
  assert.deepEqual(await differences(source), [])
  return [...states, (await source.runMigrations()).map(({ name }) => name)]
}

const email = name => `${name.toLowerCase()}@example.org`
const of = (...names) => ({ email: In(names.map(email)) })
const titles = books => books.map(({ title }) => title)
const names = async ({ authors }, ...all) =>
  (await authors.find({ where: of(...all), order: { email: 'ASC' } })).map(({ name }) => name)
const violates = code => error => error instanceof QueryFailedError && error.driverError.code === code

function write ({ manager }, name, all = []) {
  const books = all.map((title, i) => ({ title, price: i + 1 }))
  return manager.save(Author, { email: email(name), name, books })
}

async function crud (client) {
  const { authors } = client
  const answer = []
  await write(client, 'Ann')
  await write(client, 'Bob')
  const ann = await authors.findOneBy(of('Ann'))
  answer.push(ann.name)
  await authors.save({ ...ann, name: 'Anna' })
  answer.push((await authors.findOneBy(of('Ann'))).name)
  await authors.remove(ann)
  answer.push(1, await authors.findOneBy(of('Ann')))
  answer.push((await authors.update(of('Ann'), { name: 'nobody' })).affected, (await authors.delete(of('Ann'))).affected)
  await write(client, 'Ann')
  answer.push(await refused(write(client, 'Ann'), 'unique', violates('23505')))
  return [...answer, await names(client, 'Ann', 'Bob')]
}

async function relations (client) {
  const { authors, books } = client
  const cyd = await write(client, 'Cyd', ['A', 'B', 'C'])
  const all = In([cyd.id, (await write(client, 'Dan', ['D'])).id, (await write(client, 'Eve')).id])
  await books.remove(await books.findOneBy({ title: 'B' }))
  const eager = async relationLoadStrategy => (await authors.find({
    where: { id: all }, relations: { books: true }, relationLoadStrategy, order: { id: 'ASC', books: { id: 'ASC' } }
  })).map(({ name, books }) => [name, titles(books)])
  const answer = [await eager('join'), await eager('query'),
    titles(await (await authors.findOneBy(of('Cyd'))).shelf).sort(),
    (await (await books.findOneBy({ title: 'D' })).writer).name]
  await authors.delete(cyd.id)
  return [...answer, titles(await books.findBy({ authorId: all })),
    await refused(books.insert({ authorId: cyd.id, title: 'E', price: 1 }), 'foreign key', violates('23503'))]
}

async function bulkDelete (client) {
  const { books } = client
  const authorId = (await write(client, 'Fay', ['F1', 'F2', 'F3', 'F4', 'F5', 'F6'])).id
  const remove = async condition => (await books.delete({ authorId, ...condition })).affected
  const byFay = books.createQueryBuilder().delete().where({ price: LessThan(3) })
    .andWhere("authorId IN (SELECT id FROM authors WHERE name = 'Fay')".replace('authorId', '"authorId"'))
  return [
    await remove({ price: MoreThan(4) }), await remove({ price: MoreThan(4) }),
    (await books.update({ authorId, price: MoreThanOrEqual(3) }, { price: () => 'price * 10' })).affected,
    (await byFay.execute()).affected,
    await books.countBy({ authorId }), await remove({}), await books.countBy({ authorId })
  ]
}

async function transactions (client) {
  const { books, source } = client
  const authorId = (await write(client, 'Gus', ['G1', 'G2', 'G3'])).id
  const count = manager => manager.countBy(Book, { authorId })
  const answer = []
  await refused(source.transaction(async outer => {
    await outer.delete(Book, { authorId })
    answer.push(await count(outer), await count(source.manager))
    throw new Error('changed my mind')
  }), 'undone', /changed my mind/)
  answer.push(await books.countBy({ authorId }))
  await source.transaction(async outer => {
    await outer.delete(Book, { authorId, title: 'G1' })
    await refused(outer.transaction(async inner => {
      await inner.delete(Book, { authorId })
      answer.push(await count(inner))
      throw new Error('changed my mind')
    }), 'undone', /changed my mind/)
    answer.push(await count(outer))
  })
  answer.push(await books.countBy({ authorId }))
  await source.transaction(async outer => {
    answer.push(await refused(outer.transaction(manager => write({ manager }, 'Gus')), 'unique', violates('23505')))
    await outer.delete(Book, { authorId, title: 'G2' })
  })
  return [...answer, await books.countBy({ authorId })]
}

async function lock (client) {
  const { authors } = client
  await write(client, 'Hal')
  const read = () => authors.findOneBy(of('Hal'))
  const save = async ({ id, version }, name) =>
    (await authors.update({ id, version }, { name })).affected === 1 ? 'saved' : 'stale'
  const [mine, theirs] = [await read(), await read()]
  const answer = [await save(theirs, 'theirs'), await save(mine, 'mine')]
  const fresh = await read()
  return [...answer, fresh.name, await save(fresh, 'mine'), (await read()).name]
}

async function upsert (client) {
  const { authors } = client
  const ivy = name => authors.upsert({ email: email('Ivy'), name }, ['email'])
  const answer = []
  for (const name of ['Ivy', 'Ivy 2']) {
    await ivy(name)
    answer.push(...await names(client, 'Ivy'))
  }
  await authors.delete(of('Ivy'))
  await ivy('Ivy 3')
  answer.push(...await names(client, 'Ivy'))
  await authors.createQueryBuilder().insert().values({ email: email('Ivy'), name: 'nobody' }).orIgnore().execute()
  answer.push(...await names(client, 'Ivy'))
  await authors.upsert([{ email: email('Ivy'), name: 'Ivy 4' }, { email: email('Jan'), name: 'Jan' }], ['email'])
  return [...answer, await names(client, 'Ivy', 'Jan')]
}

async function pages (client) {
  const { books } = client
  const all = Array.from({ length: 12 }, (_, i) => `P${String(i + 1).padStart(2, '0')}`)
  const authorId = (await write(client, 'Kim', all)).id
  await books.delete({ authorId, title: In(['P03', 'P07']) })
  const order = { title: 'ASC' }
  const offset = []
  const totals = new Set()
  for (const skip of [0, 4, 8]) {
    const [rows, total] = await books.findAndCount({ where: { authorId }, order, skip, take: 4 })
    offset.push(titles(rows))
    totals.add(total)
  }
  const keyset = []
  const after = last => books.find({ where: { authorId, title: MoreThan(last) }, order, take: 4 })
  for (let last = '', page; (page = titles(await after(last))).length > 0; last = page.at(-1)) keyset.push(page)
  return [offset, ...totals, keyset]
}

play({
  packages: ['typeorm', 'pg'],
  async open ({ host, port, user, database }) {
    const source = new DataSource({
      type: 'postgres',
      host,
      port,
      username: user,
      database,
      entities: [Author, Book],
      migrations: [Tables1700000000000, Pages1700000000001]
    })
    await source.initialize()
    return { source, manager: source.manager, authors: source.getRepository(Author), books: source.getRepository(Book) }
  },
  schema,
  crud,
  relations,
  bulk_delete: bulkDelete,
  transactions,
  lock,
  upsert,
  pages,
  prepared: client => lookups(
    async () => (await client.authors.findOneBy(of('Lea')))?.name || null,
    () => client.authors.delete(of('Lea')),
    () => write(client, 'Lea')),
  async clear ({ authors, books }) {
    await books.delete({ id: MoreThan(0) })
    await authors.delete({ id: MoreThan(0) })
  },
  close: ({ source }) => source.destroy(),
  notes: {
    schema: DIFFS,
    lock: 'By `update({ id, version }, …)` and `affected`: `save()` counts the version, and looks at none.',
    pgbouncer: UNNAMED
  }
})
