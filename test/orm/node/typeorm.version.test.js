'use strict'

/*
 * TypeORM's @VersionColumn, @CreateDateColumn and @UpdateDateColumn, in two sessions.
 *
 * TypeORM counts in every UPDATE, but looks at the version only where it is asked to.  A save()
 * reads the row first: where the version is another one than it was, it writes the old one back,
 * by which the server notices; where somebody writes in between, it overwrites.  What the server
 * can do for that is at the end.
 */

require('reflect-metadata')

const assert = require('node:assert/strict')
const { DataSource, EntitySchema, OptimisticLockVersionMismatchError } = require('typeorm')
const { suite } = require('./twin')

const id = { type: 'int', primary: true, generated: 'increment' }

const Doc = new EntitySchema({
  name: 'Doc',
  tableName: 'docs',
  columns: {
    id,
    title: { type: 'text', unique: true },
    note: { type: 'text', nullable: true },
    views: { type: 'int', default: 0 },
    version: { type: 'int', version: true },
    createdAt: { type: 'timestamptz', createDate: true },
    updatedAt: { type: 'timestamptz', updateDate: true }
  }
})

// The version is a column like others; who counts is the server.
const columns = {
  id,
  title: { type: 'text' },
  note: { type: 'text', nullable: true },
  version: { type: 'int', nullable: true }
}
const Memo = new EntitySchema({ name: 'Memo', tableName: 'memos', columns })
const Sheet = new EntitySchema({ name: 'Sheet', tableName: 'sheets', columns })

