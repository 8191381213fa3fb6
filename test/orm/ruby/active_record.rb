# ActiveRecord's optimistic locking (lock_version), touch, counter caches and timestamps, and
# the gem paranoia, where it is installed.

require_relative 'twin'
include Twin::Assertions

# After the gem's own, for a file that may be missing there.
$LOAD_PATH.push(__dir__)
begin
  require 'paranoia'
rescue LoadError => e
  puts "# left out: paranoia: #{e.message}"
end

puts "# activerecord #{ActiveRecord::VERSION::STRING}"
puts "# pg #{PG::VERSION}"

OWN_BIN_ROLE = 'shop_with_own_bin'

class Author < ActiveRecord::Base
  has_many :posts, dependent: :destroy
end

class Post < ActiveRecord::Base
  belongs_to :author, touch: true, counter_cache: true
  has_many :remarks
end

class Remark < ActiveRecord::Base
  belongs_to :post
end

if defined?(Paranoia)
  class Page < ActiveRecord::Base
    acts_as_paranoid
  end
end

TRIGGERS = {
  'authors' => ["stamp('version=lock_version', 'created=created_at', 'updated=updated_at', " \
                "'ignore=posts_count', 'zone=utc')"],
  'posts' => ["version('lock_version')", "timestamps('created_at', 'updated_at', 'zone=utc')"],
  'remarks' => ["timestamps('created_at', 'updated_at', 'zone=utc')"],
  # paranoia writes its mark around the version.
  'pages' => ["stamp('version=lock_version', 'created=created_at', 'updated=updated_at', " \
              "'ignore=deleted_at', 'zone=utc')"]
}.freeze

Twin.tables = TRIGGERS.keys

def create_tables(connection)
  connection.create_table(:authors) do |t|
    t.string :name
    t.integer :posts_count, null: false, default: 0
    t.integer :lock_version, default: 0
    t.timestamps precision: 6
  end
  connection.create_table(:posts) do |t|
    t.references :author
    t.string :title, index: { unique: true }
    t.boolean :public, null: false, default: false
    t.integer :likes, null: false, default: 0
    t.integer :lock_version, null: false, default: 0
    t.timestamps precision: 6
  end
  connection.create_table(:remarks) do |t|
    t.references :post
    t.string :body
    t.timestamps precision: 6
  end
  connection.create_table(:pages) do |t|
    t.string :title
    t.datetime :deleted_at, precision: 6
    t.integer :lock_version, null: false, default: 0
    t.timestamps precision: 6
  end
end

def declare(connection)
  TRIGGERS.each do |table, functions|
    functions.each_with_index do |function, i|
      connection.execute("CREATE TRIGGER zz_stamp_#{i} BEFORE INSERT OR UPDATE ON #{table} " \
                         "FOR EACH ROW EXECUTE FUNCTION orm_ext.#{function}")
    end
  end
end

ActiveRecord::Migration.verbose = false
%w[plain managed].each do |kind|
  side = Twin::Side.new(kind)
  side.connect
  create_tables(ActiveRecord::Base.connection)
  declare(ActiveRecord::Base.connection) if side.managed?
end

Twin.seed = lambda do
  ann = Author.create!(name: 'ann')
  Post.create!(title: 'first', author: ann)
  Post.create!(title: 'second', author: ann)
  Page.create!(title: 'page') if defined?(Page)
end

def post
  Post.find_by!(title: 'first')
end

def versions(*records)
  records.map { |record| [record.lock_version, record.class.find(record.id).lock_version] }
end

# --- lock_version -------------------------------------------------------------------------

Twin.twin 'save counts from 0' do
  row = Post.create!(title: 'new')
  numbers = [row.lock_version] + %w[a b c].map { |title| row.update!(title: title) && row.lock_version }
  equal(numbers, [0, 1, 2, 3])
  versions(row)
end

Twin.twin 'a stale save' do |side|
  row = post
  side.elsewhere { post.update!(title: 'theirs') }
  answer = stale { row.update!(title: 'mine') }
  row.reload.update!(title: 'mine')
  [answer, row.title, versions(row)]
end

Twin.twin 'a stale save that had to wait' do |side|
  row = post
  waiting = nil
  Post.transaction do
    post.update!(title: 'theirs')
    waiting = side.waits { row.update!(title: 'mine') }
  end
  stale { waiting.value }
