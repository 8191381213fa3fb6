'use strict'

/*
 * TypeORM's migrations, unchanged, and its synchronize(), which looks for the names that it
 * would give: a hash over table and columns, unless a naming strategy says otherwise.
 */

require('reflect-metadata')

const assert = require('node:assert/strict')
const {
  DataSource, DefaultNamingStrategy, EntitySchema, Table, TableCheck, TableColumn, TableExclusion,
  TableForeignKey, TableIndex, TableUnique
} = require('typeorm')
const { suite } = require('./names')

async function withSource (side, options, work) {
  const { host, port, user, database } = side.connection
  const source = new DataSource({ type: 'postgres', host, port, username: user, database, ...options })
  await source.initialize()
  try {
    return await work(source)
  } finally {
    await source.destroy()
  }
}

/** The statements that synchronize() would send. */
async function pending (source) {
  const { upQueries } = await source.driver.createSchemaBuilder().log()
  return upQueries.map(({ query }) => query)
}

// Migrations

const id = { name: 'id', type: 'int', isPrimary: true, isGenerated: true, generationStrategy: 'increment' }
const column = (name, type, options) => ({ name, type, ...options })

class CreateTables1700000000001 {
  async up (runner) {
    await runner.createTable(new Table({
      name: 'account',
      columns: [
        id, column('email', 'text', { isUnique: true }), column('region', 'text'),
        column('owner_id', 'int', { isNullable: true })
      ],
      uniques: [{ columnNames: ['region', 'email'] }],
      indices: [{ columnNames: ['region'] }],
      checks: [{ expression: 'length(email) > 2' }, { name: 'own', expression: 'owner_id <> id' }],
      foreignKeys: [{ columnNames: ['owner_id'], referencedTableName: 'account', referencedColumnNames: ['id'] }]
    }), true)
    await runner.createTable(new Table({
      name: 'membership',
      columns: [column('account_id', 'int', { isPrimary: true }), column('group_id', 'int', { isPrimary: true }),
        column('since', 'date'), column('period', 'daterange', { isNullable: true })]
    }), true)
    await runner.createTable(new Table({
      name: 'group', columns: [id, column('name', 'text', { isUnique: true })]
    }), true)
  }

  async down (runner) {
    for (const table of ['group', 'membership', 'account']) await runner.dropTable(table, true)
  }
}

class AddToTables1700000000002 {
  async up (runner) {
    await runner.createForeignKeys('membership', [
      new TableForeignKey({
        columnNames: ['account_id'], referencedTableName: 'account', referencedColumnNames: ['id'], onDelete: 'CASCADE'
      }),
      new TableForeignKey({
        name: 'membership_of', columnNames: ['group_id'], referencedTableName: 'group', referencedColumnNames: ['id']
      })
    ])
    await runner.createIndex('membership', new TableIndex({ columnNames: ['since', 'group_id'], where: 'group_id > 0' }))
    await runner.createUniqueConstraint('membership', new TableUnique({ columnNames: ['since', 'account_id'] }))
    await runner.createCheckConstraint('membership', new TableCheck({ expression: "since > '2000-01-01'" }))
    await runner.createExclusionConstraint('membership', new TableExclusion({
      expression: 'USING gist (period WITH &&)'
    }))
    await runner.addColumn('account', new TableColumn(column('code', 'varchar', { isUnique: true, isNullable: true })))
  }

  async down (runner) {
    const old = await runner.getTable('membership')
    await runner.dropColumn('account', 'code')
    await runner.dropExclusionConstraints('membership', [...old.exclusions])
    await runner.dropCheckConstraints('membership', [...old.checks])
    await runner.dropUniqueConstraints('membership', [...old.uniques])
    await runner.dropIndices('membership', [...old.indices])
    await runner.dropForeignKeys('membership', [...old.foreignKeys])
  }
}

class Rename1700000000003 {
  async up (runner) {
    await runner.renameColumn('account', 'owner_id', 'parent_id')
    await runner.renameColumn('membership', 'since', 'start')
    await runner.renameTable('account', 'customer')
    await runner.renameTable('group', 'team')
    await runner.updatePrimaryKeys('membership', [new TableColumn(column('account_id', 'int'))])
  }

  async down (runner) {
    await runner.updatePrimaryKeys('membership', [
      new TableColumn(column('account_id', 'int')), new TableColumn(column('group_id', 'int'))])
    await runner.renameTable('team', 'group')
    await runner.renameTable('customer', 'account')
    await runner.renameColumn('membership', 'start', 'since')
    await runner.renameColumn('account', 'parent_id', 'owner_id')
  }
}

// PostgreSQL names what has no name, and the way back knows it.
class WithSql1700000000004 {
  async up (runner) {
    await runner.query(`CREATE TABLE part (
      id int PRIMARY KEY, code text UNIQUE, whole int REFERENCES part CHECK (whole > 0))`)
    await runner.query('CREATE INDEX ON part (whole)')
  }

  async down (runner) {
    await runner.query('ALTER TABLE part DROP CONSTRAINT part_code_key, DROP CONSTRAINT part_whole_fkey')
    await runner.query('ALTER TABLE part DROP CONSTRAINT part_whole_check, DROP CONSTRAINT part_pkey')
    await runner.query('DROP INDEX part_whole_idx')
    await runner.query('DROP TABLE part')
  }
}

const migrations = [CreateTables1700000000001, AddToTables1700000000002, Rename1700000000003, WithSql1700000000004]

