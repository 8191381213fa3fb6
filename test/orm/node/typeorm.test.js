'use strict'

/* TypeORM, with entities that delete and with entities that have a deleteDate. */

require('reflect-metadata')

const assert = require('node:assert/strict')
const { DataSource, EntitySchema, In, IsNull, LessThan, Not } = require('typeorm')
const { suite } = require('./twin')

const id = { type: 'int', primary: true, generated: 'increment' }

// These know nothing of soft deletion.
const User = new EntitySchema({
  name: 'User',
  tableName: 'users',
  columns: {
    id,
    email: { type: 'text', unique: true },
    name: { type: 'text' },
    logins: { type: 'int', default: 0 }
  },
  relations: {
    posts: { type: 'one-to-many', target: 'Post', inverseSide: 'author' }
  }
})

const Post = new EntitySchema({
  name: 'Post',
  tableName: 'posts',
  columns: { id, title: { type: 'text' } },
  relations: {
    author: {
      type: 'many-to-one',
      target: 'User',
      inverseSide: 'posts',
      joinColumn: { name: 'user_id' },
      nullable: true,
      orphanedRowAction: 'delete'
    },
    // The link table that TypeORM makes has a primary key over both columns,
    // so it stays unmanaged: a link can be removed and made again.
    tags: { type: 'many-to-many', target: 'Tag', inverseSide: 'posts', joinTable: { name: 'post_tags' } }
  }
})

const Tag = new EntitySchema({
  name: 'Tag',
  tableName: 'tags',
  columns: { id, name: { type: 'text', unique: true } },
  relations: { posts: { type: 'many-to-many', target: 'Post', inverseSide: 'tags' } }
})

// A composite key that the application chooses.
const OrderLine = new EntitySchema({
  name: 'OrderLine',
  tableName: 'order_lines',
  columns: {
    order: { type: 'int', primary: true, name: 'order_no' },
    position: { type: 'int', primary: true },
    sku: { type: 'text' },
    quantity: { type: 'int' }
  }
})

// These have a @DeleteDateColumn: TypeORM marks and filters by itself.
const Account = new EntitySchema({
  name: 'Account',
  tableName: 'accounts',
  columns: {
    id,
    email: { type: 'text', unique: true },
    deletedAt: { type: 'timestamptz', deleteDate: true, name: 'deleted_at' }
  },
  relations: {
    articles: { type: 'one-to-many', target: 'Article', inverseSide: 'account', cascade: ['soft-remove', 'recover'] }
  }
})

const Article = new EntitySchema({
  name: 'Article',
  tableName: 'articles',
  columns: {
    id,
    title: { type: 'text' },
    views: { type: 'int' },
    deletedAt: { type: 'timestamptz', deleteDate: true, name: 'deleted_at' }
  },
  relations: {
    account: { type: 'many-to-one', target: 'Account', inverseSide: 'articles', joinColumn: { name: 'account_id' } }
  }
})

async function open ({ host, port, user, database }, log) {
  const source = new DataSource({
    type: 'postgres',
    host,
    port,
    username: user,
    database,
    entities: [User, Post, Tag, OrderLine, Account, Article],
    logging: true,
    logger: {
      logQuery: statement => log(statement),
      logQueryError () {},
      logQuerySlow () {},
      logSchemaBuild () {},
      logMigration () {},
      log () {}
    }
  })
  await source.initialize()
  const of = schema => source.getRepository(schema)
  return {
    source,
    users: of(User),
    posts: of(Post),
    tags: of(Tag),
    lines: of(OrderLine),
    accounts: of(Account),
    articles: of(Article),
    createTables: () => source.synchronize(),
    close: () => source.destroy()
  }
}