end

Twin.twin 'a save that had to wait for one that was rolled back' do |side|
  row = post
  waiting = nil
  Post.transaction do
    post.update!(title: 'theirs')
    waiting = side.waits { row.update!(title: 'mine') }
    raise ActiveRecord::Rollback
  end
  waiting.join
  [row.title, versions(row)]
end

Twin.twin 'a stale destroy' do |side|
  row = post
  side.elsewhere { post.update!(title: 'theirs') }
  answer = stale { row.destroy! }
  row.reload.destroy!
  [answer, Post.count]
end

Twin.twin 'a stale touch' do |side|
  row = post
  side.elsewhere { post.update!(title: 'theirs') }
  stale { row.touch }
end

Twin.twin 'the version comes back with a form' do
  row = post
  form = { lock_version: row.lock_version, title: 'from the form' }
  row.update!(title: 'theirs')
  stale { Post.find(row.id).update!(form) }
end

Twin.twin 'nothing changed, nothing sent' do
  row = post
  row.save!
  versions(row)
end

Twin.twin 'a transaction that is rolled back' do
  row = post
  Post.transaction do
    row.update!(title: 'undone')
    raise ActiveRecord::Rollback
  end
  # ActiveRecord does not take its own count back.
  answer = stale { row.update!(title: 'done') }
  row.reload.update!(title: 'done')
  [answer, versions(row)]
end

Twin.twin 'several saves in a transaction, a savepoint among them' do
  row = post
  Post.transaction do
    row.update!(title: 'a')
    Post.transaction(requires_new: true) { row.update!(title: 'b') }
    row.update!(title: 'c')
  end
  versions(row)
end

Twin.twin 'update_attribute, toggle!, lock' do
  row = post
  row.update_attribute(:title, 'a')
  row.toggle!(:public)
  row.with_lock { row.update!(title: 'b') }
  versions(row)
end

Twin.twin 'rows from before there was a version' do |side|
  side.sql('ALTER TABLE authors DISABLE TRIGGER USER')
  side.sql('UPDATE authors SET lock_version = NULL')
  side.sql('ALTER TABLE authors ENABLE TRIGGER USER')
  row = Author.first
  same = Author.first
  row.update!(name: 'a')
  row.update!(name: 'b')
  [stale { same.update!(name: 'c') }, versions(row)]
end

# --- touch and counters -------------------------------------------------------------------

Twin.twin 'touch moves updated_at and the version' do
  row = post
  before = row.updated_at
  row.touch
  [row.updated_at > before, row.reload.updated_at > before, versions(row)]
end

Twin.twin 'touch with a time' do
  row = post
  row.touch(time: Time.utc(2001, 2, 3, 4, 5, 6))
  [row.reload.updated_at, versions(row)]
end

Twin.twin 'belongs_to touch: true' do
  row = post
  author = row.author
  before = author.updated_at
  row.update!(title: 'changed')
  [author.updated_at > before, author.reload.updated_at > before, versions(row, author)]
end

Twin.twin 'belongs_to touch: true, the parent being stale' do |side|
  row = post
  row.author
  side.elsewhere { Author.first.update!(name: 'theirs') }
  answer = stale { row.update!(title: 'mine') }
  [answer, post.title, Author.first.lock_version]
end

Twin.twin 'counter_cache' do
  author = Author.first
  author.posts.create!(title: 'third')
  author.posts.first.destroy!
  [Author.first.posts_count, Author.first.lock_version]
end

Twin.twin 'increment_counter, update_counters, reset_counters' do |side|
  Post.increment_counter(:likes, 1)
  Post.decrement_counter(:likes, 1, touch: true)
  Post.update_counters(1, likes: 7)
  Author.increment_counter(:posts_count, 1)
  Author.reset_counters(1, :posts)
  [Post.find(1).likes, Post.find(1).lock_version, Author.first.posts_count, Author.first.lock_version]
end

Twin.twin 'increment!' do
  row = post
  row.increment!(:likes)
  [row.likes, Post.find(row.id).likes, versions(row)]
end

