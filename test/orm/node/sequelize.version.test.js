'use strict'

/* Sequelize's optimistic locking (version: true) and its timestamps, in two sessions. */

const assert = require('node:assert/strict')
const { DataTypes, OptimisticLockError, Sequelize } = require('sequelize')
const { suite } = require('./twin')

function define (sequelize) {
  const Doc = sequelize.define('doc', {
    title: { type: DataTypes.TEXT, unique: true },
    views: { type: DataTypes.INTEGER, defaultValue: 0 }
  }, { version: true })
  const Page = sequelize.define('page', {
    title: DataTypes.TEXT
  }, { version: 'revision', paranoid: true, underscored: true })
  return { Doc, Page }
}

async function open ({ host, port, user, database }, log) {
  const options = { dialect: 'postgres', host, port, username: user, logging: log }
  const [one, two] = [1, 2].map(() => new Sequelize(database, user, '', options))
  return {
    sequelize: one,
    second: two,
    ...define(one),
    other: define(two),
    createTables: () => one.sync(),
    close: () => Promise.all([one.close(), two.close()])
  }
}

async function seed ({ Doc, Page }) {
  await Doc.create({ title: 'one' })
  await Doc.create({ title: 'two' })
  await Page.create({ title: 'page' })
}

const stale = promise => assert.rejects(promise, OptimisticLockError)
const sqlstate = (code, promise) => assert.rejects(promise, error => error.parent.code === code)

/** Runs the work in a transaction of that setting. */
function under (setting, value, { sequelize }, work) {
  return sequelize.transaction(async transaction => {
    await sequelize.query(`SET LOCAL orm_ext.${setting} = '${value}'`, { transaction })
    return work(transaction)
  })
}

function clientCounts ({ twin }) {
  twin('save counts from 0', {}, async ({ Doc }) => {
    const doc = await Doc.create({ title: 'new' })
    const numbers = [doc.version]
    for (const title of ['a', 'b', 'c']) {
      await doc.update({ title })
      numbers.push(doc.version)
    }
    assert.deepEqual(numbers, [0, 1, 2, 3])
    return (await doc.reload()).version
  })

  twin('a stale save', {}, async ({ Doc, other }) => {
    const [mine, theirs] = [await Doc.findByPk(1), await other.Doc.findByPk(1)]
    await theirs.update({ title: 'theirs' })
    await stale(mine.update({ title: 'mine' }))
    await mine.reload()
    await mine.update({ title: 'mine' })
    return [mine.title, mine.version]
  })

  twin('a stale save that had to wait', {}, async ({ Doc, other, second }) => {
    const [mine, theirs] = [await Doc.findByPk(1), await other.Doc.findByPk(1)]
    const transaction = await second.transaction()
    await theirs.update({ title: 'theirs' }, { transaction })
    const saved = stale(mine.update({ title: 'mine' }))
    await new Promise(resolve => setTimeout(resolve, 50))
    await transaction.commit()
    await saved
  })

  twin('a save that had to wait for one that was rolled back', {}, async ({ Doc, other, second }) => {
    const [mine, theirs] = [await Doc.findByPk(1), await other.Doc.findByPk(1)]
    const transaction = await second.transaction()
    await theirs.update({ title: 'theirs' }, { transaction })
    const saved = mine.update({ title: 'mine' })
    await new Promise(resolve => setTimeout(resolve, 50))
    await transaction.rollback()
    await saved
    return mine.version
  })

  // Sequelize does not look at the count here, so nobody is told; but nothing is lost.
  twin('a stale destroy deletes nothing', {}, async ({ Doc, other }) => {
    const [mine, theirs] = [await Doc.findByPk(1), await other.Doc.findByPk(1)]
    await theirs.update({ title: 'theirs' })
    await mine.destroy()
    const before = await Doc.count()
    await (await mine.reload()).destroy()
    return [before, await Doc.count()]
  })

  twin('nothing changed, nothing sent', {}, async ({ Doc }) => {
    const doc = await Doc.findByPk(1)
    await doc.save()
    return doc.version
  })

  twin('increment and decrement', {}, async ({ Doc }) => {
    const doc = await Doc.findByPk(1)
    await doc.increment('views', { by: 3 })
    await doc.decrement('views')
    await doc.reload()
    await doc.update({ title: 'a' })
    return [doc.views, doc.version]
  })

  twin('a transaction that is rolled back', {}, async ({ Doc, sequelize }) => {
    const doc = await Doc.findByPk(1)
    await assert.rejects(sequelize.transaction(async transaction => {
      await doc.update({ title: 'undone' }, { transaction })
      throw new Error('no')
    }))
    await doc.reload()
    await doc.update({ title: 'done' })
    return doc.version
  })

  twin('times of the client are kept', {}, async ({ Doc }) => {
    const doc = await Doc.findByPk(1)
    const created = +doc.createdAt
    await doc.update({ title: 'a' })
    const sent = +doc.updatedAt
    await doc.reload()
    return [+doc.updatedAt === sent, +doc.createdAt === created]
  })

  twin('paranoid: destroy and restore', {}, async ({ Page }) => {
    const page = await Page.findByPk(1)
    await page.destroy()
    await page.restore()
    await page.update({ title: 'a' })
    return [page.revision, (await Page.findByPk(1)).revision]
  })

  twin('paranoid: a stale save', {}, async ({ Page, other }) => {
    const page = await Page.findByPk(1)
    await (await other.Page.findByPk(1)).update({ title: 'theirs' })
    await stale(page.update({ title: 'mine' }))
  })
}

