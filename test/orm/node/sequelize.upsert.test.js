'use strict'

/* Sequelize: bulk_upsert() next to bulkCreate() with updateOnDuplicate. */

const assert = require('node:assert/strict')
const { DataTypes, QueryTypes, Sequelize } = require('sequelize')
const { COUNTS, ROWS, counts, products } = require('./products')

function define (sequelize, name, table) {
  return sequelize.define(name, {
    id: { type: DataTypes.BIGINT, primaryKey: true, autoIncrement: true },
    sku: { type: DataTypes.TEXT, unique: true },
    name: DataTypes.TEXT,
    price: DataTypes.DECIMAL(10, 2),
    stock: DataTypes.INTEGER,
    tags: DataTypes.ARRAY(DataTypes.TEXT),
    details: DataTypes.JSONB,
    note: DataTypes.TEXT,
    createdAt: { type: DataTypes.DATE, field: 'created_at' }
  }, { tableName: table, timestamps: false })
}

async function open ({ host, port, user, database }) {
  const sequelize = new Sequelize(database, user, '', { dialect: 'postgres', host, port, logging: false })
  return {
    sequelize,
    Product: define(sequelize, 'Product', 'products'),
    Twin: define(sequelize, 'Twin', 'twins'),
    close: () => sequelize.close()
  }
}

const ownUpsert = ({ Twin }, rows, columns = ['name', 'price', 'stock']) =>
  Twin.bulkCreate(rows, { updateOnDuplicate: columns, conflictAttributes: ['sku'], returning: false })

async function upsert ({ sequelize }, rows, options) {
  const [row] = await sequelize.query(
    "SELECT * FROM orm_ext.bulk_upsert('products', :rows, ARRAY['sku'])",
    { replacements: { rows: JSON.stringify(rows) }, type: QueryTypes.SELECT, ...options })
  return counts(row)
}

products({
  name: 'sequelize',
  open,
  define (scenario) {
    scenario('replacements, which are written into the statement', async client => {
      assert.deepEqual(await upsert(client, ROWS), COUNTS)
      await ownUpsert(client, ROWS)
      assert.deepEqual(await upsert(client, ROWS), { inserted: 0, updated: 0, unchanged: 4, skipped: 0 })
    })

    scenario('bind parameters', async client => {
      const [row] = await client.sequelize.query(
        'SELECT * FROM orm_ext.bulk_upsert($1, $2, conflict => $3, update_columns => $4)',
        { bind: ['products', JSON.stringify(ROWS), ['sku'], ['stock']], type: QueryTypes.SELECT })
      assert.deepEqual(counts(row), { inserted: 2, updated: 0, unchanged: 2, skipped: 0 })
      await ownUpsert(client, ROWS, ['stock'])
    })

    scenario('instances come back in order, ready for use', async client => {
      const instances = await client.sequelize.query(
        `SELECT (result).* FROM orm_ext.bulk_upsert_returning(NULL::products, :rows, ARRAY['sku'])
          ORDER BY ordinal`,
        { replacements: { rows: JSON.stringify(ROWS) }, model: client.Product, mapToModel: true })
      assert.deepEqual(instances.map(product => product.sku), ROWS.map(row => row.sku))
      assert.deepEqual([instances[2].id, instances[2].tags], ['1', ['tea', 'blue']])
      await instances[1].update({ stock: 12 })
      await ownUpsert(client, ROWS.map(row => row.sku === 'mug' ? { ...row, stock: 12 } : row))
    })

    scenario('instances that were built before', async client => {
      const built = ROWS.map(row => client.Product.build(row))
      // Without the id, which is null so far.
      const rows = built.map(product => ({ ...product.get(), id: undefined }))
      const answer = await client.sequelize.query(
        "SELECT ordinal, (result).id FROM orm_ext.bulk_upsert_returning(NULL::products, :rows, ARRAY['sku'])",
        { replacements: { rows: JSON.stringify(rows) }, type: QueryTypes.SELECT })
      for (const { ordinal, id } of answer) Object.assign(built[ordinal - 1], { id, isNewRecord: false })
      await built[0].reload()
      assert.equal(built[0].id, '2')
      await built[3].update({ note: 'chipped' })
      await ownUpsert(client, ROWS)
      await client.Twin.update({ note: 'chipped' }, { where: { sku: 'jug' } })
    })

    scenario('createdAt stays', async client => {
      const rows = ROWS.map(row => ({ ...row, created_at: new Date('2026-05-05T00:00:00Z') }))
      await upsert(client, rows)
      await ownUpsert(client, rows.map(row => ({ ...row, createdAt: row.created_at })))
    })

    scenario('in a transaction that is rolled back', async client => {
      await assert.rejects(client.sequelize.transaction(async transaction => {
        assert.deepEqual(await upsert(client, ROWS, { transaction }), COUNTS)
        throw new Error('no')
      }), /no/)
    })

    scenario('an error is the one that a model would give', async client => {
      const broken = [{ sku: 'x', name: 'X', id: 1 }]
      const own = await client.Twin.bulkCreate([{ sku: 'x', name: 'X', id: 1 }]).catch(error => error)
      const ours = await upsert(client, broken).catch(error => error)
      assert.equal(own.name, 'SequelizeUniqueConstraintError')
      assert.deepEqual([ours.name, Object.keys(ours.fields)], [own.name, Object.keys(own.fields)])
      assert.match(ours.parent.where, /row 1/)
    })
  }
})