async function connect ({ host, port, user, database }, log) {
  const source = new DataSource({
    type: 'postgres',
    host,
    port,
    username: user,
    database,
    entities: [Doc, Memo, Sheet],
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
  return source
}

const repositories = source => ({
  docs: source.getRepository(Doc), memos: source.getRepository(Memo), sheets: source.getRepository(Sheet)
})

async function open (connection, log) {
  const [one, two] = [await connect(connection, log), await connect(connection, log)]
  return {
    source: one,
    second: two,
    ...repositories(one),
    other: repositories(two),
    createTables: () => one.synchronize(),
    close: () => Promise.all([one.destroy(), two.destroy()])
  }
}

async function seed ({ docs, memos, sheets }) {
  await docs.save([{ title: 'one' }, { title: 'two' }])
  await memos.insert({ title: 'memo', version: 1 })
  await sheets.insert({ title: 'sheet', version: 1 })
}

const byId = id => ({ where: { id } })
const sqlstate = (code, promise) => assert.rejects(promise, error => error.driverError.code === code)
const pause = () => new Promise(resolve => setTimeout(resolve, 5))

/** Runs the work in a transaction of that setting. */
function under (setting, value, { source }, work) {
  return source.transaction(async manager => {
    await manager.query(`SET LOCAL orm_ext.${setting} = '${value}'`)
    return work(manager)
  })
}

function clientCounts ({ twin }) {
  twin('save counts from 1, and reads the count', {}, async ({ docs }) => {
    const doc = await docs.save({ title: 'new' })
    const numbers = [doc.version]
    for (doc.title of ['a', 'b', 'c']) {
      await docs.save(doc)
      numbers.push(doc.version)
    }
    assert.deepEqual(numbers, [1, 2, 3, 4])
    return (await docs.findOne(byId(doc.id))).version
  })

  twin('nothing changed, nothing sent', {}, async ({ docs }) => {
    const doc = await docs.save(await docs.findOne(byId(1)))
    return doc.version
  })

  twin('a save that had to wait overwrites', {}, async ({ docs, second }) => {
    const doc = await docs.findOne(byId(1))
    let waiting
    await second.transaction(async manager => {
      await manager.update(Doc, { id: 1 }, { title: 'theirs' })
      waiting = docs.save({ ...doc, title: 'mine' })
      await new Promise(resolve => setTimeout(resolve, 50))
    })
    await waiting
    const { title, version } = await docs.findOne(byId(1))
    assert.deepEqual([title, version], ['mine', 3])
  })

  twin('a read with an optimistic lock', {}, async ({ docs, other }) => {
    const lock = version => ({ ...byId(1), lock: { mode: 'optimistic', version } })
    const doc = await docs.findOne(lock(1))
    await other.docs.save({ ...doc, title: 'theirs' })
    await assert.rejects(docs.findOne(lock(1)), OptimisticLockVersionMismatchError)
    return (await docs.findOne(lock(2))).title
  })

  twin('update() and delete() with the version in their condition', {}, async ({ docs, other }) => {
    const { version } = await docs.findOne(byId(1))
    const affected = []
    affected.push((await other.docs.update({ id: 1, version }, { title: 'theirs' })).affected)
    affected.push((await docs.update({ id: 1, version }, { title: 'mine' })).affected)
    affected.push((await docs.delete({ id: 1, version })).affected)
    affected.push((await docs.delete({ id: 1, version: version + 1 })).affected)
    assert.deepEqual(affected, [1, 0, 0, 1])
  })

  twin('update() that had to wait', {}, async ({ docs, second }) => {
    let waiting
    await second.transaction(async manager => {
      await manager.update(Doc, { id: 1, version: 1 }, { title: 'theirs' })
      waiting = docs.update({ id: 1, version: 1 }, { title: 'mine' })
      await new Promise(resolve => setTimeout(resolve, 50))
    })
    assert.equal((await waiting).affected, 0)
  })

  twin('QueryBuilder', {}, async ({ docs }) => {
    await docs.createQueryBuilder().update().set({ title: () => "title || '!'" }).where('views = 0').execute()
    const result = await docs.createQueryBuilder().update().set({ views: 7 }).where({ id: 1 })
      .returning('*').execute()
    return [result.affected, result.raw[0].version]
  })

  twin('increment and decrement', {}, async ({ docs }) => {
    await docs.increment({ id: 1 }, 'views', 3)
    await docs.decrement({ id: 1 }, 'views', 1)
    const doc = await docs.findOne(byId(1))
    return [doc.views, doc.version]
  })

  twin('times move, createdAt does not', {}, async ({ docs }) => {
    const doc = await docs.findOne(byId(1))
    const [created, updated] = [+doc.createdAt, +doc.updatedAt]
    await pause()
    await docs.save(Object.assign(doc, { title: 'a' }))
    const read = await docs.findOne(byId(1))
    return [+read.createdAt === created, +read.updatedAt > updated, +doc.updatedAt === +read.updatedAt]
  })
}

function serverCounts ({ managedOnly }) {
  managedOnly('psql is noticed', {}, async ({ docs }, side) => {
    const { version } = await docs.findOne(byId(1))
    side.psql("UPDATE docs SET title = 'psql' WHERE id = 1")
    assert.equal((await docs.update({ id: 1, version }, { title: 'mine' })).affected, 0)
    await assert.rejects(docs.findOne({ ...byId(1), lock: { mode: 'optimistic', version } }),
      OptimisticLockVersionMismatchError)
  })

  managedOnly('psql is not noticed where nothing that counts has changed', {}, async ({ docs }, side) => {
    const { version } = await docs.findOne(byId(1))
    side.psql('UPDATE docs SET title = title, views = views + 1')
    assert.equal((await docs.update({ id: 1, version }, { title: 'mine' })).affected, 1)
  })

  // On a plain table this save brings the old version back, and nobody is told.
  managedOnly('a stale save is noticed', {}, async ({ docs, other }, side) => {
    const [mine, theirs] = [await docs.findOne(byId(1)), await other.docs.findOne(byId(1))]
    await other.docs.save({ ...theirs, title: 'theirs' })
    await sqlstate('OE001', docs.save({ ...mine, title: 'mine' }))
    const again = await docs.findOne(byId(1))
    side.psql("UPDATE docs SET title = 'psql' WHERE id = 1")
    await sqlstate('OE001', docs.save({ ...again, title: 'mine' }))
    await docs.save({ ...await docs.findOne(byId(1)), title: 'mine' })
    const { title, version } = await docs.findOne(byId(1))
    assert.deepEqual([title, version], ['mine', 4])
  })

  // TypeORM's upsert does not count.
  managedOnly('upsert is noticed', {}, async ({ docs }) => {
    const { version, createdAt, updatedAt } = await docs.findOne(byId(1))
    await pause()
    await docs.upsert({ title: 'one', note: 'upsert' }, ['title'])
    assert.equal((await docs.update({ id: 1, version }, { title: 'mine' })).affected, 0)
    const doc = await docs.findOne(byId(1))
    assert.deepEqual([doc.note, doc.version, +doc.createdAt], ['upsert', version + 1, +createdAt])
    assert.ok(doc.updatedAt > updatedAt)
  })

  managedOnly('createdAt stays, whoever writes it', {}, async ({ docs }, side) => {
    const doc = await docs.findOne(byId(1))
    const created = +doc.createdAt
    await docs.save({ ...doc, title: 'a', createdAt: new Date(0) })
    side.psql('UPDATE docs SET "createdAt" = now()')
    await docs.upsert({ title: 'a', note: 'b', createdAt: new Date(0) }, ['title'])
    assert.equal(+(await docs.findOne(byId(1))).createdAt, created)
  })

  managedOnly('psql moves updatedAt', {}, async ({ docs }, side) => {
    const { updatedAt } = await docs.findOne(byId(1))
    await pause()
    side.psql("UPDATE docs SET title = 'psql' WHERE id = 1")
    assert.ok((await docs.findOne(byId(1))).updatedAt > updatedAt)
  })
}

/** What makes a save() safe that has no version in its condition. */
function withoutVersion ({ managedOnly }) {
  managedOnly('orm_ext.version_guard names it', {}, async client => {
    const { docs } = client
    const doc = await docs.findOne(byId(1))
    await sqlstate('OE002', under('version_guard', 'error', client,
      manager => manager.save(Doc, { ...doc, title: 'mine' })))
    await sqlstate('OE002', under('version_guard', 'error', client, manager => manager.remove(Doc, { ...doc })))
    await sqlstate('OE002', under('version_guard', 'error', client,
      manager => manager.update(Doc, { id: 1 }, { title: 'mine' })))
    await under('version_guard', 'error', client,
      manager => manager.update(Doc, { id: 1, version: 1 }, { title: 'mine' }))
    const again = await docs.findOne(byId(1))
    await under('version_guard', 'warn', client, manager => manager.save(Doc, { ...again, title: 'warned' }))
    assert.equal((await docs.findOne(byId(1))).title, 'warned')
  })

  managedOnly('orm_ext.expected_version: save and remove', {}, async (client, side) => {
    const { docs } = client
    const save = (doc, version) => under('expected_version', version, client,
      manager => manager.save(Doc, Object.assign(doc, { title: 'mine' })))
    side.psql("UPDATE docs SET title = 'psql' WHERE id = 1")
    await sqlstate('OE001', save(await docs.findOne(byId(1)), 1))
    const doc = await docs.findOne(byId(1))
    await save(doc, doc.version)
    assert.equal(doc.version, 3)
    await sqlstate('OE001', under('expected_version', 2, client, manager => manager.delete(Doc, { id: 1 })))
    await under('expected_version', 3, client, manager => manager.remove(Doc, doc))
    assert.equal(await docs.findOne(byId(1)), null)
  })

  managedOnly('orm_ext.expected_version: a save that had to wait', {}, async (client, side) => {
    const { docs, second } = client
    const doc = await docs.findOne(byId(1))
    let waiting
    await second.transaction(async manager => {
      await manager.update(Doc, { id: 1 }, { title: 'theirs' })
      waiting = sqlstate('OE001', under('expected_version', doc.version, client,
        manager => manager.save(Doc, { ...doc, title: 'mine' })))
      await new Promise(resolve => setTimeout(resolve, 50))
    })
    await waiting
    assert.equal((await docs.findOne(byId(1))).title, 'theirs')
  })

  managedOnly('a plain version column: a stale save is noticed', {}, async ({ memos, other }) => {
    const [mine, theirs] = [await memos.findOne(byId(1)), await other.memos.findOne(byId(1))]
    await other.memos.save({ ...theirs, title: 'theirs' })
    await sqlstate('OE001', memos.save({ ...mine, title: 'mine' }))
    const again = await memos.findOne(byId(1))
    assert.deepEqual([again.title, again.version], ['theirs', 2])
    await memos.save({ ...again, title: 'mine' })
  })

  managedOnly('mode=echo: update() sends the version that was read', {}, async ({ sheets, other }) => {
    const [mine, theirs] = [await sheets.findOne(byId(1)), await other.sheets.findOne(byId(1))]
    await other.sheets.update(1, { title: 'theirs', version: theirs.version })
    await sqlstate('OE001', sheets.update(1, { title: 'mine', version: mine.version }))
    await sheets.update(1, { title: 'mine', version: mine.version + 1 })
    await sqlstate('OE002', sheets.update(1, { title: 'forgot' }))
    assert.equal((await sheets.findOne(byId(1))).version, 3)
  })

  managedOnly('mode=echo: save() forgets a version that is still right', {}, async ({ sheets, other }) => {
    const [mine, theirs] = [await sheets.findOne(byId(1)), await other.sheets.findOne(byId(1))]
    await sqlstate('OE002', other.sheets.save({ ...theirs, title: 'theirs' }))
    await other.sheets.update(1, { title: 'theirs', version: theirs.version })
    await sqlstate('OE001', sheets.save({ ...mine, title: 'mine' }))
  })
}

suite({
  name: 'typeorm',
  tables: {},
  triggers: {
    docs: "stamp('version=version', 'created=createdAt', 'updated=updatedAt', 'ignore=views')",
    memos: "version('version')",
    sheets: "version('version', 'mode=echo')"
  },
  open,
  seed,
  define (declare) {
    clientCounts(declare)
    serverCounts(declare)
    withoutVersion(declare)
  }
})