Twin.twin 'update_all with a hash counts; who read before is stale' do |side|
  row = post
  side.elsewhere { Post.where(title: 'first').update_all(title: 'bulk') }
  [stale { row.update!(title: 'mine') }, post_titles, Post.pluck(:lock_version).sort]
end

def post_titles
  Post.order(:title).pluck(:title)
end

Twin.twin 'touch_all' do
  Post.touch_all
  Post.order(:id).pluck(:lock_version)
end

Twin.twin 'destroy with dependent: :destroy' do
  # Each post that goes counts in the author's row as well: read it again for its own turn.
  author = Author.first
  author.posts.destroy_all
  author.reload.destroy!
  [Author.count, Post.count]
end

Twin.twin 'delete and delete_all do not look at the version' do |side|
  row = post
  side.elsewhere { post.update!(title: 'theirs') }
  row.delete
  [Post.where(title: 'second').delete_all, Post.count]
end

Twin.twin 'insert_all with all there is' do
  now = Time.utc(2026, 1, 1)
  Post.insert_all([{ title: 'third', created_at: now, updated_at: now }])
  row = Post.find_by!(title: 'third')
  row.update!(title: 'third, again')
  [row.created_at, versions(row)]
end

# --- what ActiveRecord does not count, but the server does --------------------------------

Twin.managed 'psql is noticed' do |side|
  row = post
  side.psql("UPDATE posts SET title = 'psql' WHERE id = #{row.id}")
  stale { row.update!(title: 'mine') }
  stale { row.touch }
  stale { row.destroy! }
  row.reload.update!(title: 'mine')
  equal(versions(row), [[2, 2]])
end

Twin.managed 'psql is not noticed where nothing that counts has changed' do |side|
  author = Author.first
  side.psql('UPDATE authors SET posts_count = 9, name = name')
  author.update!(name: 'mine')
  equal(versions(author), [[author.lock_version, author.lock_version]])
end

Twin.managed 'update_all with a string is noticed' do |side|
  row = post
  side.elsewhere { Post.update_all("title = title || '!'") }
  stale { row.update!(title: 'mine') }
end

Twin.managed 'upsert_all is noticed' do |side|
  row = post
  now = Time.now
  side.elsewhere do
    Post.upsert_all([{ title: 'first', likes: 5, created_at: now, updated_at: now }], unique_by: :title)
  end
  stale { row.update!(title: 'mine') }
  row.reload
  equal([row.likes, row.lock_version], [5, 1])
  equal(row.created_at < now, true)
  row.update!(title: 'mine')
end

Twin.managed 'upsert_all and insert_all without times' do
  Post.upsert_all([{ title: 'third', likes: 1 }, { title: 'first', likes: 2 }], unique_by: :title)
  Post.insert_all([{ title: 'fourth' }])
  equal(Post.order(:id).pluck(:title, :lock_version), [['first', 1], ['second', 0], ['third', 0], ['fourth', 0]])
  equal(Post.where('created_at IS NULL OR updated_at < created_at').count, 0)
end

Twin.managed 'update_columns is noticed, in its own object too' do |side|
  row = post
  same = post
  same.update_columns(title: 'around')
  stale { row.update!(title: 'mine') }
  stale { same.update!(title: 'mine') }
  same.reload.update!(title: 'mine')
  author = Author.first
  Author.where(id: author.id).update_all('posts_count = 12')
  author.update!(name: 'mine')
end

Twin.managed 'a version that goes back' do |side|
  row = post
  row.update!(title: 'a')
  equal(sqlstate { Post.where(id: row.id).update_all(title: 'b', lock_version: 0) }, 'OE001')
end

Twin.managed 'times: psql moves them, in UTC, and created_at stays' do |side|
  row = post
  created, updated = row.created_at, row.updated_at
  side.psql("UPDATE posts SET title = 'psql', created_at = now() + interval '1 year' WHERE id = #{row.id}")
  row.reload
  equal(row.created_at, created)
  equal(row.updated_at > updated && row.updated_at < Time.now + 5, true)
  side.psql("INSERT INTO posts (title) VALUES ('from psql')")
  row = Post.find_by!(title: 'from psql')
  equal((row.created_at - Time.now).abs < 60 && row.updated_at == row.created_at, true)
end

