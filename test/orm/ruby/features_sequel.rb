# Sequel: models that know of no soft deletion, its migrations, its plugin optimistic_locking.

require 'pg'
require 'sequel'
require_relative 'play'

Sequel.extension :migration

puts "# sequel #{Sequel::VERSION}"
puts "# pg #{PG::VERSION}"

# No tables yet.
Author = Class.new(Sequel::Model)
Book = Class.new(Sequel::Model)

Author.plugin :optimistic_locking
Author.plugin :timestamps, update_on_create: true

TABLES = Sequel.migration do
  change do
    create_table :authors do
      primary_key :id
      String :email, null: false, unique: true
      String :name, null: false
      Integer :lock_version, null: false, default: 0
      timestamptz :created_at
      timestamptz :updated_at
      timestamptz :deleted_at
    end
    create_table :books do
      primary_key :id
      foreign_key :author_id, :authors, null: false, on_delete: :cascade, index: true
      String :title, null: false
      Integer :price, null: false
      timestamptz :deleted_at
    end
  end
end

PAGES = Sequel.migration do
  change { add_column :books, :pages, Integer }
end

class Client
  include Play

  def connect(database, port, prepare)
    @db&.disconnect
    @db = Sequel.connect(adapter: 'postgres', host: ENV.fetch('PGHOST'), port: port, database: database,
                         user: ENV.fetch('PGUSER'))
    @db.extension :pagination
    @prepare = prepare
    use_tables if @db.table_exists?(:authors)
  end

  def use_tables
    Author.dataset = @db[:authors]
    Book.dataset = @db[:books]
    Author.one_to_many :books, order: :id, key: :author_id, class: :Book
    Book.many_to_one :author, key: :author_id, class: :Author
    @lea = @db[:authors].where(email: :$email).select(:name)
    @lea = @lea.prepare(:single_value, :name_of) if @prepare
  end

  # Up, down and up again.
  def schema
    steps = [[TABLES, :up], [PAGES, :up]]
    answer = (steps + [[PAGES, :down], [TABLES, :down]] + steps).map do |step, direction|
      step.apply(@db, direction)
      @db.tables.sort
    end
    use_tables
    answer
  end

  def write(name, titles = [])
    @db.transaction(savepoint: true) do
      author = Author.create(email: email(name), name: name)
      titles.each.with_index(1) { |title, price| author.add_book(title: title, price: price) }
      author
    end
  end

  def find(name)
    Author.first(email: email(name))
  end

  def names(*of)
    Author.where(email: of.map { |name| email(name) }).order(:email).select_map(:name)
  end

  def crud
    write('Ann')
    write('Bob')
    ann = find('Ann')
    answer = [ann.name]
    ann.update(name: 'Anna')
    answer += [find('Ann').name, ann.destroy ? 1 : 0, find('Ann')]
    gone = Author.where(email: email('Ann'))
    answer += [gone.update(name: 'nobody'), gone.delete]
    write('Ann')
    answer << refused('unique', Sequel::UniqueConstraintViolation) { write('Ann') }
    answer << names('Ann', 'Bob')
  end

  def relations
    every = [write('Cyd', %w[A B C]), write('Dan', %w[D]), write('Eve')].map(&:id)
    Book.first(title: 'B').destroy
    authors = Author.where(Sequel[:authors][:id] => every).order(Sequel[:authors][:id])
    titles = ->(list) { list.map { |author| [author.name, author.books.map(&:title)] } }
    answer = [titles.call(authors.eager_graph(:books).order_append(Sequel[:books][:id]).all),
              titles.call(authors.eager(:books).all),
              find('Cyd').books.map(&:title), Book.first(title: 'D').author.name]
    cyd = find('Cyd').destroy
    answer << Book.where(author_id: every).select_map(:title)
    answer << refused('foreign key', Sequel::ForeignKeyConstraintViolation) { Book.create(author_id: cyd.id, title: 'E', price: 1) }
  end

  def bulk_delete
    fay = write('Fay', %w[F1 F2 F3 F4 F5 F6])
    books = Book.where(author: fay)
    [books.where { price > 4 }.delete, books.where { price > 4 }.delete,
     books.where { price >= 3 }.update(price: Sequel[:price] * 10),
     Book.where(author: Author.where(name: 'Fay')).where { price < 3 }.delete,
     books.count, books.delete, books.count]
  end

  # What another session sees.
  def elsewhere(&block)
    Thread.new(&block).value
  end

  def transactions
    books = Book.where(author: write('Gus', %w[G1 G2 G3]))
    answer = []
    @db.transaction do
      books.delete
      answer << books.count << elsewhere { books.count }
      raise Sequel::Rollback
    end
    answer << books.count
    @db.transaction do
      books.where(title: 'G1').delete
      @db.transaction(savepoint: true) do
        books.delete
        answer << books.count
        raise Sequel::Rollback
      end
      answer << books.count
    end
    answer << books.count
    @db.transaction do
      answer << refused('unique', Sequel::UniqueConstraintViolation) { write('Gus') }
      books.where(title: 'G2').delete
    end
    answer << books.count
  end

  def lock
    write('Hal')
    save = lambda do |author, name|
      author.update(name: name) && 'saved'
    rescue Sequel::NoExistingObject
      'stale'
    end
    mine, theirs = find('Hal'), find('Hal')
    answer = [save.call(theirs, 'theirs'), save.call(mine, 'mine')]
    mine.refresh
    answer << mine.name << save.call(mine, 'mine') << find('Hal').name
  end

  def upsert
    row = ->(key, name) { { email: email(key), name: name } }
    merge = Author.dataset.insert_conflict(target: :email, update: { name: Sequel[:excluded][:name] })
    answer = ['Ivy', 'Ivy 2'].map do |name|
      merge.insert(row.call('Ivy', name))
      find('Ivy').name
    end
    find('Ivy').destroy
    merge.insert(row.call('Ivy', 'Ivy 3'))
    answer << find('Ivy').name
    Author.dataset.insert_conflict.insert(row.call('Ivy', 'nobody'))
    answer << find('Ivy').name
    merge.multi_insert([row.call('Ivy', 'Ivy 4'), row.call('Jan', 'Jan')])
    answer << names('Ivy', 'Jan')
  end

  def pages
    kim = write('Kim', (1..12).map { |number| format('P%02d', number) })
    books = kim.books_dataset.order(:title)
    books.where(title: %w[P03 P07]).delete
    keyset = []
    last = ''
    until (page = books.where { title > last }.limit(4).select_map(:title)).empty?
      keyset << page
      last = page.last
    end
    offset = [1, 2, 3].map { |number| books.paginate(number, 4) }
    [offset.map { |page| page.select_map(:title) }, offset.first.pagination_record_count, keyset]
  end

  def clear
    Book.dataset.delete
    Author.dataset.delete
  end

  def find_lea
    @prepare ? @lea.call(email: email('Lea')) : find('Lea')&.name
  end

  def remove_lea
    Author.where(email: email('Lea')).delete
  end

  def create_lea
    write('Lea')
  end
end

Play.play(Client.new, {})
