# ActiveRecord's migrations, unchanged, in a database whose names are looked after.
#
# Each is played there and in a native database, up and down again.  After every step both
# must have the same names in their catalogs and dump the same schema.rb.

require 'stringio'
require_relative 'twin'
include Twin::Assertions

SUPERUSER = ENV.fetch('ORM_EXT_SUPERUSER', 'postgres')
Migration = ActiveRecord::Migration[6.1]
SINCE = ->(version) { ActiveRecord.version >= Gem::Version.new(version) }

# Kind, table, name and definition.
CATALOG = <<~SQL.freeze
  SELECT contype::text, conrelid::regclass::text, conname::text, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
  UNION ALL
  SELECT 'i', tablename::text, indexname::text, indexdef FROM pg_indexes WHERE schemaname = 'public'
  ORDER BY 1, 2, 3
SQL

class Names < Twin::Side
  attr_reader :warnings
  attr_accessor :settings

  def self.native
    new('native')
  end

  def self.named
    new('named')
  end

  def use
    connect
    @warnings = []
    connection = ActiveRecord::Base.connection
    connection.raw_connection.set_notice_processor { |message| @warnings << message }
    connection.execute(settings) if settings
    yield connection
  end

  def empty
    use { sql('DROP SCHEMA public CASCADE; CREATE SCHEMA public') }
  end

  def convention(call)
    system('psql', '-XAtqU', SUPERUSER, '-c', "SELECT orm_ext.use_naming(#{call})", name,
           out: File::NULL, exception: true)
  end

  # In a transaction, as db:migrate does.
  def migrate(migration, direction)
    use { |connection| connection.transaction { migration.migrate(direction) } }
  end

  # What is there now, and what a new schema.rb would say.
  def state
    use do |connection|
      dump = StringIO.new
      pool = ActiveRecord::Base.connection_pool
      ActiveRecord::SchemaDumper.dump(SINCE['7.2'] ? pool : connection, dump)
      [connection.select_rows(CATALOG), without_extension(dump.string)]
    end
  end
end

# The dump names the extension, and in newer versions its schema.
def without_extension(dump)
  dump.sub(/^ *enable_extension "orm_ext"\n/, '').sub(/^ *create_schema "orm_ext"\n\n?/, '')
end

SIDES = [Names.native, Names.named].freeze
SCENARIOS = []

# The scenario gets the native side and the other one, both empty.
def scenario(title, &body)
  SCENARIOS << [title, body]
end

def same_state
  expected, outcome = SIDES.map(&:state)
  equal(outcome, expected)
  expected
end

# All up, all down, and the dump of the whole loaded again.
def up_and_down(*migrations)
  migrations.each do |migration|
    SIDES.each { |side| side.migrate(migration, :up) }
    same_state
  end
  dump = same_state.last
  migrations.reverse_each do |migration|
    SIDES.each { |side| side.migrate(migration, :down) }
    same_state
  end
  equal(same_state.first, [])
  SIDES.each { |side| side.use { eval(dump) } } # as db:schema:load does
  same_state
end

class CreateTables < Migration
  def change
    create_table :forums do |t|
      t.string :title, null: false, index: { unique: true }
      t.references :parent, foreign_key: { to_table: :forums }
      t.integer :position, null: false, default: 0
      t.check_constraint 'position >= 0', name: 'forums_position_not_negative'
      t.check_constraint 'id <> parent_id'
      t.timestamps
    end
    create_table :topics do |t|
      t.belongs_to :forum, null: false, foreign_key: { on_delete: :cascade }
      t.references :subject, polymorphic: true
      t.string :slug
      t.integer :views
      t.index %i[forum_id slug], unique: true
      t.index 'lower((slug)::text)', name: 'topics_by_slug'
      t.index :views, where: 'views > 0', order: { views: :desc }
    end
    create_table :tags, id: false do |t|
      t.string :code, primary_key: true
      t.string :label
    end
    create_join_table :forums, :topics do |t|
      t.index %i[topic_id forum_id], unique: true
    end
    create_table :translations, primary_key: %i[locale key] do |t|
      t.string :locale, :key, null: false
      t.text :value
    end
    create_table :subscription_renewal_reminders_of_last_month do |t|
      t.references :forum, index: { name: 'index_reminders_on_forum' }, foreign_key: true
      t.string :channel_of_delivery
      t.index %i[forum_id channel_of_delivery], name: 'index_reminders_on_forum_and_channel'
    end
  end
end

class ChangeTables < Migration
  def change
    add_column :topics, :score, :decimal
    add_index :topics, :score
    add_index :topics, %i[score views], name: 'topics_score'
    add_reference :topics, :tag, type: :string, foreign_key: { primary_key: :code }
    add_foreign_key :forums_topics, :forums
    add_foreign_key :forums_topics, :topics, name: 'forums_topics_topic'
    add_check_constraint :topics, 'views >= 0'
    add_check_constraint :topics, 'views < 1000000', name: 'topics_views_small'
    change_table :forums, bulk: true do |t|
      t.string :kind, :note
    end
    add_index :forums, :kind
    change_column_null :topics, :slug, false
  end
end

class Rename < Migration
  def change
    rename_column :topics, :score, :rating
    rename_index :topics, 'topics_score', 'topics_rating'
    rename_table :topics, :threads
    rename_table :translations, :texts
    rename_column :forums, :kind, :category
    rename_table :forums, :boards
    rename_table :tags, :labels
  end
