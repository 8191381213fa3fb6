'use strict'

/* Sequelize, with models that delete and with models that are paranoid. */

const assert = require('node:assert/strict')
const { DataTypes, Op, QueryTypes, Sequelize } = require('sequelize')
const { suite } = require('./twin')

/* eslint camelcase: "off" -- columns are named as the database names them */

function defineModels (sequelize) {
  // Sequelize keeps and completes the objects it is given: new ones each time.
  const id = () => ({ type: DataTypes.INTEGER, primaryKey: true, autoIncrement: true })
  const text = () => ({ type: DataTypes.STRING, allowNull: false })
  const key = () => ({ type: DataTypes.STRING, allowNull: false, unique: true })
  const define = (name, columns, options) =>
    sequelize.define(name, { id: id(), ...columns }, { underscored: true, timestamps: false, ...options })

  // These know nothing of soft deletion.
  const User = define('user', { email: key(), name: text(), logins: DataTypes.INTEGER })
  const Post = define('post', { title: text() })
  const Tag = define('tag', { name: key() })
  const Order = define('order', { number: key() })
  const OrderLine = define('order_line', { sku: text(), quantity: DataTypes.INTEGER })

  User.hasMany(Post, { foreignKey: { name: 'user_id', allowNull: false } })
  Post.belongsTo(User, { foreignKey: 'user_id' })
  // The link table that Sequelize makes has a primary key over both columns,
  // so it stays unmanaged: a link can be removed and made again.
  Post.belongsToMany(Tag, { through: 'post_tags', timestamps: false })
  Tag.belongsToMany(Post, { through: 'post_tags', timestamps: false })
  // With hooks, Sequelize deletes the children itself.
  Order.hasMany(OrderLine, { foreignKey: 'order_id', onDelete: 'CASCADE', hooks: true })
  OrderLine.belongsTo(Order, { foreignKey: 'order_id' })

  // These are paranoid: Sequelize marks and filters by itself.
  const paranoid = { timestamps: true, createdAt: false, updatedAt: false, paranoid: true }
  const Account = define('account', { email: key(), plan: text() }, paranoid)
  const Article = define('article', { title: text(), views: DataTypes.INTEGER }, paranoid)
  Account.hasMany(Article, { foreignKey: 'account_id' })
  Article.belongsTo(Account, { foreignKey: 'account_id' })

  return { User, Post, Tag, Order, OrderLine, Account, Article }
}

async function open ({ host, port, user, database }, log) {
  const sequelize = new Sequelize(database, user, null, {
    dialect: 'postgres',
    host,
    port,
    logging: message => log(message.replace(/^Executing \(.*?\): /, ''))
  })
  const models = defineModels(sequelize)
  return {
    sequelize,
    ...models,
    createTables: () => sequelize.sync(),
    close: () => sequelize.close()
  }
}

async function seed ({ User, Post, Tag, Order, OrderLine, Account, Article }) {
  // ann had an account before, left, and came back under the same address.
  await User.create({ email: 'ann@example.org', name: 'old ann', logins: 9 })
  await User.destroy(named('old ann'))
  const [ann, bob, , ghost] = await User.bulkCreate([
    { email: 'ann@example.org', name: 'ann', logins: 3 },
    { email: 'bob@example.org', name: 'bob', logins: 1 },
    { email: 'cyd@example.org', name: 'cyd', logins: 0 },
    { email: 'ghost@example.org', name: 'ghost', logins: 99 }])
  const [sql, orm, misc] = await Tag.bulkCreate(
    ['sql', 'orm', 'misc', 'old'].map(name => ({ name })))
  const [intro, joins, , reply] = await Post.bulkCreate([
    { title: 'intro', user_id: ann.id }, { title: 'joins', user_id: ann.id },
    { title: 'draft', user_id: ann.id }, { title: 'reply', user_id: bob.id },
    { title: 'lost', user_id: ghost.id }])
  await intro.setTags([sql, orm])
  await joins.setTags([sql, misc])
  await reply.setTags([orm])
  const [a1, a2] = await Order.bulkCreate([{ number: 'A-1' }, { number: 'A-2' }])
  await OrderLine.bulkCreate([
    { sku: 'cup', quantity: 2, order_id: a1.id }, { sku: 'pot', quantity: 1, order_id: a1.id },
    { sku: 'lid', quantity: 9, order_id: a1.id }, { sku: 'cup', quantity: 1, order_id: a2.id }])
  await Post.destroy({ where: { title: ['draft', 'lost'] } })
  await Tag.destroy({ where: { name: 'old' } })
  await OrderLine.destroy({ where: { sku: 'lid' } })
  await User.destroy(named('ghost'))

  const [acme, zoo] = await Account.bulkCreate([
    { email: 'acme@example.org', plan: 'big' }, { email: 'zoo@example.org', plan: 'small' },
    { email: 'left@example.org', plan: 'big' }])
  await Article.bulkCreate([
    { title: 'Hello', views: 10, account_id: acme.id }, { title: 'World', views: 20, account_id: acme.id },
    { title: 'Draft', views: 30, account_id: acme.id }, { title: 'Zebra', views: 40, account_id: zoo.id }])
  await Article.destroy({ where: { title: 'Draft' } })
  await Account.destroy({ where: { email: 'left@example.org' } })
}

