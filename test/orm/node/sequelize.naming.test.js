'use strict'

/*
 * Sequelize's migrations, unchanged, and its sync().  A unique key of one column, and a primary
 * key, it leaves to PostgreSQL to name; what it names itself are other indexes and constraints.
 */

const assert = require('node:assert/strict')
const { DataTypes, Sequelize } = require('sequelize')
const { suite } = require('./names')

async function withSequelize (side, work, log = false) {
  const { host, port, user, database } = side.connection
  const sequelize = new Sequelize(database, user, '', { dialect: 'postgres', host, port, logging: log })
  try {
    return await work(sequelize)
  } finally {
    await sequelize.close()
  }
}

// Migrations

const id = { type: DataTypes.INTEGER, primaryKey: true, autoIncrement: true }
const key = (model, column = 'id') => ({ references: { model, key: column }, onDelete: 'CASCADE' })

const migrations = [{
  async up (queryInterface) {
    await queryInterface.createTable('accounts', {
      id,
      email: { type: DataTypes.STRING, unique: true },
      region: DataTypes.STRING,
      owner_id: { type: DataTypes.INTEGER, ...key('accounts') }
    })
    await queryInterface.createTable('memberships', {
      account_id: { type: DataTypes.INTEGER, primaryKey: true, ...key('accounts') },
      group_id: { type: DataTypes.INTEGER, primaryKey: true },
      since: DataTypes.DATEONLY
    })
  },
  async down (queryInterface) {
    await queryInterface.dropTable('memberships')
    await queryInterface.dropTable('accounts')
  }
}, {
  async up (queryInterface) {
    await queryInterface.addIndex('accounts', ['region'])
    await queryInterface.addIndex('accounts', ['region', 'email'], { unique: true, name: 'accounts_by_region' })
    await queryInterface.addIndex('memberships', { fields: [{ name: 'since', order: 'DESC' }], where: { group_id: 1 } })
    await queryInterface.addConstraint('accounts', { type: 'unique', fields: ['region', 'owner_id'] })
    await queryInterface.addConstraint('accounts', { type: 'check', fields: ['region'], where: { region: ['n', 's'] } })
    await queryInterface.addConstraint('memberships', {
      type: 'foreign key', fields: ['group_id'], name: 'memberships_of', references: { table: 'accounts', field: 'id' }
    })
    await queryInterface.addColumn('accounts', 'code', { type: DataTypes.STRING, unique: true })
  },
  async down (queryInterface) {
    await queryInterface.removeConstraint('accounts', 'accounts_code_key')
    await queryInterface.removeColumn('accounts', 'code')
    await queryInterface.removeConstraint('memberships', 'memberships_of')
    await queryInterface.removeConstraint('accounts', 'accounts_region_ck')
    await queryInterface.removeConstraint('accounts', 'accounts_region_owner_id_uk')
    await queryInterface.removeIndex('memberships', ['since'])
    await queryInterface.removeIndex('accounts', 'accounts_by_region')
    await queryInterface.removeIndex('accounts', ['region'])
  }
}, {
  async up (queryInterface) {
    // By the names that PostgreSQL gives.
    await queryInterface.removeConstraint('accounts', 'accounts_email_key')
    await queryInterface.removeConstraint('accounts', 'accounts_owner_id_fkey')
    await queryInterface.removeConstraint('memberships', 'memberships_pkey')
    await queryInterface.addConstraint('memberships', { type: 'primary key', fields: ['group_id', 'account_id'] })
    await queryInterface.renameColumn('accounts', 'owner_id', 'parent_id')
    await queryInterface.changeColumn('accounts', 'email', { type: DataTypes.TEXT, unique: true })
    await queryInterface.changeColumn('accounts', 'parent_id', { type: DataTypes.INTEGER, ...key('accounts') })
    await queryInterface.renameTable('accounts', 'customers')
  },
  async down (queryInterface) {
    await queryInterface.renameTable('customers', 'accounts')
    await queryInterface.removeConstraint('accounts', 'accounts_parent_id_fkey')
    await queryInterface.renameColumn('accounts', 'parent_id', 'owner_id')
    await queryInterface.removeConstraint('memberships', 'memberships_group_id_account_id_pk')
  }
}]

function upAndDown (side) {
  return withSequelize(side, async sequelize => {
    const queryInterface = sequelize.getQueryInterface()
    const states = []
    for (const { up } of migrations) {
      await up(queryInterface)
      states.push(await side.catalog())
    }
    for (const { down } of [...migrations].reverse()) {
      await down(queryInterface)
      states.push(await side.catalog())
    }
    assert(states[2].length > 15)
    assert.deepEqual(states.at(-1), [])
    return states
  })
}

// Models

function define (sequelize, composite) {
  const Account = sequelize.define('account', {
    email: { type: DataTypes.STRING, unique: true },
    first: { type: DataTypes.STRING, unique: composite && 'whole_name' },
    last: { type: DataTypes.STRING, unique: composite && 'whole_name' }
  }, { underscored: true, indexes: [{ fields: ['last', 'first'] }, { fields: ['created_at'], name: 'accounts_new' }] })
  const Team = sequelize.define('team', {
    title: { type: DataTypes.STRING, unique: true }, points: DataTypes.INTEGER
  }, { underscored: true, indexes: [{ fields: ['points'], where: { title: 'x' } }] })
  Account.belongsTo(Account, { as: 'boss' })
  Account.belongsToMany(Team, { through: 'account_teams' })
  Team.belongsToMany(Account, { through: 'account_teams' })
}

const DDL = /^Executing.*: (CREATE (?!TABLE IF NOT EXISTS)|ALTER|DROP)/

/** sync() again and again, the last times with alter. */
const synced = composite => side => {
  const log = []
  return withSequelize(side, async sequelize => {
    define(sequelize, composite)
    const states = []
    for (const options of [{}, {}, { alter: true }, { alter: true }]) {
      log.length = 0
      await sequelize.sync(options)
      states.push(await side.catalog(), log.filter(line => DDL.test(line)).map(line => line.replace(/^.*?: /, '')))
    }
    assert(states[0].length > 12)
    assert.deepEqual(states[3], [])
    return states
  }, line => log.push(line))
}

suite({
  client: 'sequelize',
  define ({ both, named }) {
    both('migrations up and down', upAndDown)
    both('migrations up and down, all columns', upAndDown, "'all_columns'")
    both('sync has nothing to do the second time', synced(false))
    both('sync with keys of several columns, all columns', synced(true), "'all_columns'")

    named('sync with keys of several columns', async side => {
      await synced(true)(side)
      const keys = await side.names('u')
      assert(keys.includes('accounts_first_key'), keys)
    })
  }
})