Twin.managed 'times: a write to an ignored column moves nothing' do |side|
  author = Author.first
  side.psql('UPDATE authors SET posts_count = posts_count + 1')
  equal(Author.first.updated_at, author.updated_at)
end

# --- for what is written without the version ----------------------------------------------

Twin.managed 'orm_ext.expected_version' do |side|
  row = post
  side.psql("UPDATE posts SET title = 'psql' WHERE id = #{row.id}")
  one = Post.where(id: row.id)
  writes = [-> { one.update_all("title = 'mine'") }, -> { one.delete_all }]
  writes.each do |write|
    state = sqlstate do
      Post.transaction { side.sql("SET LOCAL orm_ext.expected_version = '0'") && write.call }
    end
    equal(state, 'OE001')
  end
  Post.transaction { side.sql("SET LOCAL orm_ext.expected_version = '1'") && writes[0].call }
  Post.transaction { side.sql("SET LOCAL orm_ext.expected_version = '2'") && equal(writes[1].call, 1) }
end

Twin.managed 'orm_ext.stale_sqlstate: for code that tries again' do |side|
  raises(ActiveRecord::SerializationFailure) do
    Post.transaction do
      side.sql("SET LOCAL orm_ext.stale_sqlstate = '40001'")
      side.sql("SET LOCAL orm_ext.expected_version = '7'")
      Post.where(id: 1).update_all("title = 'mine'")
    end
  end
end

Twin.managed 'orm_ext.version_guard' do |side|
  guarded = lambda do |&block|
    Post.transaction { side.sql("SET LOCAL orm_ext.version_guard = 'error'") && block.call }
  end
  row = Author.create!(name: 'bob')
  guarded.call { row.update!(name: 'a') && row.touch && row.destroy! }
  # Counters are written by key, without a look at the version: a guard is for no table with them.
  equal(sqlstate { guarded.call { Post.increment_counter(:likes, 1) } }, 'OE002')
  equal(sqlstate { guarded.call { Post.where(id: 1).update_all(title: 'b') } }, 'OE002')
  equal(sqlstate { guarded.call { Post.where(id: 1).delete_all } }, 'OE002')
end

# --- paranoia ------------------------------------------------------------------------------

if defined?(Page)
  Twin.twin 'paranoia: destroy, restore, really_destroy!' do |side|
    row = Page.first
    row.update!(title: 'a')
    row.destroy!
    equal(Page.count, 0)
    Page.restore(row.id)
    row = Page.first
    row.update!(title: 'b')
    row.destroy!
    row.restore!
    row.update!(title: 'c')
    answer = versions(row)
    row.really_destroy!
    answer + [Page.with_deleted.count]
  end

  Twin.twin 'paranoia: a stale save, a stale really_destroy!' do |side|
    row = Page.first
    side.elsewhere { Page.first.update!(title: 'theirs') }
    [stale { row.update!(title: 'mine') }, stale { row.really_destroy! }, Page.count]
  end

  Twin.managed 'paranoia: psql is noticed' do |side|
    row = Page.first
    side.psql("UPDATE pages SET title = 'psql'")
    stale { row.update!(title: 'mine') }
  end

  # From here on the table is under soft delete as well: for psql, reports and others.
  Twin.managed 'paranoia beside soft_delete: the table is declared' do |side|
    side.sql("SELECT orm_ext.enable_soft_delete('pages')")
    Page.first.destroy!
    equal([Page.count, Page.with_deleted.count, side.psql('SELECT count(*) FROM pages')], [0, 0, '0'])
    equal(Page.only_deleted.count, 1)
  end

  Twin.twin 'paranoia beside soft_delete, for the role with a bin of its own', as: OWN_BIN_ROLE do |side|
    row = Page.first
    row.update!(title: 'a')
    row.destroy!
    equal([Page.count, Page.with_deleted.count], [0, 1])
    row.restore!
    row.update!(title: 'b')
    answer = versions(row)
    row.really_destroy!
    answer + [Page.with_deleted.count]
  end

  Twin.managed 'soft_delete: who read the row before it was deleted' do |side|
    row = Page.first
    side.psql("DELETE FROM pages WHERE id = #{row.id}")
    stale { row.update!(title: 'mine') }
    side.psql('UPDATE pages SET deleted_at = NULL')
    equal(Page.count, 1)
  end
end

Twin.run