const named = name => ({ where: { name } })
const titled = title => ({ where: { title } })
const names = (rows, column = 'name') => rows.map(row => row[column])

function models ({ twin, managedOnly }) {
  twin('destroy an instance', { posts: 1 }, async ({ Post }) => {
    const post = await Post.findOne(titled('intro'))
    await post.setTags([])
    await post.destroy()
    assert.equal(await Post.findByPk(post.id), null)
    assert.equal(await Post.findOne(titled('intro')), null)
    await assert.rejects(post.reload(), /could not be reloaded/)
    return names(await Post.findAll({ order: ['id'] }), 'title')
  })

  twin('destroy by condition, twice', { order_lines: 2 }, async ({ OrderLine }) => {
    const where = { sku: 'cup' }
    assert.equal(await OrderLine.destroy({ where }), 2)
    assert.equal(await OrderLine.destroy({ where }), 0)
    assert.equal(await OrderLine.count(), 1)
  })

  twin('destroy with hooks and limit', { order_lines: 2 }, async ({ OrderLine }) => {
    const seen = []
    OrderLine.addHook('beforeDestroy', 'seen', line => { seen.push(line.sku) })
    await OrderLine.destroy({ where: { sku: 'pot' }, individualHooks: true })
    OrderLine.removeHook('beforeDestroy', 'seen')
    assert.equal(await OrderLine.destroy({ where: { sku: 'cup' }, limit: 1 }), 1)
    return seen
  })

  twin('destroy everything', { order_lines: 3 }, async ({ OrderLine }) => {
    assert.equal(await OrderLine.destroy({ where: {} }), 3)
    assert.deepEqual(await OrderLine.findAll(), [])
  })

  twin('children deleted by the client', { orders: 1, order_lines: 2 }, async ({ Order, OrderLine }) => {
    const order = await Order.findOne({ where: { number: 'A-1' } })
    await order.destroy()
    return names(await OrderLine.findAll(), 'sku')
  })

  twin('update meets live rows only', {}, async ({ User }) => {
    const [all] = await User.update({ logins: 7 }, { where: {} })
    const [none] = await User.update({ logins: 8 }, named('ghost'))
    const [, returned] = await User.update({ logins: 9 }, { ...named('cyd'), returning: true })
    const [[incremented]] = await User.increment('logins', named('ghost'))
    return [all, none, names(returned), incremented.length]
  })

  twin('save of an instance that is gone', { users: 1 }, async ({ User }) => {
    const cyd = await User.findOne(named('cyd'))
    await User.destroy(named('cyd'))
    await cyd.update({ logins: 5 })
    return User.count()
  })

  for (const separate of [false, true]) {
    twin(`include, ${separate ? 'separate' : 'joined'}`, { posts: 1 }, async ({ User, Post, Tag }) => {
      const post = await Post.findOne(titled('intro'))
      await post.setTags([])
      await post.destroy()
      const users = await User.findAll({
        include: [{ model: Post, separate, include: Tag }],
        order: separate ? ['id'] : ['id', [Post, 'id', 'ASC'], [Post, Tag, 'id', 'ASC']]
      })
      return users.map(user => [user.name, user.posts.map(item => [item.title, names(item.tags).sort()])])
    })
  }

  twin('include that is required, the other way round', { tags: 1 }, async ({ Post, Tag, User }) => {
    const misc = await Tag.findOne(named('misc'))
    await misc.setPosts([])
    await misc.destroy()
    const posts = await Post.findAll({
      include: [{ model: Tag, required: true }, { model: User, required: true }], order: ['id', [Tag, 'id', 'ASC']]
    })
    return posts.map(post => [post.title, post.user.name, names(post.tags)])
  })

  twin('count, aggregates, groups', { order_lines: 1 }, async ({ OrderLine, User, Post, sequelize }) => {
    await OrderLine.destroy({ where: { sku: 'pot' } })
    return [
      await OrderLine.count(), await OrderLine.sum('quantity'), await OrderLine.max('quantity'),
      await OrderLine.count({ group: ['sku'] }), await OrderLine.count({ distinct: true, col: 'sku' }),
      await User.count({ include: [{ model: Post, required: true }], distinct: true }),
      await Post.findAll({
        attributes: ['user_id', [sequelize.fn('count', '*'), 'n']], group: ['user_id'], order: ['user_id'], raw: true
      })
    ]
  })

  twin('pages with an include and a total', { posts: 1 }, async ({ Post, Tag, User }) => {
    const reply = await Post.findOne(titled('reply'))
    await reply.setTags([])
    await reply.destroy()
    const pages = []
    for (const offset of [0, 2, 4]) {
      const { count, rows } = await User.findAndCountAll({ include: Post, distinct: true, order: ['id'], limit: 2, offset })
      pages.push([count, rows.map(user => [user.name, user.posts.length])])
    }
    return pages
  })

  twin('links removed and made again', {}, async ({ Post, Tag }) => {
    const post = await Post.findOne(titled('intro'))
    const sql = await Tag.findOne(named('sql'))
    for (let round = 0; round < 2; round++) {
      await post.removeTag(sql)
      assert.equal(await post.hasTag(sql), false)
      await post.addTag(sql)
    }
    return names(await post.getTags({ order: ['id'] }))
  })

  twin('unique among live rows', { users: 1 }, async ({ User }) => {
    await User.destroy(named('cyd'))
    await User.create({ email: 'cyd@example.org', name: 'new cyd' })
    await User.create({ email: 'ghost@example.org', name: 'new ghost' })
    await assert.rejects(
      User.create({ email: 'cyd@example.org', name: 'too many' }),
      { name: 'SequelizeUniqueConstraintError', fields: { email: 'cyd@example.org' } })
  })

  twin('upsert', { users: 1 }, async ({ User }) => {
    await User.destroy(named('cyd'))
    for (const name of ['first', 'second']) {
      await User.upsert({ email: 'cyd@example.org', name }, { conflictFields: ['email'] })
      await User.upsert({ email: 'ghost@example.org', name })
    }
    return User.findAll({ order: ['id'], raw: true })
  })

  twin('bulkCreate with conflicts', { tags: 1 }, async ({ Tag }) => {
    const misc = await Tag.findOne(named('misc'))
    await misc.setPosts([])
    await misc.destroy()
    const rows = ['misc', 'old', 'sql'].map(name => ({ name }))
    await Tag.bulkCreate(rows, { ignoreDuplicates: true })
    await Tag.bulkCreate(rows, { updateOnDuplicate: ['name'], conflictAttributes: ['name'] })
    return Tag.count()
  })

  twin('findOrCreate', { tags: 1 }, async ({ Tag }) => {
    // Sequelize wraps this in a function of its own with an exception block.
    const misc = await Tag.findOne(named('misc'))
    await misc.setPosts([])
    await misc.destroy()
    const answers = []
    for (const name of ['sql', 'misc', 'old', 'misc']) {
      const [tag, created] = await Tag.findOrCreate(named(name))
      answers.push([tag.id, tag.name, created])
    }
    return answers
  })

  twin('rollback and savepoint', { order_lines: 1 }, async ({ OrderLine, sequelize }) => {
    const counts = []
    await assert.rejects(sequelize.transaction(async transaction => {
      await OrderLine.destroy({ where: {}, transaction })
      counts.push(await OrderLine.count({ transaction }), await OrderLine.count())
      throw new Error('changed my mind')
    }), /changed my mind/)
    await sequelize.transaction(async transaction => {
      await OrderLine.destroy({ where: { sku: 'pot' }, transaction })
      const savepoint = await sequelize.transaction({ transaction })
      await OrderLine.destroy({ where: {}, transaction: savepoint })
      await savepoint.rollback()
      counts.push(await OrderLine.count({ transaction }))
    })
    assert.deepEqual(counts, [0, 3, 2])
  })

  twin('locks', { order_lines: 1 }, async ({ OrderLine, sequelize }) => {
    const taken = []
    const take = transaction => OrderLine.findOne({ order: ['id'], lock: true, skipLocked: true, transaction })
    await sequelize.transaction(async first => {
      const line = await take(first)
      taken.push(line.id)
      await line.destroy({ transaction: first })
      await sequelize.transaction(async second => { taken.push((await take(second)).id) })
    })
    return taken
  })

  twin('raw statements', { tags: 1 }, async ({ Tag, sequelize }) => {
    await (await Tag.findOne(named('misc'))).setPosts([])
    const [, result] = await sequelize.query("DELETE FROM tags WHERE name = 'misc'")
    const rows = await sequelize.query('SELECT id, name FROM tags ORDER BY id', { type: QueryTypes.SELECT })
    return [result.rowCount, result.command, rows]
  })

  twin('sync of tables that are there', { tags: 1 }, async ({ Tag, sequelize }) => {
    await (await Tag.findOne(named('misc'))).setPosts([])
    await Tag.destroy(named('misc'))
    await sequelize.sync()
    return Tag.count()
  })

  managedOnly('truncate is refused', {}, async ({ OrderLine }) => {
    await assert.rejects(OrderLine.destroy({ truncate: true }), error => error.parent.code === '55000')
    assert.equal(await OrderLine.count(), 3)
  })

  managedOnly('truncate and real deletes on request', {}, async ({ OrderLine, sequelize }) => {
    await sequelize.transaction(async transaction => {
      await sequelize.query("SET LOCAL orm_ext.delete_mode = 'hard'", { transaction })
      await OrderLine.destroy({ where: { sku: 'cup' }, transaction })
    })
    assert.equal(await OrderLine.count(), 1)
  })
}

