# ActiveRecord: bulk_upsert() next to upsert_all, and COPY through the connection beneath.
#
# Works in activerecord_managed, with the tables of ../products.sql: what the one leaves in
# products and the other in twins must be equal.

require 'active_record'
require 'bigdecimal'
require 'pg'
require_relative 'twin'
include Twin::Assertions

class Product < ActiveRecord::Base; end
class TwinProduct < ActiveRecord::Base
  self.table_name = 'twins'
end
class Customer < ActiveRecord::Base; end
class Draft < ActiveRecord::Base; end

# One that changes, one that is new, one that stays as it is, and another new.
ROWS = [
  { sku: 'pot', name: 'Pot', price: BigDecimal('21.50'), stock: 3 },
  { sku: 'mug', name: 'Mug', price: BigDecimal('4'), stock: 0 },
  { sku: 'cup', name: 'Cup', price: BigDecimal('5'), stock: 10 },
  { sku: 'jug', name: "Jug; 1 l, \"50%\"\t\\N", price: BigDecimal('9.99'), stock: 7 }
].freeze
COUNTS = [2, 1, 1, 0].freeze
COPY = "COPY products (sku, name, price, stock) FROM STDIN WITH (%s, on_conflict 'update', " \
       'conflict_columns (sku))'.freeze

def connection
  ActiveRecord::Base.connection
end

def bind(name, value, type = ActiveRecord::Type::String.new)
  ActiveRecord::Relation::QueryAttribute.new(name, value, type)
end

def upsert(rows, options = '')
  connection.exec_query("SELECT * FROM orm_ext.bulk_upsert('products', $1, ARRAY['sku'] #{options})", 'Upsert',
                        [bind('rows', rows.to_json)]).rows.first
end

def last_counts
  connection.select_rows('SELECT inserted, updated, unchanged, skipped FROM orm_ext.last_bulk_result()').first
end

# It updates whatever it is given.
def own_upsert(rows)
  TwinProduct.upsert_all(rows, unique_by: :sku)
end

SCENARIOS = []

def scenario(title, &body)
  SCENARIOS << [title, body]
end

scenario 'exec_query with JSON' do
  equal(upsert(ROWS), COUNTS)
  own_upsert(ROWS)
  equal(upsert(ROWS), [0, 0, 4, 0])
end

scenario 'select_one with a quoted literal' do
  counts = connection.select_one(
    "SELECT * FROM orm_ext.bulk_upsert('products', #{connection.quote(ROWS.to_json)}, '{sku}')"
  )
  equal(counts, 'inserted' => 2, 'updated' => 1, 'unchanged' => 1, 'skipped' => 0)
  own_upsert(ROWS)
end