function serverCounts ({ managedOnly }) {
  managedOnly('psql is noticed', {}, async ({ Doc }, side) => {
    const doc = await Doc.findByPk(1)
    side.psql("UPDATE docs SET title = 'psql' WHERE id = 1")
    await stale(doc.update({ title: 'mine' }))
    await (await doc.reload()).update({ title: 'mine' })
    assert.equal(doc.version, 2)
    assert.equal((await doc.reload()).version, 2)
  })

  managedOnly('psql is not noticed where nothing that counts has changed', {}, async ({ Doc }, side) => {
    const doc = await Doc.findByPk(1)
    side.psql('UPDATE docs SET title = title, views = views + 1')
    await doc.update({ title: 'mine' })
    assert.equal(doc.version, 1)
  })

  managedOnly('Model.update() is noticed', {}, async ({ Doc, other }) => {
    const doc = await Doc.findByPk(1)
    await other.Doc.update({ title: 'bulk' }, { where: { title: 'one' } })
    await stale(doc.update({ title: 'mine' }))
  })

  managedOnly('bulkCreate with updateOnDuplicate is noticed', {}, async ({ Doc, other }) => {
    const doc = await Doc.findByPk(1)
    const created = +doc.createdAt
    await other.Doc.bulkCreate([{ id: 1, title: 'bulk' }, { id: 9, title: 'new' }],
      { updateOnDuplicate: ['title'], conflictAttributes: ['id'] })
    await stale(doc.update({ title: 'mine' }))
    await doc.reload()
    assert.deepEqual([doc.title, doc.version, +doc.createdAt], ['bulk', 1, created])
    assert.equal((await Doc.findByPk(9)).version, 0)
  })

  managedOnly('bulkCreate with updateOnDuplicate does not move createdAt', {}, async ({ Doc }) => {
    const doc = await Doc.findByPk(1)
    const created = +doc.createdAt
    await new Promise(resolve => setTimeout(resolve, 5))
    await Doc.bulkCreate([{ id: 1, title: 'bulk' }],
      { updateOnDuplicate: ['title', 'createdAt'], conflictAttributes: ['id'] })
    await doc.reload()
    assert.deepEqual([doc.title, +doc.createdAt], ['bulk', created])
  })

  managedOnly('upsert is noticed', {}, async ({ Doc, other }) => {
    const doc = await Doc.findByPk(1)
    const [row] = await other.Doc.upsert({ id: 1, title: 'upsert' })
    assert.equal(row.version, 1)
    await stale(doc.update({ title: 'mine' }))
    await (await doc.reload()).update({ title: 'mine' })
    assert.equal((await doc.reload()).version, 2)
  })

  // It sends the first version of a new row, which would go back.
  managedOnly('bulkCreate that updates the version is an error', {}, async ({ Doc }) => {
    await (await Doc.findByPk(1)).update({ title: 'a' })
    await sqlstate('OE001', Doc.bulkCreate([{ id: 1, title: 'bulk' }],
      { updateOnDuplicate: ['title', 'version'], conflictAttributes: ['id'] }))
  })

  managedOnly('psql moves updatedAt, and createdAt stays', {}, async ({ Doc }, side) => {
    const doc = await Doc.findByPk(1)
    const [created, updated] = [+doc.createdAt, +doc.updatedAt]
    await new Promise(resolve => setTimeout(resolve, 5))
    side.psql("UPDATE docs SET title = 'psql', \"createdAt\" = now() WHERE id = 1")
    await doc.reload()
    assert.equal(+doc.createdAt, created)
    assert.ok(+doc.updatedAt > updated)
    side.psql("INSERT INTO docs (title) VALUES ('from psql')")
    const inserted = await Doc.findOne({ where: { title: 'from psql' } })
    assert.deepEqual([inserted.version, +inserted.createdAt], [0, +inserted.updatedAt])
  })

  // silent: true only leaves the column out, and that is what the server is for.
  managedOnly('silent: true', {}, async ({ Doc }) => {
    const doc = await Doc.findByPk(1)
    const updated = +doc.updatedAt
    await new Promise(resolve => setTimeout(resolve, 5))
    await doc.update({ title: 'a' }, { silent: true })
    assert.ok(+(await doc.reload()).updatedAt > updated)
  })
}

