'use strict'

/* The tables of Knex and Objection, by Knex' migrations. */

const migrations = {
  '1_tables': {
    async up (db) {
      await db.schema.createTable('authors', table => {
        table.increments('id')
        table.text('email').notNullable().unique()
        table.text('name').notNullable()
        table.integer('version').notNullable().defaultTo(1)
        table.timestamps(true, true)
        table.timestamp('deleted_at')
      })
      await db.schema.createTable('books', table => {
        table.increments('id')
        table.integer('author_id').notNullable().index().references('authors.id').onDelete('CASCADE')
        table.text('title').notNullable()
        table.integer('price').notNullable()
        table.timestamp('deleted_at')
      })
    },
    down: db => db.schema.dropTable('books').dropTable('authors')
  },
  '2_pages': {
    up: db => db.schema.alterTable('books', table => table.integer('pages')),
    down: db => db.schema.alterTable('books', table => table.dropColumn('pages'))
  }
}

const migrationSource = {
  getMigrations: async () => Object.keys(migrations),
  getMigrationName: name => name,
  getMigration: async name => migrations[name]
}

/** Up, down and up again. */
async function schema (db) {
  const states = []
  for (const step of ['latest', 'rollback', 'latest']) {
    const [, names] = await db.migrate[step]({ migrationSource })
    states.push([step, names, await db.schema.hasTable('books') && await db.schema.hasColumn('books', 'pages')])
  }
  return states
}

module.exports = { schema }