scenario 'all types' do
  rows = [
    { sku: 'cup', name: 'Cup', active: false, tags: ['a', 'b, "c"', '\\', ''], details: { 'size' => [1, 2.5, nil] },
      released: Date.new(2026, 2, 28), seen_at: Time.utc(2026, 3, 1, 12, 30, 15, 123), note: "line\nline" },
    { sku: 'mug', name: '', active: true, tags: [], details: {}, released: Date.new(1970, 1, 1),
      seen_at: Time.utc(1970, 1, 1), note: '' }
  ]
  # ActiveSupport writes milliseconds, unless it is told otherwise.
  ActiveSupport::JSON::Encoding.time_precision = 6
  equal(upsert(rows), [1, 1, 0, 0])
  rows.each do |row|
    connection.execute(<<~SQL)
      INSERT INTO twins (#{row.keys.join(', ')})
      SELECT #{row.keys.join(', ')} FROM json_populate_record(NULL::twins, #{connection.quote(row.to_json)})
      ON CONFLICT (sku) DO UPDATE SET #{row.keys.map { |key| "#{key} = excluded.#{key}" }.join(', ')}
    SQL
  end
end

scenario 'rows with different keys, which upsert_all does not take' do
  rows = [{ sku: 'cup', note: nil }, { sku: 'mug', name: 'Mug' }, { sku: 'lid', stock: 5, tags: ['new'] }]
  raises(ArgumentError) { own_upsert(rows) }
  equal(upsert(rows), [1, 2, 0, 0])
  TwinProduct.find_by!(sku: 'cup').update!(note: nil)
  TwinProduct.create!(sku: 'mug', name: 'Mug')
  TwinProduct.find_by!(sku: 'lid').update!(stock: 5, tags: ['new'])
end

scenario 'duplicates, which upsert_all does not take' do
  rows = [ROWS[0], ROWS[1], ROWS[1].merge(name: 'Mug again')]
  equal(sqlstate { own_upsert(rows) }, '21000')
  equal(sqlstate { upsert(rows, ", on_duplicate => 'error'") }, '21000')
  equal(upsert(rows), [1, 1, 0, 1])
  own_upsert([rows[0], rows[2]])
end

scenario 'insert_all is on_conflict nothing' do
  equal(upsert(ROWS, ", on_conflict => 'nothing'"), [2, 0, 0, 2])
  TwinProduct.insert_all(ROWS, unique_by: :sku)
end

scenario 'created_at stays' do
  rows = ROWS.map { |row| row.merge(created_at: Time.utc(2026, 5, 5)) }
  equal(upsert(rows), COUNTS)
  own_upsert(ROWS)
  TwinProduct.where(sku: %w[mug jug]).update_all(created_at: Time.utc(2026, 5, 5))
end

scenario 'records come back in order' do
  records = Product.find_by_sql(
    ["SELECT (result).* FROM orm_ext.bulk_upsert_returning(NULL::products, ?, ARRAY['sku']) ORDER BY ordinal",
     ROWS.to_json]
  )
  equal(records.map(&:sku), ROWS.map { |row| row[:sku] })
  equal([records[2].id, records[2].tags], [1, %w[tea blue]])
  records[1].update!(stock: 12)
  records[3].destroy!
  own_upsert([ROWS[0], ROWS[1].merge(stock: 12), ROWS[2]])
end

scenario 'in a transaction that is rolled back' do
  Product.transaction do
    equal(upsert(ROWS), COUNTS)
    Product.transaction(requires_new: true) do
      upsert([{ sku: 'x', name: 'X' }])
      raise ActiveRecord::Rollback
    end
    equal(Product.where(sku: 'x').count, 0)
    raise ActiveRecord::Rollback
  end
end

scenario 'errors' do
  equal(raises(ActiveRecord::NotNullViolation) { upsert([{ sku: 'x' }]) }.message[/row 1/], 'row 1')
  raises(ActiveRecord::RecordNotUnique) { upsert([{ sku: 'x', name: 'X', id: 1 }]) }
  equal(sqlstate { upsert([{ sku: 'x', colour: 1 }]) }, '42703')
end

# As from a form in which many rows were edited.
scenario 'lock_version' do
  rows = Draft.order(:id).map { |draft| draft.slice(:id, :lock_version).merge(title: 'mine') }
  Draft.find(2).update!(title: 'theirs')
  answer = connection.exec_query(<<~SQL, 'Upsert', [bind('rows', rows.to_json)]).rows
    SELECT ordinal, action FROM orm_ext.bulk_upsert_returning(NULL::drafts, $1,
      version_column => 'lock_version')
  SQL
  equal(answer, [[1, 'updated'], [2, 'stale'], [3, 'updated']])
  equal(Draft.order(:id).pluck(:title), %w[mine theirs mine])
  draft = Draft.find(1)
  draft.update!(title: 'again')
  equal(draft.lock_version, rows[0]['lock_version'] + 2)
end

scenario 'a deleted row is revived' do
  connection.execute(<<~SQL)
    SELECT orm_ext.bulk_upsert('customers', '{"email": "ann@example.org", "name": "Ann again"}', '{email}',
      on_deleted => 'revive')
  SQL
  equal(Customer.order(:id).pluck(:id, :name), [[1, 'Ann again'], [2, 'Bob']])
end

def copy(options, lines)
  connection.raw_connection.copy_data(COPY % options) do
    lines.each { |line| connection.raw_connection.put_copy_data(line) }
  end
end

scenario 'copy_data: csv' do
  lines = ROWS.map { |row| row.values.map { |value| "\"#{value.to_s.gsub('"', '""')}\"" }.join(',') + "\n" }
  equal(copy('FORMAT csv', lines).cmd_tuples, 4)
  equal(last_counts, COUNTS)
  own_upsert(ROWS)
end

scenario 'copy_data: rows by the encoder' do
  raw = connection.raw_connection
  raw.copy_data(COPY % 'FORMAT text', PG::TextEncoder::CopyRow.new) do
    ROWS.each { |row| raw.put_copy_data(row.values.map(&:to_s)) }
  end
  equal(last_counts, COUNTS)
  own_upsert(ROWS)
end

scenario 'copy_data: a block that raises' do
  raises(RuntimeError) { copy('FORMAT csv', Enumerator.new { |lines| lines << "x,X,1,1\n" and raise 'no more' }) }
  equal(Product.count, 4)
end

# As gems have it that write the statement themselves.
scenario 'copy_data: the setting' do
  statement = 'COPY "products" ("id", "sku", "name") FROM STDIN'
  lines = ["2\tpot\tTeapot\n", "50\tmug\tMug\n"]
  import = lambda do
    connection.raw_connection.copy_data(statement) do
      lines.each { |line| connection.raw_connection.put_copy_data(line) }
    end
  end
  raises(PG::UniqueViolation, &import)
  Product.transaction do
    connection.execute("SET LOCAL orm_ext.copy_on_conflict = 'update'")
    import.call
  end
  equal(last_counts, [1, 1, 0, 0])
  own_upsert([{ sku: 'pot', name: 'Teapot' }, { sku: 'mug', name: 'Mug' }])
  raises(PG::UniqueViolation, &import)
end

side = Twin::Side.new('managed')
side.connect
system('psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', side.name, '-f', File.join(__dir__, '..', 'products.sql'),
       out: File::NULL, exception: true)
# Their times are as in the rows, whatever the version of ActiveRecord.
ActiveRecord::Base.record_timestamps = false

passed = failed = 0
SCENARIOS.each do |title, body|
  connection.execute('SELECT reset_products()')
  body.call
  equal(connection.select_rows('SELECT * FROM differences'), [])
  passed += 1
  puts "ok - #{title}"
rescue StandardError => e
  failed += 1
  puts "not ok - #{title}"
  puts "#{e.class}: #{e.message}\n#{(e.backtrace || []).first(12).join("\n")}".gsub(/^/, '# ')
end
puts "#{passed} passed, #{failed} failed"
exit failed.zero?
