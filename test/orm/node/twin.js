'use strict'

/*
 * Runs each scenario on two databases and holds the one to the other.
 *
 * In the plain database a DELETE deletes.  In the managed one orm_ext turns it
 * into a mark.  A scenario is played on both, through the same unmodified
 * client, and must give the same answer through the same statements, and leave
 * the same rows for the application to see.  What the managed database still
 * holds underneath is then looked up and counted.  Versions and times are held
 * together alike: those that the client counts, and those that triggers keep.
 */

const assert = require('node:assert/strict')
const { execFileSync } = require('node:child_process')
const { after, before, describe, it } = require('node:test')
const pg = require('pg')

// A role that sees and really deletes everything, by its settings; see
// test/orm/run and `own` below.
const OWN_BIN_ROLE = 'shop_with_own_bin'

const IS_DELETED = {
  timestamptz: marker => `${marker} IS NOT NULL`,
  timestamp: marker => `${marker} IS NOT NULL`,
  boolean: marker => marker,
  bigint: marker => `${marker} <> 0`
}

// Clients write times and names of their own making into statements.
const CHANGING = [
  [/\d{4}-\d\d-\d\d[T ][\d:.]+ ?(Z|[+-]\d\d:\d\d)/g, '<time>'],
  [/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, '<uuid>'],
  [/\$func_[0-9a-z]+\$/g, '$func$']
]

function normalize (value) {
  const text = JSON.stringify(value === undefined ? null : value)
  return JSON.parse(CHANGING.reduce(
    (result, [pattern, name]) => result.replace(pattern, name), text))
}

/** One of the twins, as one kind of application sees it. */
class Side {
  constructor (suite, managed, user) {
    this.suite = suite
    this.managed = managed
    this.name = managed ? 'managed' : 'plain'
    this.log = []
    this.connection = {
      host: process.env.PGHOST,
      port: Number(process.env.PGPORT),
      user: user || process.env.PGUSER,
      database: `${suite.name}_${this.name}`
    }
  }

  async open () {
    this.observer = new pg.Client(this.connection)
    await this.observer.connect()
    this.client = await this.suite.open(
      this.connection, statement => this.log.push(statement))
  }

  async close () {
    await this.client.close()
    await this.observer.end()
  }

  async query (...args) {
    return (await this.observer.query(...args)).rows
  }

  /** What somebody writes in between, who knows of no ORM. */
  psql (statement) {
    return execFileSync('psql', ['-XAtq', '-v', 'ON_ERROR_STOP=1', '-c', statement,
      this.connection.database], { encoding: 'utf8' }).trim()
  }

  /** Makes the tables, as the client would; the managed ones are declared. */
  async create () {
    await this.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public')
    await this.client.createTables()
    if (!this.managed) return
    for (const [table, [marker, type, foreignKeys = true]] of Object.entries(this.suite.tables)) {
      await this.query(
        'SELECT orm_ext.enable_soft_delete($1::regclass, $2::name, $3::regtype, foreign_keys => $4)',
        [table, marker, type, foreignKeys])
    }
    for (const [table, call] of Object.entries(this.suite.triggers || {})) {
      await this.query(
        `CREATE TRIGGER zz_stamp BEFORE INSERT OR UPDATE ON "${table}"
           FOR EACH ROW EXECUTE FUNCTION orm_ext.${call}`)
    }
  }

  /** Back to the same live rows, with deleted ones among them. */
  async reset () {
    const tables = await this.query(
      "SELECT string_agg(quote_ident(tablename), ', ') AS all FROM pg_tables WHERE schemaname = 'public'")
    await this.query(`BEGIN;
      SET LOCAL orm_ext.delete_mode = 'hard';
      TRUNCATE ${tables[0].all} RESTART IDENTITY;
      COMMIT`)
    await this.suite.seed(this.client)
  }