const everything = { paranoid: false }

/** What holds for any role: a paranoid model that never looks into the bin. */
function paranoidModels ({ twin, managedOnly }) {
  twin('paranoid: destroy marks', { articles: 1 }, async ({ Article }) => {
    const article = await Article.findOne(titled('Hello'))
    await article.destroy()
    assert.equal(article.isSoftDeleted(), true)
    assert.equal(await Article.findByPk(article.id), null)
    return names(await Article.findAll({ order: ['id'] }), 'title')
  })

  twin('paranoid: bulk destroy, twice', { articles: 2 }, async ({ Article }) => {
    const where = { views: { [Op.lt]: 30 } }
    return [await Article.destroy({ where }), await Article.destroy({ where }), await Article.count()]
  })

  twin('paranoid: include', { articles: 1 }, async ({ Account, Article }) => {
    await Article.destroy(titled('World'))
    const accounts = await Account.findAll({ include: Article, order: ['id', [Article, 'id', 'ASC']] })
    return accounts.map(account => [account.email, names(account.articles, 'title')])
  })

  twin('paranoid: restore an instance', {}, async ({ Article }) => {
    const article = await Article.findOne(titled('Hello'))
    await article.destroy()
    await article.restore()
    assert.equal(article.isSoftDeleted(), false)
    return (await Article.findByPk(article.id)).title
  })

  twin('paranoid: restore by condition', { articles: -1 }, async ({ Article }) => {
    await Article.restore(titled('Draft'))
    return Article.count()
  })

  twin('paranoid: the bin, asked for by its marker', { articles: 1 }, async ({ Article }) => {
    await Article.destroy(titled('Hello'))
    const bin = { deletedAt: { [Op.ne]: null } }
    return [
      names(await Article.findAll({ where: bin, order: ['id'], ...everything }), 'title'),
      names(await Article.findAll({
        where: { [Op.or]: [bin, { deletedAt: null }] }, order: ['id'], ...everything
      }), 'title')
    ]
  })

  /*
   * `paranoid: false` only leaves Sequelize's own condition out; the statement
   * then says nothing of the marker, and a managed table shows what it shows
   * everybody.  An application that looks into its bin like this gets
   * orm_ext.deleted_rows = 'show' for its role, see ownBin() below.
   */
  managedOnly('paranoid: false shows live rows', { articles: 1 }, async ({ Article }) => {
    const article = await Article.findOne(titled('Hello'))
    await article.destroy()
    assert.equal(await Article.findByPk(article.id, everything), null)
    assert.equal(await Article.count(everything), 2)
  })

  /*
   * `force: true` sends a DELETE, and a DELETE on a managed table is soft.
   * Really gone is a row that is deleted from the bin, by a condition that
   * proves it is in there, or with orm_ext.delete_mode = 'hard'.
   */
  managedOnly('force: true is a DELETE, so it is soft', { articles: 1 }, async ({ Article }) => {
    const article = await Article.findOne(titled('Hello'))
    await article.destroy({ force: true })
    assert.equal(await Article.findByPk(article.id), null)
    // The row is in the bin already: nothing to delete, nothing is lost.
    await article.destroy({ force: true })
    await Article.restore(titled('Hello'))
    assert.equal((await Article.findByPk(article.id)).title, 'Hello')
    await article.destroy()
  })

  managedOnly('force: true from the bin is final', { articles: -1 }, async ({ Article }) => {
    const count = await Article.destroy({ where: { deletedAt: { [Op.ne]: null } }, force: true })
    assert.equal(count, 1)
  })

  managedOnly('force: true in hard mode is final', {}, async ({ Article, sequelize }) => {
    await sequelize.transaction(async transaction => {
      await sequelize.query("SET LOCAL orm_ext.delete_mode = 'hard'", { transaction })
      await Article.destroy({ ...titled('Hello'), force: true, transaction })
    })
    assert.equal(await Article.count(), 2)
  })

  managedOnly('paranoid: unique among live rows', { accounts: 1 }, async ({ Account }) => {
    // On a plain table Sequelize's own soft delete keeps the address taken.
    await Account.create({ email: 'left@example.org', plan: 'new' })
    await Account.destroy({ where: { email: 'left@example.org' } })
    const [account] = await Account.upsert({ email: 'left@example.org', plan: 'newer' })
    assert.equal(account.plan, 'newer')
    assert.equal(await Account.count({ where: { email: 'left@example.org' } }), 1)
  })
}

