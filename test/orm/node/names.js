'use strict'

/*
 * A database whose names are looked after, and a native one: <client>_named has the extension,
 * <client>_native does not load the library.  What a client does is played in both, and must
 * leave the same names.
 */

const assert = require('node:assert/strict')
const { execFileSync } = require('node:child_process')
const { after, before, beforeEach, describe, it } = require('node:test')
const pg = require('pg')

const SUPERUSER = process.env.ORM_EXT_SUPERUSER || 'postgres'

// Kind, table, name and definition.
const CATALOG = `
  SELECT contype::text AS kind, conrelid::regclass::text AS table, conname AS name,
         pg_get_constraintdef(oid) AS definition
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
  UNION ALL
  SELECT 'i', tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
   ORDER BY 1, 2, 3`

class Side {
  constructor (client, kind) {
    this.kind = kind
    this.connection = {
      host: process.env.PGHOST,
      port: Number(process.env.PGPORT),
      user: process.env.PGUSER,
      database: `${client}_${kind}`
    }
  }

  async open () {
    this.observer = new pg.Client(this.connection)
    await this.observer.connect()
  }

  async query (...args) {
    return (await this.observer.query(...args)).rows
  }

  empty () {
    return this.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public')
  }

  catalog () {
    return this.query(CATALOG)
  }

  /** The names of that kind: c f i p u x. */
  async names (kind) {
    return (await this.catalog()).filter(row => row.kind === kind).map(row => row.name)
  }

  /** Which only a superuser can change. */
  convention (call) {
    execFileSync('psql', ['-XAtqU', SUPERUSER, '-c', `SELECT orm_ext.use_naming(${call})`, this.connection.database])
  }
}

/**
 * Declares a suite.
 *
 *   client  its name, and that of its databases
 *   define  ({ both, named }) => declares the scenarios
 *
 *   both(title, scenario, convention)   plays scenario(side) in the native database and then in the
 *                                       other one: same answer, same catalog
 *   named(title, scenario)              what only the latter has
 */
function suite ({ client, define }) {
  describe(`${client}: names`, () => {
    const native = new Side(client, 'native')
    const named = new Side(client, 'named')

    before(() => Promise.all([native.open(), named.open()]))
    after(() => Promise.all([native.observer.end(), named.observer.end()]))
    beforeEach(async () => {
      await native.empty()
      await named.empty()
      named.convention("'first_column'")
    })

    define({
      both: (title, scenario, convention) => it(title, async () => {
        if (convention) named.convention(convention)
        const expected = await scenario(native)
        const outcome = await scenario(named)
        assert.deepEqual(outcome, expected)
        assert.deepEqual(await named.catalog(), await native.catalog())
      }),
      named: (title, scenario) => it(title, () => scenario(named))
    })
  })
}

module.exports = { suite }