function withoutVersion ({ managedOnly }) {
  managedOnly('orm_ext.expected_version', {}, async (client, side) => {
    const { Doc } = client
    side.psql("UPDATE docs SET title = 'psql' WHERE id = 1")
    const where = { id: 1 }
    const writes = [
      transaction => Doc.update({ title: 'mine' }, { where, transaction }),
      transaction => Doc.destroy({ where, transaction })
    ]
    for (const [i, write] of writes.entries()) {
      await sqlstate('OE001', under('expected_version', i, client, write))
      await under('expected_version', i + 1, client, write)
    }
    assert.equal(await Doc.findByPk(1), null)
  })

  managedOnly('orm_ext.version_guard', {}, async client => {
    const { Doc } = client
    const where = { id: 2 }
    await under('version_guard', 'error', client, async transaction => {
      const doc = await Doc.findByPk(1, { transaction })
      await doc.update({ title: 'a' }, { transaction })
      await doc.destroy({ transaction })
    })
    // It counts, by key alone.
    const doc = await Doc.findByPk(2)
    await sqlstate('OE002', under('version_guard', 'error', client,
      transaction => doc.increment('views', { transaction })))
    await sqlstate('OE002', under('version_guard', 'error', client,
      transaction => Doc.update({ title: 'a' }, { where, transaction })))
    await sqlstate('OE002', under('version_guard', 'error', client,
      transaction => Doc.destroy({ where, transaction })))
  })
}

suite({
  name: 'sequelize',
  tables: {},
  triggers: {
    docs: "stamp('version=version', 'created=createdAt', 'updated=updatedAt', 'ignore=views')",
    pages: "stamp('version=revision', 'created=created_at', 'updated=updated_at')"
  },
  open,
  seed,
  define (declare) {
    clientCounts(declare)
    serverCounts(declare)
    withoutVersion(declare)
  }
})