/** All of paranoid, for the role that does its soft deletion by itself. */
function ownBin ({ ownTwin }) {
  ownTwin('own bin: paranoid: false shows all', { articles: 1 }, async ({ Account, Article }) => {
    await Article.destroy(titled('Hello'))
    const hello = await Article.findOne({ ...titled('Hello'), ...everything })
    assert.equal(hello.isSoftDeleted(), true)
    const accounts = await Account.findAll({
      include: [{ model: Article, ...everything }], order: ['id', [Article, 'id', 'ASC']], ...everything
    })
    return [
      await Article.count(), await Article.count(everything),
      accounts.map(account => [account.email, names(account.articles, 'title')])
    ]
  })

  ownTwin('own bin: restore what was found there', { articles: -1 }, async ({ Article }) => {
    const draft = await Article.findOne({ ...titled('Draft'), ...everything })
    await draft.restore()
    return names(await Article.findAll({ order: ['id'] }), 'title')
  })

  ownTwin('own bin: force deletes for good', { articles: -1 }, async ({ Article }) => {
    const hello = await Article.findOne(titled('Hello'))
    const draft = await Article.findOne({ ...titled('Draft'), ...everything })
    await hello.destroy({ force: true })
    await draft.destroy({ force: true })
    return names(await Article.findAll({ order: ['id'], ...everything }), 'title')
  })

  ownTwin('own bin: bulk force', { articles: -1 }, async ({ Article }) => [
    await Article.destroy({ where: {}, force: true }), await Article.count(everything)
  ])
}

suite({
  name: 'sequelize',
  tables: {
    users: ['deleted_at', 'timestamptz'],
    posts: ['is_deleted', 'boolean'],
    tags: ['deleted_at', 'bigint'],
    orders: ['deleted_at', 'timestamp'],
    order_lines: ['deleted_at', 'timestamptz'],
    accounts: ['deleted_at', 'timestamptz'],
    articles: ['deleted_at', 'timestamptz']
  },
  open,
  seed,
  define (declare) {
    models(declare)
    paranoidModels(declare)
    ownBin(declare)
  }
})
