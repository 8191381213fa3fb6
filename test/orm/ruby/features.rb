# ActiveRecord: models that know of no soft deletion, its migrations, lock_version.

require 'active_record'
require 'pg'
require_relative 'play'

puts "# activerecord #{ActiveRecord::VERSION::STRING}"
puts "# pg #{PG::VERSION}"

class Author < ActiveRecord::Base
  has_many :books, -> { order(:id) }, inverse_of: :author
end

class Book < ActiveRecord::Base
  belongs_to :author
end

class CreateTables < ActiveRecord::Migration[6.1]
  def change
    create_table :authors do |t|
      t.string :email, null: false, index: { unique: true }
      t.string :name, null: false
      t.integer :lock_version, null: false, default: 0
      t.timestamps
      t.datetime :deleted_at
    end
    create_table :books do |t|
      t.references :author, null: false, foreign_key: { on_delete: :cascade }
      t.string :title, null: false
      t.integer :price, null: false
      t.datetime :deleted_at
    end
  end
end

class AddPages < ActiveRecord::Migration[6.1]
  def change
    add_column :books, :pages, :integer
  end
end

class Rails
  include Play

  def connect(database, port, prepare)
    ActiveRecord::Base.establish_connection(
      adapter: 'postgresql', database: database, port: port, pool: 5, prepared_statements: prepare,
      # Needs a session of its own.
      advisory_locks: false)
  end

  # Up, down and up again.
  def schema
    ActiveRecord::Migration.verbose = false
    steps = [CreateTables, AddPages].map { |step| [step, :up] }
    (steps + [[AddPages, :down], [CreateTables, :down]] + steps).map do |step, direction|
      step.migrate(direction)
      ActiveRecord::Base.connection.tables.sort
    end
  ensure
    [Author, Book].each(&:reset_column_information)
  end

  def write(name, titles = [])
    Author.transaction(requires_new: true) do
      author = Author.create!(email: email(name), name: name)
      titles.each.with_index(1) { |title, price| author.books.create!(title: title, price: price) }
      author
    end
  end

  def find(name)
    Author.find_by(email: email(name))
  end

  def names(*of)
    Author.where(email: of.map { |name| email(name) }).order(:email).pluck(:name)
  end

  def crud
    write('Ann')
    write('Bob')
    ann = find('Ann')
    answer = [ann.name]
    ann.update!(name: 'Anna')
    answer += [find('Ann').name, ann.destroy! ? 1 : 0, find('Ann')]
    gone = Author.where(email: email('Ann'))
    answer += [gone.update_all(name: 'nobody'), gone.delete_all]
    write('Ann')
    answer << refused('unique', ActiveRecord::RecordNotUnique) { write('Ann') }
    answer << names('Ann', 'Bob')
  end

  def relations
    every = [write('Cyd', %w[A B C]), write('Dan', %w[D]), write('Eve')].map(&:id)
    Book.find_by!(title: 'B').destroy!
    eager = lambda do |strategy|
      Author.where(id: every).order(:id).public_send(strategy, :books).map { |author| [author.name, author.books.map(&:title)] }
    end
    answer = [eager.call(:eager_load), eager.call(:preload),
              find('Cyd').books.map(&:title), Book.find_by!(title: 'D').author.name]
    cyd = find('Cyd').destroy!
    answer << Book.where(author_id: every).pluck(:title)
    answer << refused('foreign key', ActiveRecord::InvalidForeignKey) { Book.insert_all!([{ author_id: cyd.id, title: 'E', price: 1 }]) }
  end

  def bulk_delete
    fay = write('Fay', %w[F1 F2 F3 F4 F5 F6])
    books = Book.where(author: fay)
    [books.where('price > 4').delete_all, books.where('price > 4').delete_all,
     books.where('price >= 3').update_all('price = price * 10'),
     Book.where(author_id: Author.where(name: 'Fay').select(:id)).where('price < 3').delete_all,
     books.count, books.delete_all, books.count]
  end

  # What another session sees.
  def elsewhere(&block)
    Thread.new { ActiveRecord::Base.connection_pool.with_connection(&block) }.value
  end

  def transactions
    books = Book.where(author: write('Gus', %w[G1 G2 G3]))
    answer = []
    Book.transaction do
      books.delete_all
      answer << books.count << elsewhere { books.count }
      raise ActiveRecord::Rollback
    end
    answer << books.count
    Book.transaction do
      books.where(title: 'G1').delete_all
      Book.transaction(requires_new: true) do
        books.delete_all
        answer << books.count
        raise ActiveRecord::Rollback
      end
      answer << books.count
    end
    answer << books.count
    Book.transaction do
      answer << refused('unique', ActiveRecord::RecordNotUnique) { write('Gus') }
      books.where(title: 'G2').delete_all
    end
    answer << books.count
  end

  def lock
    write('Hal')
    save = lambda do |author, name|
      author.update!(name: name) && 'saved'
    rescue ActiveRecord::StaleObjectError
      'stale'
    end
    mine, theirs = find('Hal'), find('Hal')
    answer = [save.call(theirs, 'theirs'), save.call(mine, 'mine')]
    mine.reload
    answer << mine.name << save.call(mine, 'mine') << find('Hal').name
  end

  # With times, which upsert_all() gives by itself from Rails 7 on.
  def row(key, name)
    { email: email(key), name: name, created_at: Time.now, updated_at: Time.now }
  end

  def upsert
    answer = ['Ivy', 'Ivy 2'].map do |name|
      Author.upsert(row('Ivy', name), unique_by: :email)
      find('Ivy').name
    end
    find('Ivy').destroy!
    Author.upsert(row('Ivy', 'Ivy 3'), unique_by: :email)
    answer << find('Ivy').name
    Author.insert(row('Ivy', 'nobody'), unique_by: :email)
    answer << find('Ivy').name
    Author.upsert_all([row('Ivy', 'Ivy 4'), row('Jan', 'Jan')], unique_by: :email)
    answer << names('Ivy', 'Jan')
  end

  def pages
    kim = write('Kim', (1..12).map { |number| format('P%02d', number) })
    books = kim.books.reorder(:title)
    books.where(title: %w[P03 P07]).delete_all
    keyset = []
    last = ''
    until (page = books.where('title > ?', last).limit(4).pluck(:title)).empty?
      keyset << page
      last = page.last
    end
    [[0, 4, 8].map { |start| books.limit(4).offset(start).pluck(:title) }, books.count, keyset]
  end

  def clear
    Book.delete_all
    Author.delete_all
  end

  def find_lea
    find('Lea')&.name
  end

  def remove_lea
    Author.where(email: email('Lea')).delete_all
  end

  def create_lea
    write('Lea')
  end
end

Play.play(Rails.new, {})
