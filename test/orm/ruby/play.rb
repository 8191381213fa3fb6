# Plays what ../table describes, in each of the databases that the arguments name: directly, and
# once more through the pooler, with prepared statements.  Prints one line for each feature:
# database, feature, answer.

require 'json'

module Play
  FEATURES = %i[crud relations bulk_delete transactions lock upsert pages].freeze

  Undone = Class.new(StandardError)

  module_function

  def email(name)
    "#{name.downcase}@example.org"
  end

  # The word, where the block raises this error.
  def refused(word, error)
    yield
  rescue error
    word
  else
    raise "#{error} was not raised"
  end

  def answer_of
    yield
  rescue StandardError => e
    @failed = true
    puts "#{e.class}: #{e.message}\n#{(e.backtrace || []).first(6).join("\n")}".gsub(/^/, '# ')
    { error: e.message }
  end

  def tell(*fields)
    puts fields.join("\t")
  end

  # A row twelve times, which is deleted after the sixth, and made again after the ninth.
  def lookups(client)
    client.create_lea
    (1..12).map do |i|
      found = client.find_lea
      client.remove_lea if i == 6
      client.create_lea if i == 9
      found
    end
  end

  def directly(client, database)
    client.connect(database, ENV.fetch('PGPORT'), true)
    tell(database, :schema, answer_of { client.schema }.to_json)
    answers = FEATURES.to_h { |feature| [feature, answer_of { client.public_send(feature) }] }
    answers.each { |feature, answer| tell(database, feature, answer.to_json) }
    client.clear
    answers
  end

  # Everything again, by other sessions in each transaction.
  def pooled(client, database, answers)
    client.connect(database, ENV.fetch('ORM_EXT_POOLER_PORT'), ENV['ORM_EXT_POOLER_PREPARES'] == 'yes')
    answer = answer_of do
      answers.each do |feature, expected|
        again = client.public_send(feature)
        raise "#{feature}: #{again.to_json}" unless again == expected
      end
      lookups(client)
    end
    tell(database, :pgbouncer, answer.to_json)
  end

  # A client is an object with a method for each feature, schema, which makes the tables by its own
  # migrations, connect, clear, find_lea, remove_lea and create_lea.
  def play(client, notes)
    notes.each { |feature, text| tell(:note, feature, text) }
    ARGV.each do |database|
      answers = directly(client, database)
      pooled(client, database, answers) if ENV['ORM_EXT_POOLER_PORT']
    end
    exit !@failed
  end
end