async function seed ({ users, posts, tags, lines, accounts, articles }) {
  // ann had an account before, left, and came back under the same address.
  await users.save({ email: 'ann@example.org', name: 'old ann', logins: 9 })
  await users.delete({ name: 'old ann' })
  const [ann, bob, , ghost] = await users.save([
    { email: 'ann@example.org', name: 'ann', logins: 3 },
    { email: 'bob@example.org', name: 'bob', logins: 1 },
    { email: 'cyd@example.org', name: 'cyd' },
    { email: 'ghost@example.org', name: 'ghost', logins: 99 }])
  const [sql, orm, misc] = await tags.save(
    ['sql', 'orm', 'misc', 'old'].map(name => ({ name })))
  await posts.save([
    { title: 'intro', author: ann, tags: [sql, orm] }, { title: 'joins', author: ann, tags: [sql, misc] },
    { title: 'draft', author: ann }, { title: 'reply', author: bob, tags: [orm] },
    { title: 'lost', author: ghost }])
  await lines.save([
    { order: 1, position: 1, sku: 'cup', quantity: 2 }, { order: 1, position: 2, sku: 'pot', quantity: 1 },
    { order: 1, position: 3, sku: 'lid', quantity: 9 }, { order: 2, position: 1, sku: 'cup', quantity: 1 }])
  await posts.delete({ title: In(['draft', 'lost']) })
  await tags.delete({ name: 'old' })
  await lines.delete({ sku: 'lid' })
  await users.delete({ name: 'ghost' })

  const [acme, zoo] = await accounts.save(
    ['acme@example.org', 'zoo@example.org', 'left@example.org'].map(email => ({ email })))
  await articles.save([
    { title: 'Hello', views: 10, account: acme }, { title: 'World', views: 20, account: acme },
    { title: 'Draft', views: 30, account: acme }, { title: 'Zebra', views: 40, account: zoo }])
  await articles.softDelete({ title: 'Draft' })
  await accounts.softDelete({ email: 'left@example.org' })
}

const byId = { order: { id: 'ASC' } }
const names = (rows, column = 'name') => rows.map(row => row[column])

/** Removes a post, its links first: a soft delete sets off no ON DELETE CASCADE. */
async function removePost ({ posts }, title) {
  const post = await posts.findOne({ where: { title }, relations: { tags: true } })
  post.tags = []
  await posts.save(post)
  await posts.remove(post)
}

