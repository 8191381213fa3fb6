'use strict'

/*
 * Plays what ../table describes, in each of the databases that the arguments name: directly, and
 * once more through the pooler, with the client's prepared statements.  Prints one line for each
 * feature: database, feature, answer.
 */

const assert = require('node:assert/strict')

const FEATURES = ['crud', 'relations', 'bulk_delete', 'transactions', 'lock', 'upsert', 'pages']

const print = (...fields) => console.log(fields.join('\t'))

function connection (database, port) {
  return { host: process.env.PGHOST, port: Number(port), user: process.env.PGUSER, database }
}

async function answerOf (scenario, handle) {
  try {
    return await scenario(handle)
  } catch (error) {
    process.exitCode = 1
    console.log(error.stack.split('\n').slice(0, 8).map(line => `# ${line}`).join('\n'))
    return { error: error.message }
  }
}

async function direct (client, database) {
  const answers = {}
  const handle = await client.open(connection(database, process.env.PGPORT), { prepare: true })
  print(database, 'schema', JSON.stringify(await answerOf(client.schema, handle)))
  for (const feature of FEATURES.filter(name => client[name])) {
    answers[feature] = await answerOf(client[feature], handle)
    print(database, feature, JSON.stringify(answers[feature]))
  }
  await client.clear(handle)
  await client.close(handle)
  return answers
}

/** Everything again, by other sessions in each transaction. */
async function pooled (client, database, answers) {
  const prepare = process.env.ORM_EXT_POOLER_PREPARES === 'yes'
  const handle = await client.open(connection(database, process.env.ORM_EXT_POOLER_PORT), { prepare })
  const answer = await answerOf(async () => {
    for (const [feature, expected] of Object.entries(answers)) {
      assert.deepEqual(await client[feature](handle), expected)
    }
    return client.prepared(handle)
  }, handle)
  print(database, 'pgbouncer', JSON.stringify(answer))
  await client.close(handle)
}

/**
 * Plays a client: one function for each feature, with
 *
 *   packages  whose versions are told
 *   open      (connection, { prepare }) => handle, which the others get
 *   schema    makes the tables, by the client's own migrations
 *   clear     deletes all rows
 *   prepared  looks for one row again and again
 *   close
 *   notes     { feature: what to know of it }; of a feature that there is not, why not
 */
async function play (client) {
  for (const name of client.packages) {
    console.log(`# ${name} ${require(`./node_modules/${name}/package.json`).version}`)
  }
  for (const [feature, text] of Object.entries(client.notes || {})) print('note', feature, text)
  for (const database of process.argv.slice(2)) {
    const answers = await direct(client, database)
    if (process.env.ORM_EXT_POOLER_PORT) await pooled(client, database, answers)
  }
}

/** The word for an error of this class, and only of this one. */
async function refused (promise, word, expected) {
  await assert.rejects(promise, expected)
  return word
}

const BY_HAND = 'By hand: the version in `WHERE`, and the count.'
const DIFFS = '[Schema diffs](doc/orms.md#schema-diffs).'
const UNNAMED = 'Prepared without a name, for which any pgbouncer will do.'

/** Looks for a row twelve times, which is deleted after the sixth and made again after the ninth. */
async function lookups (find, remove, create) {
  const found = []
  await create()
  for (let i = 1; i <= 12; i++) {
    found.push(await find())
    if (i === 6) await remove()
    if (i === 9) await create()
  }
  return found
}

module.exports = { BY_HAND, DIFFS, UNNAMED, lookups, play, refused }