async function upAndDown (side) {
  return withSource(side, { migrations, migrationsTransactionMode: 'each' }, async source => {
    const states = []
    await source.runMigrations()
    states.push(await side.catalog())
    for (let undone = 0; undone < migrations.length; undone++) {
      await source.undoLastMigration()
      states.push(await side.catalog())
    }
    assert(states[0].length > 20)
    assert.deepEqual(states[4].map(row => row.table), ['migrations', 'migrations'])
    return states
  })
}

// Entities

const generated = { type: 'int', primary: true, generated: 'increment' }

const first = () => ({
  shop: {
    columns: { id: generated, name: { type: 'text', unique: true }, region: { type: 'text' } },
    indices: [{ columns: ['region'] }]
  },
  product: {
    columns: {
      id: generated,
      sku: { type: 'varchar', unique: true },
      price: { type: 'numeric' },
      position: { type: 'int' }
    },
    relations: {
      shop: { type: 'many-to-one', target: 'shop', nullable: false },
      parent: { type: 'many-to-one', target: 'product' },
      labels: { type: 'many-to-many', target: 'label', joinTable: true },
      detail: { type: 'one-to-one', target: 'detail', joinColumn: true }
    },
    uniques: [{ columns: ['shop', 'position'] }],
    indices: [{ columns: ['price', 'position'] }, { name: 'cheap', columns: ['price'], where: 'price < 1' }],
    checks: [{ expression: 'price >= 0' }, { name: 'position_in_reach', expression: 'position < 100' }]
  },
  label: { columns: { language: { type: 'text', primary: true }, word: { type: 'text', primary: true } } },
  detail: {
    columns: { id: generated, period: { type: 'daterange' } },
    exclusions: [{ expression: 'USING gist (period WITH &&)' }]
  }
})

function second () {
  const entities = first()
  delete entities.shop.columns.name.unique
  entities.shop.columns.code = { type: 'text', unique: true, nullable: true }
  entities.product.uniques = [{ columns: ['position', 'sku'] }]
  entities.product.indices = [{ columns: ['position'] }]
  entities.product.checks = [{ expression: 'price > 0' }]
  delete entities.product.relations.parent
  entities.label.columns.word.type = 'varchar'
  entities.order = {
    columns: { id: generated },
    relations: { product: { type: 'many-to-one', target: 'product', onDelete: 'CASCADE' } }
  }
  return entities
}

const schemas = entities => Object.entries(entities).map(([name, options]) => new EntitySchema({ name, ...options }))

/** Brings the database to both states, one after the other; answers with the catalogs. */
async function synchronized (side) {
  const states = []
  for (const entities of [first(), second(), first()]) {
    await withSource(side, { entities: schemas(entities) }, async source => {
      const statements = await pending(source)
      assert(statements.length > 0)
      await source.synchronize()
      assert.deepEqual(await pending(source), [])
      await source.synchronize()
      states.push(await side.catalog())
    })
  }
  return states
}

/** Names by all columns, for applications that are to follow the convention. */
class AllColumns extends DefaultNamingStrategy {
  name (table, columns, suffix) {
    return [this.getTableName(table).split('.').pop(), ...columns, suffix].join('_')
  }

  primaryKeyName (table) { return this.name(table, [], 'pkey') }
  uniqueConstraintName (table, columns) { return this.name(table, columns, 'key') }
  relationConstraintName (table, columns) { return this.name(table, columns, 'key') }
  foreignKeyName (table, columns) { return this.name(table, columns, 'fkey') }
  indexName (table, columns) { return this.name(table, columns, 'idx') }
  checkConstraintName (table, expression) { return this.name(table, expression.match(/[a-z]+/g).slice(0, 1), 'check') }
  exclusionConstraintName (table) { return this.name(table, ['period'], 'excl') }
}

/** The strategy again, without a state whose names were chosen by hand. */
function unnamed (entities) {
  for (const list of [entities.product.indices, entities.product.checks]) {
    for (const item of list) delete item.name
  }
  entities.product.indices = entities.product.indices.slice(0, 1)
  return entities
}

suite({
  client: 'typeorm',
  define ({ both, named }) {
    both('migrations up and down', upAndDown)
    both('migrations up and down, all columns', upAndDown, "'all_columns'")
    both('synchronize has nothing to do the second time', synchronized)
    both('synchronize has nothing to do the second time, all columns', synchronized, "'all_columns'")

    named('each name is reported', async side => {
      const messages = []
      side.observer.on('notice', message => messages.push(message))
      const statements = await withSource(side, { entities: schemas(first()) }, pending)
      for (const statement of statements) await side.query(statement)
      const reported = messages.filter(({ severity }) => severity === 'WARNING')
        .map(({ code, message }) => `${code} ${/^name "(.*?)"/.exec(message)[1]}`)
      const violations = await side.query("SELECT '42602 ' || name AS name FROM orm_ext.naming_violations")
      assert.deepEqual(reported.sort(), violations.map(({ name }) => name).sort())
      assert(reported.length > 15)
    })

    named('a naming strategy that follows the convention', async side => {
      side.convention("'all_columns'")
      const options = { namingStrategy: new AllColumns(), extra: { options: '-c orm_ext.naming_check=error' } }
      await withSource(side, { entities: schemas(unnamed(first())), ...options }, async source => {
        await source.synchronize()
        assert.deepEqual(await pending(source), [])
      })
      assert.deepEqual(await side.query('SELECT name, expected FROM orm_ext.naming_violations'), [])
    })
  }
})