function entities ({ twin, managedOnly }) {
  twin('remove an entity', { posts: 1 }, async client => {
    const { posts } = client
    const { id: key } = await posts.findOneBy({ title: 'intro' })
    await removePost(client, 'intro')
    assert.equal(await posts.findOneBy({ id: key }), null)
    assert.equal(await posts.existsBy({ id: key }), false)
    await assert.rejects(posts.findOneByOrFail({ id: key }), { name: 'EntityNotFoundError' })
    return names(await posts.find(byId), 'title')
  })

  twin('remove several', { order_lines: 2 }, async ({ lines }) => {
    await lines.remove(await lines.findBy({ sku: 'cup' }))
    return lines.find()
  })

  twin('delete by condition, twice', { order_lines: 2 }, async ({ lines }) => {
    const first = await lines.delete({ sku: 'cup' })
    const second = await lines.delete({ sku: 'cup' })
    assert.deepEqual([first.affected, second.affected], [2, 0])
    return lines.count()
  })

  twin('delete by keys', { order_lines: 2, posts: 1 }, async ({ lines, posts, source }) => {
    const [post] = await posts.find(byId)
    await source.query('DELETE FROM post_tags WHERE "postsId" = $1', [post.id])
    return [
      (await posts.delete(post.id)).affected,
      (await lines.delete([{ order: 1, position: 1 }, { order: 2, position: 1 }, { order: 1, position: 3 }])).affected
    ]
  })

  twin('query builder: delete returning', { order_lines: 3 }, async ({ lines }) => {
    const { raw, affected } = await lines.createQueryBuilder().delete()
      .where('quantity < :limit', { limit: 100 }).returning(['order', 'position', 'sku']).execute()
    assert.equal(affected, 3)
    return raw.sort((a, b) => a.order_no - b.order_no || a.position - b.position)
  })

  twin('orphans are deleted', { posts: 1 }, async ({ users, posts, source }) => {
    await source.query('DELETE FROM post_tags')
    const ann = await users.findOne({ where: { name: 'ann' }, relations: { posts: true } })
    ann.posts = ann.posts.filter(post => post.title === 'joins')
    await users.save(ann)
    return names(await posts.find(byId), 'title')
  })

  twin('links removed and made again', {}, async ({ posts, tags }) => {
    const relations = { tags: true }
    const post = await posts.findOne({ where: { title: 'intro' }, relations })
    const kept = post.tags
    for (const some of [[], kept, kept.slice(1)]) {
      post.tags = some
      await posts.save(post)
    }
    return names((await posts.findOne({ where: { title: 'intro' }, relations })).tags)
  })

  for (const relationLoadStrategy of ['join', 'query']) {
    twin(`relations by ${relationLoadStrategy}`, { posts: 1, users: 1 }, async client => {
      const { users } = client
      await removePost(client, 'reply')
      await users.delete({ name: 'cyd' })
      const found = await users.find({
        relations: { posts: { tags: true } }, relationLoadStrategy, order: { id: 'ASC', posts: { id: 'ASC' } }
      })
      return found.map(user => [user.name, user.posts.map(post => [post.title, names(post.tags).sort()])])
    })
  }

  twin('query builder: joins and aggregates', { posts: 1 }, async client => {
    const { users } = client
    await removePost(client, 'intro')
    const joined = join => users.createQueryBuilder('u')[join]('u.posts', 'p')
      .select('u.name', 'name').addSelect('count(p.id)', 'n').groupBy('u.id').orderBy('u.id').getRawMany()
    const without = await users.createQueryBuilder('u').where(query =>
      `NOT EXISTS ${query.subQuery().select('1').from('Post', 'p').where('p.author = u.id').getQuery()}`
    ).getMany()
    return [
      await joined('leftJoin'), await joined('innerJoin'), names(without),
      await users.sum('logins'), await users.maximum('logins'), await users.count()
    ]
  })

  twin('pages with a total', { posts: 1 }, async client => {
    const { users } = client
    await removePost(client, 'reply')
    const pages = []
    for (const skip of [0, 2, 4]) {
      const [rows, total] = await users.findAndCount({ relations: { posts: true }, skip, take: 2, ...byId })
      pages.push([total, rows.map(user => [user.name, user.posts.length])])
    }
    return pages
  })

  twin('update and increment meet live rows only', {}, async ({ users }) => [
    (await users.update({ name: Not('nobody') }, { logins: 5 })).affected,
    (await users.update({ name: 'ghost' }, { logins: 5 })).affected,
    (await users.increment({ name: In(['ghost', 'bob']) }, 'logins', 1)).affected
  ])

  twin('save of an entity that is gone', { users: 1 }, async ({ users }) => {
    // TypeORM looks by key first, finds nothing, and inserts; without the key
    // of the deleted row that is a new user.
    const cyd = await users.findOneBy({ name: 'cyd' })
    await users.delete({ name: 'cyd' })
    await users.save({ email: cyd.email, name: cyd.name })
    return names(await users.find(byId))
  })

  twin('unique among live rows', { users: 1 }, async ({ users }) => {
    await users.delete({ name: 'cyd' })
    await users.insert({ email: 'cyd@example.org', name: 'new cyd' })
    await users.insert({ email: 'ghost@example.org', name: 'new ghost' })
    await assert.rejects(users.insert({ email: 'cyd@example.org', name: 'too many' }), { code: '23505' })
  })

  twin('upsert', { users: 1 }, async ({ users }) => {
    await users.delete({ name: 'cyd' })
    for (const name of ['first', 'second']) {
      await users.upsert(['cyd', 'ghost', 'ann'].map(who => ({ email: `${who}@example.org`, name })), ['email'])
    }
    return users.find(byId)
  })

  twin('upsert, skipping what is the same', { users: 1 }, async ({ users }) => {
    await users.delete({ name: 'cyd' })
    await users.upsert([{ email: 'cyd@example.org', name: 'cyd' }, { email: 'bob@example.org', name: 'bob' }],
      { conflictPaths: ['email'], skipUpdateIfNoValuesChanged: true })
    return users.count()
  })

  twin('insert or ignore', { tags: 1 }, async ({ tags, source }) => {
    await source.query('DELETE FROM post_tags')
    await tags.delete({ name: 'misc' })
    await tags.createQueryBuilder().insert()
      .values(['misc', 'old', 'sql'].map(name => ({ name }))).orIgnore().execute()
    return names(await tags.find(byId))
  })

  twin('transactions within transactions', { order_lines: 1 }, async ({ source }) => {
    const counts = []
    await source.transaction(async outer => {
      await outer.delete(OrderLine, { sku: 'pot' })
      await assert.rejects(outer.transaction(async inner => {
        await inner.delete(OrderLine, { sku: 'cup' })
        counts.push(await inner.count(OrderLine), await source.manager.count(OrderLine))
        throw new Error('changed my mind')
      }), /changed my mind/)
      counts.push(await outer.count(OrderLine))
    })
    assert.deepEqual(counts, [0, 3, 2])
  })

  twin('locks', { tags: 2 }, async ({ source }) => {
    await source.query('DELETE FROM post_tags')
    const taken = []
    const take = async manager => {
      const [tag] = await manager.find(Tag, {
        ...byId, take: 1, lock: { mode: 'pessimistic_write', onLocked: 'skip_locked' }
      })
      taken.push(tag.name)
      await manager.remove(Tag, tag)
    }
    await source.transaction(async first => {
      await take(first)
      await source.transaction(take)
    })
    return taken
  })

  twin('raw statements', { users: 1 }, async ({ source }) => [
    await source.query("DELETE FROM users WHERE name = 'cyd'"),
    await source.query("DELETE FROM users WHERE name = 'cyd'"),
    await source.query('SELECT id, name FROM users ORDER BY id')
  ])

  managedOnly('the key of a deleted row stays taken', { order_lines: 1 }, async ({ lines }) => {
    // Primary keys are full keys; the answer is the server's own, and the
    // deleted row is neither changed nor revived.
    const line = { order: 1, position: 1, sku: 'cup', quantity: 2 }
    await lines.delete({ order: 1, position: 1 })
    await assert.rejects(lines.insert(line), { code: '23505' })
    await assert.rejects(lines.save(line), { code: '23505' })
    await assert.rejects(lines.upsert(line, ['order', 'position']), { code: '23505' })
  })

  managedOnly('clear() truncates, which is refused', {}, async ({ lines }) => {
    await assert.rejects(lines.clear(), { code: '55000' })
    assert.equal(await lines.count(), 3)
  })

  // In one transaction, so nothing of it remains.  Entities that map the
  // marker, or migrations instead of synchronize(), do not run into this.
  managedOnly('synchronize() cannot drop the marker', {}, async ({ source }) => {
    await assert.rejects(source.synchronize(), /cannot drop column deleted_at of table users/)
  })

  // TRUNCATE empties the bin as well.
  managedOnly('real deletes on request', { order_lines: -1 }, async ({ source }) => {
    await source.transaction(async manager => {
      await manager.query("SET LOCAL orm_ext.delete_mode = 'hard'")
      await manager.delete(OrderLine, { sku: 'pot' })
      await manager.clear(OrderLine)
    })
  })
}

