'use strict'

/* TypeORM: bulk_upsert() next to Repository.upsert(). */

require('reflect-metadata')

const assert = require('node:assert/strict')
const { DataSource, EntitySchema, QueryFailedError } = require('typeorm')
const { COUNTS, ROWS, counts, products } = require('./products')

const columns = {
  id: { type: 'bigint', primary: true, generated: 'increment' },
  sku: { type: 'text', unique: true },
  name: { type: 'text' },
  price: { type: 'numeric', precision: 10, scale: 2, default: 1 },
  stock: { type: 'int', default: 0 },
  tags: { type: 'text', array: true, nullable: true },
  details: { type: 'jsonb', nullable: true },
  note: { type: 'text', nullable: true }
}
const Product = new EntitySchema({ name: 'Product', tableName: 'products', columns })
const Twin = new EntitySchema({ name: 'Twin', tableName: 'twins', columns })

async function open ({ host, port, user, database }) {
  const source = new DataSource({
    type: 'postgres', host, port, username: user, database, entities: [Product, Twin]
  })
  await source.initialize()
  return { source, manager: source.manager, close: () => source.destroy() }
}

// Not ROWS themselves: it writes ids into what it is given.
const ownUpsert = ({ source }, rows) =>
  source.getRepository(Twin).upsert(rows.map(row => ({ ...row })), ['sku'])

async function upsert (manager, rows) {
  const [row] = await manager.query(
    "SELECT * FROM orm_ext.bulk_upsert('products', $1, ARRAY['sku'])", [JSON.stringify(rows)])
  return counts(row)
}

products({
  name: 'typeorm',
  open,
  define (scenario) {
    scenario('manager.query()', async client => {
      assert.deepEqual(await upsert(client.manager, ROWS), COUNTS)
      await ownUpsert(client, ROWS)
    })

    scenario('types', async client => {
      const rows = [
        { sku: 'cup', name: 'Cup', tags: ['a', 'b, "c"', '\\'], details: { size: [1, 2.5, null] }, note: null },
        { sku: 'mug', name: 'Mug', tags: [], details: {}, note: '' }]
      await upsert(client.manager, rows)
      await ownUpsert(client, rows)
    })

    scenario('entities come back in order', async client => {
      const repository = client.source.getRepository(Product)
      const rows = await client.manager.query(
        `SELECT (result).* FROM orm_ext.bulk_upsert_returning(NULL::products, $1, ARRAY['sku'])
          ORDER BY ordinal`, [JSON.stringify(ROWS)])
      const entities = repository.create(rows)
      assert.deepEqual(entities.map(product => product.sku), ROWS.map(row => row.sku))
      entities[1].stock = 12
      await repository.save(entities)
      await ownUpsert(client, ROWS.map(row => row.sku === 'mug' ? { ...row, stock: 12 } : row))
    })

    scenario('entities that were there before are merged', async client => {
      const repository = client.source.getRepository(Product)
      const entities = repository.create(ROWS)
      const answer = await client.manager.query(
        `SELECT ordinal, to_jsonb(result) AS result
           FROM orm_ext.bulk_upsert_returning(NULL::products, $1, ARRAY['sku'])`, [JSON.stringify(entities)])
      for (const { ordinal, result } of answer) repository.merge(entities[ordinal - 1], result)
      assert.deepEqual(entities.map(product => Number(product.id)).slice(0, 3).filter(id => id < 5), [2, 1])
      await repository.remove(entities[3])
      await ownUpsert(client, ROWS.slice(0, 3))
    })

    scenario('in a transaction that is rolled back', async client => {
      await assert.rejects(client.source.transaction(async manager => {
        assert.deepEqual(await upsert(manager, ROWS), COUNTS)
        throw new Error('no')
      }), /no/)
    })

    scenario('an error', async client => {
      await assert.rejects(upsert(client.manager, [{ sku: 'x', name: 'X', price: -1 }]), error => {
        assert.ok(error instanceof QueryFailedError)
        assert.equal(error.driverError.code, '23514')
        assert.match(error.driverError.where, /row 1/)
        return true
      })
    })
  }
})
