'use strict'

/* Sequelize: models that know of no soft deletion, migrations by its query interface. */

const {
  DataTypes, ForeignKeyConstraintError, Op, OptimisticLockError, Sequelize, UniqueConstraintError, literal
} = require('sequelize')
const { UNNAMED, lookups, play, refused } = require('./features')

const key = () => ({ type: DataTypes.INTEGER, primaryKey: true, autoIncrement: true })
const text = () => ({ type: DataTypes.TEXT, allowNull: false })
const number = () => ({ type: DataTypes.INTEGER, allowNull: false })

const migrations = [
  {
    async up (queryInterface) {
      await queryInterface.createTable('authors', {
        id: key(),
        email: { ...text(), unique: true },
        name: text(),
        version: { ...number(), defaultValue: 0 },
        createdAt: { type: DataTypes.DATE, allowNull: false },
        updatedAt: { type: DataTypes.DATE, allowNull: false },
        deletedAt: DataTypes.DATE
      })
      await queryInterface.createTable('books', {
        id: key(),
        authorId: { ...number(), references: { model: 'authors', key: 'id' }, onDelete: 'CASCADE' },
        title: text(),
        price: number(),
        deletedAt: DataTypes.DATE
      })
      await queryInterface.addIndex('books', ['authorId'])
    },
    async down (queryInterface) {
      await queryInterface.dropTable('books')
      await queryInterface.dropTable('authors')
    }
  },
  {
    up: queryInterface => queryInterface.addColumn('books', 'pages', DataTypes.INTEGER),
    down: queryInterface => queryInterface.removeColumn('books', 'pages')
  }
]

async function schema ({ sequelize }) {
  const queryInterface = sequelize.getQueryInterface()
  const states = []
  const steps = [...migrations.map(({ up }) => up), ...migrations.map(({ down }) => down).reverse(), ...migrations.map(({ up }) => up)]
  for (const step of steps) {
    await step(queryInterface)
    states.push((await queryInterface.showAllTables()).sort())
  }
  return [states, Object.keys(await queryInterface.describeTable('books'))]
}

function define (sequelize) {
  const Author = sequelize.define('author', { id: key(), email: text(), name: text() }, { version: true })
  const Book = sequelize.define('book', { id: key(), title: text(), price: number() }, { timestamps: false })
  Author.hasMany(Book, { foreignKey: 'authorId' })
  Book.belongsTo(Author, { foreignKey: 'authorId' })
  return { Author, Book }
}

const email = name => `${name.toLowerCase()}@example.org`
const of = (...names) => ({ email: names.map(email) })
const titles = books => books.map(({ title }) => title)
const names = async ({ Author }, ...all) =>
  (await Author.findAll({ where: of(...all), order: ['email'] })).map(({ name }) => name)

function write ({ Author, Book }, name, all = [], options = {}) {
  const books = all.map((title, i) => ({ title, price: i + 1 }))
  return Author.create({ email: email(name), name, books }, { include: Book, ...options })
}

async function crud (client) {
  const { Author } = client
  const where = of('Ann')
  const answer = []
  await write(client, 'Ann')
  await write(client, 'Bob')
  const ann = await Author.findOne({ where })
  answer.push(ann.name)
  await ann.update({ name: 'Anna' })
  answer.push((await Author.findOne({ where })).name)
  await ann.destroy()
  answer.push(1, await Author.findOne({ where }))
  const [changed] = await Author.update({ name: 'nobody' }, { where })
  answer.push(changed, await Author.destroy({ where }))
  await write(client, 'Ann')
  answer.push(await refused(write(client, 'Ann'), 'unique', UniqueConstraintError))
  return [...answer, await names(client, 'Ann', 'Bob')]
}

async function relations (client) {
  const { Author, Book } = client
  const cyd = await write(client, 'Cyd', ['A', 'B', 'C'])
  const id = [cyd.id, (await write(client, 'Dan', ['D'])).id, (await write(client, 'Eve')).id]
  await (await Book.findOne({ where: { title: 'B' } })).destroy()
  // Its own inserts of several books come in any order.
  const joined = { include: Book, order: ['id', [Book, 'title', 'ASC']] }
  const selected = { include: { model: Book, separate: true, order: ['title'] }, order: ['id'] }
  const eager = async options => (await Author.findAll({ where: { id }, ...options }))
    .map(({ name, books }) => [name, titles(books)])
  const answer = [await eager(joined), await eager(selected),
    titles(await cyd.getBooks({ order: ['title'] })),
    (await (await Book.findOne({ where: { title: 'D' } })).getAuthor()).name]
  await cyd.destroy()
  return [...answer, titles(await Book.findAll({ where: { authorId: id } })),
    await refused(cyd.createBook({ title: 'E', price: 1 }), 'foreign key', ForeignKeyConstraintError)]
}