const withDeleted = { withDeleted: true }

/** What holds for any role: entities that never look into the bin. */
function deleteDates ({ twin, managedOnly }) {
  twin('softDelete', { articles: 1 }, async ({ articles }) => {
    const { affected } = await articles.softDelete({ title: 'Hello' })
    assert.equal(await articles.findOneBy({ title: 'Hello' }), null)
    return [affected, names(await articles.find(byId), 'title'), await articles.count()]
  })

  twin('softRemove', { articles: 1 }, async ({ articles }) => {
    const article = await articles.findOneBy({ title: 'Hello' })
    const removed = await articles.softRemove(article)
    assert.ok(removed.deletedAt instanceof Date)
    return names(await articles.find(byId), 'title')
  })

  twin('softRemove with cascade', { accounts: 1, articles: 2 }, async ({ accounts, articles }) => {
    const account = await accounts.findOne({ where: { email: 'acme@example.org' }, relations: { articles: true } })
    await accounts.softRemove(account)
    return [names(await accounts.find(byId), 'email'), names(await articles.find(byId), 'title')]
  })

  twin('relations of entities with a delete date', { articles: 1, accounts: 1 }, async ({ accounts, articles }) => {
    await articles.softDelete({ title: 'World' })
    await accounts.softDelete({ email: 'zoo@example.org' })
    const found = await accounts.find({ relations: { articles: true }, order: { id: 'ASC', articles: { id: 'ASC' } } })
    const back = await articles.find({ relations: { account: true }, ...byId })
    return [
      found.map(account => [account.email, names(account.articles, 'title')]),
      back.map(article => [article.title, article.account && article.account.email])
    ]
  })

  twin('restore by key', {}, async ({ articles }) => {
    const article = await articles.findOneBy({ title: 'Hello' })
    await articles.softDelete(article.id)
    const counts = [await articles.count()]
    const restored = await articles.restore(article.id)
    counts.push(restored.affected, await articles.count())
    return counts
  })

  twin('restore out of the bin', { articles: -1 }, async ({ articles }) => {
    await articles.restore({ title: 'Draft' })
    return names(await articles.find(byId), 'title')
  })

  twin('query builder: softDelete and restore', { articles: -1 }, async ({ articles }) => {
    const builder = () => articles.createQueryBuilder()
    const deleted = await builder().softDelete().where('views < :limit', { limit: 25 }).execute()
    const restored = await builder().restore().where('views < :limit', { limit: 35 }).execute()
    return [deleted.affected, restored.affected, await articles.count()]
  })

  twin('the bin, asked for by its marker', { articles: 1 }, async ({ articles }) => {
    await articles.softDelete({ title: 'Hello' })
    const bin = { deletedAt: Not(IsNull()) }
    return [
      names(await articles.find({ where: bin, ...withDeleted, ...byId }), 'title'),
      names(await articles.find({ where: [bin, { deletedAt: IsNull() }], ...withDeleted, ...byId }), 'title')
    ]
  })

  /*
   * `withDeleted: true` only leaves TypeORM's own condition out; the statement
   * then says nothing of the marker, and a managed table shows what it shows
   * everybody.  An application that looks into its bin like this gets
   * orm_ext.deleted_rows = 'show' for its role, see ownBin() below.
   */
  managedOnly('withDeleted shows live rows', { articles: 1 }, async ({ articles }) => {
    await articles.softDelete({ title: 'Hello' })
    assert.equal(await articles.findOne({ where: { title: 'Hello' }, ...withDeleted }), null)
    assert.equal(await articles.count(withDeleted), 2)
  })

  managedOnly('recover() looks into the bin the same way', { articles: 1 }, async ({ articles }) => {
    const article = await articles.findOneBy({ title: 'Hello' })
    await articles.softRemove(article)
    await articles.recover(article)
    assert.equal(await articles.findOneBy({ title: 'Hello' }), null)
  })

  /*
   * delete() and remove() of an entity with a delete date send a DELETE, and a
   * DELETE on a managed table is soft.  Really gone is a row that is deleted
   * from the bin, by a condition that proves it is in there, or with
   * orm_ext.delete_mode = 'hard'.
   */
  managedOnly('delete() is a DELETE, so it is soft', { articles: 2 }, async ({ articles }) => {
    assert.equal((await articles.delete({ title: 'Hello' })).affected, 1)
    await articles.remove(await articles.findOneBy({ title: 'World' }))
    // The row is in the bin already: nothing to delete, nothing is lost.
    assert.equal((await articles.delete({ title: 'Hello' })).affected, 0)
    await articles.restore({ title: 'Hello' })
    assert.equal((await articles.delete({ title: 'Hello' })).affected, 1)
  })

  managedOnly('delete() from the bin is final', { articles: -1 }, async ({ articles }) => {
    assert.equal((await articles.delete({ deletedAt: Not(IsNull()) })).affected, 1)
    assert.equal((await articles.delete({ deletedAt: LessThan(new Date()) })).affected, 0)
  })

  managedOnly('delete() in hard mode is final', {}, async ({ source }) => {
    await source.transaction(async manager => {
      await manager.query("SET LOCAL orm_ext.delete_mode = 'hard'")
      await manager.delete(Article, { title: 'Hello' })
    })
  })

  managedOnly('delete dates: unique among live rows', { accounts: 1 }, async ({ accounts }) => {
    // On a plain table TypeORM's own soft delete keeps the address taken.
    const email = 'left@example.org'
    await accounts.insert({ email })
    await accounts.softDelete({ email })
    await accounts.upsert({ email }, ['email'])
    assert.equal(await accounts.countBy({ email }), 1)
  })
}

