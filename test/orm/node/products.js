'use strict'

/* The tables of ../products.sql: each scenario starts from the same rows, and the table that
 * bulk upsert writes and the one that the client's own upsert writes are equal at its end. */

const assert = require('node:assert/strict')
const { execFileSync } = require('node:child_process')
const path = require('node:path')
const { after, before, beforeEach, describe, it } = require('node:test')
const pg = require('pg')

// One that changes, one that is new, one that stays as it is, and another new.
const ROWS = [
  { sku: 'pot', name: 'Pot', price: '21.50', stock: 3 },
  { sku: 'mug', name: 'Mug', price: '4.00', stock: 0 },
  { sku: 'cup', name: 'Cup', price: '5.00', stock: 10 },
  { sku: 'jug', name: 'Jug; 1 l, "50%"\t\\N \u{1f375}', price: '9.99', stock: 7 }
]
const COUNTS = { inserted: 2, updated: 1, unchanged: 1, skipped: 0 }

/** Counts are bigint, which pg gives as text. */
function counts (row) {
  return Object.fromEntries(Object.entries(row).map(([name, count]) => [name, Number(count)]))
}

/**
 * Declares scenarios in the database <name>_managed.
 *
 *   open    (connection) => client, with close()
 *   define  (scenario) => declares scenario(title, async (client, observer) => …); the observer
 *           is another session, of plain pg
 */
function products ({ name, open, define }) {
  const connection = {
    host: process.env.PGHOST,
    port: Number(process.env.PGPORT),
    user: process.env.PGUSER,
    database: `${name}_managed`
  }

  describe(`${name}: bulk upsert`, () => {
    let client, observer

    before(async () => {
      execFileSync('psql', ['-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', connection.database,
        '-f', path.join(__dirname, '..', 'products.sql')], { stdio: ['ignore', 'ignore', 'inherit'] })
      observer = new pg.Client(connection)
      await observer.connect()
      client = await open(connection)
    })

    after(async () => {
      await client.close()
      await observer.end()
    })

    beforeEach(() => observer.query('SELECT reset_products()'))

    define((title, scenario) => it(title, async () => {
      await scenario(client, observer)
      assert.deepEqual((await observer.query('SELECT * FROM differences')).rows, [])
    }))
  })
}

module.exports = { COUNTS, ROWS, counts, products }