async function bulkDelete (client) {
  const { Book } = client
  const authorId = (await write(client, 'Fay', ['F1', 'F2', 'F3', 'F4', 'F5', 'F6'])).id
  const remove = condition => Book.destroy({ where: { authorId, ...condition } })
  const ofFay = { authorId: { [Op.in]: literal("(SELECT id FROM authors WHERE name = 'Fay')") } }
  return [
    await remove({ price: { [Op.gt]: 4 } }), await remove({ price: { [Op.gt]: 4 } }),
    ...await Book.update({ price: literal('price * 10') }, { where: { authorId, price: { [Op.gte]: 3 } } }),
    await Book.destroy({ where: { ...ofFay, price: { [Op.lt]: 3 } } }),
    await Book.count({ where: { authorId } }), await remove({}), await Book.count({ where: { authorId } })
  ]
}

async function transactions (client) {
  const { Book, sequelize } = client
  const where = { authorId: (await write(client, 'Gus', ['G1', 'G2', 'G3'])).id }
  const count = transaction => Book.count({ where, transaction })
  const answer = []
  await refused(sequelize.transaction(async transaction => {
    await Book.destroy({ where, transaction })
    answer.push(await count(transaction), await count())
    throw new Error('changed my mind')
  }), 'undone', /changed my mind/)
  answer.push(await count())
  await sequelize.transaction(async transaction => {
    await Book.destroy({ where: { ...where, title: 'G1' }, transaction })
    const savepoint = await sequelize.transaction({ transaction })
    await Book.destroy({ where, transaction: savepoint })
    answer.push(await count(savepoint))
    await savepoint.rollback()
    answer.push(await count(transaction))
  })
  answer.push(await count())
  await sequelize.transaction(async transaction => {
    const savepoint = await sequelize.transaction({ transaction })
    answer.push(await refused(write(client, 'Gus', [], { transaction: savepoint }), 'unique', UniqueConstraintError))
    await savepoint.rollback()
    await Book.destroy({ where: { ...where, title: 'G2' }, transaction })
  })
  return [...answer, await count()]
}

async function lock (client) {
  await write(client, 'Hal')
  const read = () => client.Author.findOne({ where: of('Hal') })
  const save = (author, name) => author.update({ name }).then(() => 'saved', error => {
    if (error instanceof OptimisticLockError) return 'stale'
    throw error
  })
  const [mine, theirs] = [await read(), await read()]
  const answer = [await save(theirs, 'theirs'), await save(mine, 'mine')]
  await mine.reload()
  return [...answer, mine.name, await save(mine, 'mine'), (await read()).name]
}

async function upsert (client) {
  const { Author } = client
  const ivy = name => Author.upsert({ email: email('Ivy'), name }, { conflictFields: ['email'] })
  const answer = []
  for (const name of ['Ivy', 'Ivy 2']) {
    await ivy(name)
    answer.push(...await names(client, 'Ivy'))
  }
  await Author.destroy({ where: of('Ivy') })
  await ivy('Ivy 3')
  answer.push(...await names(client, 'Ivy'))
  await Author.bulkCreate([{ email: email('Ivy'), name: 'nobody' }], { ignoreDuplicates: true })
  answer.push(...await names(client, 'Ivy'))
  await Author.bulkCreate([{ email: email('Ivy'), name: 'Ivy 4' }, { email: email('Jan'), name: 'Jan' }],
    { updateOnDuplicate: ['name'], conflictAttributes: ['email'] })
  return [...answer, await names(client, 'Ivy', 'Jan')]
}

async function pages (client) {
  const { Book } = client
  const all = Array.from({ length: 12 }, (_, i) => `P${String(i + 1).padStart(2, '0')}`)
  const where = { authorId: (await write(client, 'Kim', all)).id }
  await Book.destroy({ where: { ...where, title: ['P03', 'P07'] } })
  const order = ['title']
  const offset = []
  const totals = new Set()
  for (const from of [0, 4, 8]) {
    const { rows, count } = await Book.findAndCountAll({ where, order, limit: 4, offset: from })
    offset.push(titles(rows))
    totals.add(count)
  }
  const keyset = []
  const after = last => Book.findAll({ where: { ...where, title: { [Op.gt]: last } }, order, limit: 4 })
  for (let last = '', page; (page = titles(await after(last))).length > 0; last = page.at(-1)) keyset.push(page)
  return [offset, ...totals, keyset]
}

play({
  packages: ['sequelize', 'pg'],
  async open ({ host, port, user, database }) {
    const sequelize = new Sequelize(database, user, '', { dialect: 'postgres', host, port, logging: false })
    return { sequelize, ...define(sequelize) }
  },
  schema,
  crud,
  relations,
  bulk_delete: bulkDelete,
  transactions,
  lock,
  upsert,
  pages,
  // With bind parameters, which its own finders spell out.
  prepared: client => lookups(
    async () => (await client.sequelize.query('SELECT name FROM authors WHERE email = $1',
      { bind: [email('Lea')], plain: true }))?.name || null,
    () => client.Author.destroy({ where: of('Lea') }),
    () => write(client, 'Lea')),
  async clear ({ Author, Book }) {
    await Book.destroy({ where: {} })
    await Author.destroy({ where: {} })
  },
  close: ({ sequelize }) => sequelize.close(),
  notes: { pgbouncer: UNNAMED }
})