  /**
   * Everything that an application can see, table by table.
   *
   * A marker that the application maps itself is there in both databases;
   * rows that it marked are compared as live rows are: by being absent.
   */
  async contents (columns) {
    const contents = {}
    for (const [table, names] of Object.entries(columns)) {
      const declared = this.suite.tables[table]
      const live = declared && names.includes(declared[0])
        ? `NOT (${IS_DELETED[declared[1]](declared[0])})`
        : 'true'
      const list = names.map(name => `"${name}"`).join(', ')
      contents[table] = await this.query(
        `SELECT ${list} FROM ${table} WHERE ${live} ORDER BY ${list}`)
    }
    return normalize(contents)
  }

  /** The columns of each table, as the client made them. */
  async columns () {
    const rows = await this.query(
      `SELECT table_name AS table, array_agg(column_name::text ORDER BY ordinal_position) AS names
         FROM information_schema.columns WHERE table_schema = 'public'
        GROUP BY 1 ORDER BY 1`)
    return Object.fromEntries(rows.map(row => [row.table, row.names]))
  }

  /** How many deleted rows each managed table really holds. */
  async tombstones () {
    const counts = {}
    await this.query("SET orm_ext.deleted_rows = 'show'")
    for (const [table, [marker, type]] of Object.entries(this.suite.tables)) {
      const [row] = await this.query(
        `SELECT count(*)::int AS n FROM ${table} WHERE ${IS_DELETED[type](marker)}`)
      counts[table] = row.n
    }
    await this.query('RESET orm_ext.deleted_rows')
    return counts
  }

  async play (scenario, columns) {
    await this.reset()
    const before = this.managed ? await this.tombstones() : {}
    this.log.length = 0
    let answer
    try {
      answer = await scenario(this.client, this)
    } catch (error) {
      throw new Error(`in the ${this.name} database: ${error.message}`, { cause: error })
    }
    const log = normalize(this.log).sort()
    const tombstones = this.managed ? await this.tombstones() : {}
    for (const table of Object.keys(tombstones)) {
      tombstones[table] -= before[table]
      if (tombstones[table] === 0) delete tombstones[table]
    }
    return { answer: normalize(answer), log, contents: await this.contents(columns), tombstones }
  }
}

/**
 * Declares a suite of scenarios.
 *
 *   name    of the client, and of its databases: <name>_plain, <name>_managed
 *   tables  { table: [marker, type] } of what the managed database manages
 *   triggers  { table: "version('v')" } what else it declares, in schema orm_ext
 *   open    (connection, log) => client, with createTables() and close()
 *   seed    (client) => fills the empty tables, and deletes some rows again
 *   define  ({ twin, managedOnly, ownTwin }) => declares the scenarios
 *
 * A scenario gets the client and its side.  `deleted` says how many rows of
 * which table it deletes softly; nothing else may be marked.
 *
 *   twin(title, deleted, scenario)         compares both databases
 *   managedOnly(title, deleted, scenario)  what only a managed one can do
 *   ownTwin(title, deleted, scenario)      compares, for the role whose own
 *                                          soft delete does it all: it has
 *                                          orm_ext.deleted_rows = 'show' and
 *                                          orm_ext.delete_mode = 'hard'
 */
function suite (definition) {
  describe(definition.name, () => {
    const plain = new Side(definition, false)
    const managed = new Side(definition, true)
    const own = new Side(definition, true, OWN_BIN_ROLE)
    let columns

    before(async () => {
      for (const side of [plain, managed, own]) await side.open()
      for (const side of [plain, managed]) await side.create()
      columns = await plain.columns()
    })

    after(async () => {
      for (const side of [plain, managed, own]) await side.close()
    })

    function compared (side) {
      return (title, deleted, scenario) => it(title, async () => {
        const expected = await plain.play(scenario, columns)
        const outcome = await side.play(scenario, columns)
        assert.deepEqual(outcome.answer, expected.answer)
        assert.deepEqual(outcome.log, expected.log)
        assert.deepEqual(outcome.contents, expected.contents)
        assert.deepEqual(outcome.tombstones, deleted)
      })
    }

    definition.define({
      twin: compared(managed),
      ownTwin: compared(own),
      managedOnly: (title, deleted, scenario) => it(title, async () => {
        const outcome = await managed.play(scenario, columns)
        assert.deepEqual(outcome.tombstones, deleted)
      })
    })
  })
}

module.exports = { suite }