end

class Remove < Migration
  def change
    remove_index :threads, :rating
    remove_foreign_key :threads, :boards, column: :forum_id, on_delete: :cascade
    remove_check_constraint :threads, 'views < 1000000', name: 'topics_views_small'
    remove_reference :threads, :subject, polymorphic: true, index: true
    remove_column :boards, :note, :string
    drop_table :subscription_renewal_reminders_of_last_month do |t|
      t.references :forum, index: { name: 'index_reminders_on_forum' }, foreign_key: { to_table: :boards }
      t.string :channel_of_delivery
    end
  end
end

# Statements without a name, and the names that PostgreSQL gives.
class WithSql < Migration
  def up
    create_table :parts do |t|
      t.string :code
      t.bigint :parent_id
    end
    execute 'ALTER TABLE parts ADD UNIQUE (code), ADD CHECK (parent_id > 0), ' \
            'ADD FOREIGN KEY (parent_id) REFERENCES parts'
    execute 'CREATE INDEX ON parts (parent_id)'
  end

  def down
    remove_index :parts, name: 'parts_parent_id_idx'
    remove_foreign_key :parts, name: 'parts_parent_id_fkey'
    remove_check_constraint :parts, name: 'parts_parent_id_check'
    execute 'ALTER TABLE parts DROP CONSTRAINT parts_code_key'
    drop_table :parts
  end
end

class WithCompositeSql < Migration
  def up
    create_table(:parts) { |t| t.integer :a, :b }
    execute 'ALTER TABLE parts ADD UNIQUE (a, b)'
  end

  def down
    execute 'ALTER TABLE parts DROP CONSTRAINT parts_a_b_key'
    drop_table :parts
  end
end

LONG = 'monthly_customer_subscription_renewal_summary_line_of_report'.freeze

class RenameLong < Migration
  def change
    create_table(LONG) { |t| t.integer :n }
    rename_table LONG, LONG.sub('monthly', 'weekly')
  end
end

# From 7.1 on.
class WithConstraints < Migration
  def change
    create_table :rooms do |t|
      t.integer :number, null: false
      t.integer :floor
      t.daterange :taken
      t.unique_constraint %i[number]
      t.exclusion_constraint 'taken WITH &&', using: :gist
    end
    add_unique_constraint :rooms, %i[floor number], deferrable: :deferred, name: 'rooms_by_floor'
    add_exclusion_constraint :rooms, 'taken WITH -|-', using: :gist, name: 'rooms_with_a_break'
    remove_unique_constraint :rooms, %i[number]
  end
end

def everything
  up_and_down(CreateTables, ChangeTables, Rename, Remove)
end

scenario 'migrations up and down' do |_, named|
  everything
  named.empty
  named.migrate(CreateTables, :up)
  reported = named.warnings.map { |message| message[/\AWARNING:  name "(.*?)" of/, 1] }.compact
  %w[index_forums_on_title forums_position_not_negative index_reminders_on_forum].each do |name|
    raise Twin::Failure, "no warning of #{name}" unless reported.include?(name)
  end
end

scenario 'migrations up and down, all columns' do |_, named|
  named.convention("'all_columns'")
  everything
end

scenario 'migrations up and down, nothing checked' do |_, named|
  named.settings = 'SET orm_ext.naming_check = off'
  everything
  named.empty
  named.migrate(CreateTables, :up)
  equal(named.warnings, [])
end

# It renames the primary key after the table, and insists on finding it under the old name.
scenario 'rename_table is not for naming_follow' do |_, named|
  named.migrate(CreateTables, :up)
  named.migrate(ChangeTables, :up)
  named.settings = 'SET orm_ext.naming_follow = on'
  equal(sqlstate { named.migrate(Rename, :up) }, '42P01')
  named.settings = nil
  named.migrate(Rename, :up)
end

scenario 'SQL without names, and what PostgreSQL calls it' do
  up_and_down(WithSql)
end

scenario 'composite names of PostgreSQL: by all columns' do |_, named|
  named.migrate(WithCompositeSql, :up)
  equal(sqlstate { named.migrate(WithCompositeSql, :down) }, '42704')
  named.empty
  named.convention("'all_columns'")
  up_and_down(WithCompositeSql)
end

# rename_table wants the first 58 characters and _pkey; older ones fail on any server.
if SINCE['7.1']
  scenario 'names over the limit: as PostgreSQL shortens them' do |_, named|
    named.convention("'first_column', overflow => 'postgres'")
    up_and_down(RenameLong)
  end

  scenario 'constraints that newer versions know' do
    up_and_down(WithConstraints)
  end
end

ActiveRecord::Migration.verbose = false
passed = failed = 0
SCENARIOS.each do |title, body|
  SIDES.each(&:empty)
  SIDES.last.settings = nil
  SIDES.last.convention("'first_column'")
  body.call(*SIDES)
  passed += 1
  puts "ok - #{title}"
rescue StandardError => e
  failed += 1
  puts "not ok - #{title}"
  puts "#{e.class}: #{e.message}\n#{(e.backtrace || []).first(12).join("\n")}".gsub(/^/, '# ')
end
puts "#{passed} passed, #{failed} failed"
exit failed.zero?