/** All of it, for the role that does its soft deletion by itself. */
function ownBin ({ ownTwin }) {
  ownTwin('own bin: withDeleted shows all', { articles: 1 }, async ({ accounts, articles }) => {
    await articles.softDelete({ title: 'Hello' })
    const found = await accounts.find({
      relations: { articles: true }, order: { id: 'ASC', articles: { id: 'ASC' } }, ...withDeleted
    })
    return [
      await articles.count(), await articles.count(withDeleted),
      found.map(account => [account.email, names(account.articles, 'title')]),
      await articles.createQueryBuilder('a').withDeleted().where('a.views < 35').getCount()
    ]
  })

  ownTwin('own bin: recover what was found there', { articles: -1 }, async ({ articles }) => {
    const draft = await articles.findOne({ where: { title: 'Draft' }, ...withDeleted })
    await articles.recover(draft)
    const zebra = await articles.findOneBy({ title: 'Zebra' })
    await articles.recover(await articles.softRemove(zebra))
    return names(await articles.find(byId), 'title')
  })

  ownTwin('own bin: delete() deletes for good', { articles: -1 }, async ({ articles }) => {
    const draft = await articles.findOne({ where: { title: 'Draft' }, ...withDeleted })
    await articles.remove(draft)
    return [(await articles.delete({ title: 'Hello' })).affected, await articles.count(withDeleted)]
  })
}

suite({
  name: 'typeorm',
  tables: {
    users: ['deleted_at', 'timestamptz'],
    posts: ['is_deleted', 'boolean'],
    tags: ['deleted_at', 'bigint'],
    order_lines: ['deleted_at', 'timestamp'],
    // TypeORM marks parents before children, and does not mind live ones
    accounts: ['deleted_at', 'timestamptz', false],
    articles: ['deleted_at', 'timestamptz']
  },
  open,
  seed,
  define (declare) {
    entities(declare)
    deleteDates(declare)
    ownBin(declare)
  }
})
