# Plays each scenario on two databases and holds the one to the other.
#
# In the plain database nobody but ActiveRecord looks after versions and times.  In the
# managed one triggers of orm_ext do, and must not be noticed by a client that does it all
# by itself.  Connection parameters come from PGHOST and so on.

require 'active_record'
require 'logger'
require 'open3'
require 'pg'

module Twin
  Failure = Class.new(StandardError)

  # One of the databases, as one role sees it.
  class Side
    attr_reader :log, :name

    def initialize(kind, user = nil)
      @kind = kind
      @name = "activerecord_#{kind}"
      @user = user
      @log = []
    end

    def managed?
      @kind == 'managed'
    end

    def connect
      settings = { adapter: 'postgresql', database: @name, pool: 5 }
      settings[:username] = @user if @user
      ActiveRecord::Base.establish_connection(settings)
    end

    # What somebody writes in between, who knows of no ORM, and of no UTC.
    def psql(statement)
      output, status = Open3.capture2e({ 'PGTZ' => 'Asia/Tokyo' }, 'psql', '-XAtq', '-v',
                                       'ON_ERROR_STOP=1', '-c', statement, @name)
      raise Failure, output unless status.success?
      output.strip
    end

    # Another thread is another connection.
    def elsewhere(&block)
      thread(&block).value
    end

    # Lets another session do what has to wait for a lock, and returns its thread.
    def waits(&block)
      waiting = thread(&block)
      500.times do
        return waiting if psql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == '1'
        sleep 0.02
      end
      raise Failure, 'it did not wait'
    end

    def thread
      thread = Thread.new { ActiveRecord::Base.connection_pool.with_connection { yield } }
      thread.report_on_exception = false
      thread
    end

    def empty(tables)
      ActiveRecord::Base.transaction do
        sql("SET LOCAL orm_ext.delete_mode = 'hard'") if managed?
        sql("TRUNCATE #{tables.join(', ')} RESTART IDENTITY")
      end
    end

    def sql(statement)
      ActiveRecord::Base.connection.execute(statement)
    end
  end

  class << self
    attr_accessor :tables, :seed

    def scenarios
      @scenarios ||= []
    end

    # Plays on both databases, which must give the same answer by the same statements.
    def twin(title, as: nil, &body)
      scenarios << [title, body, [Side.new('plain'), Side.new('managed', as)]]
    end

    # Plays where triggers are what it is about.
    def managed(title, as: nil, &body)
      scenarios << [title, body, [Side.new('managed', as)]]
    end

    def play(side, body)
      side.connect
      side.empty(tables)
      seed.call
      side.log.clear
      subscription = ActiveSupport::Notifications.subscribe('sql.active_record') do |*, payload|
        side.log << payload[:sql] unless %w[SCHEMA TRANSACTION].include?(payload[:name])
      end
      answer = body.call(side)
      [answer, side.log.dup]
    ensure
      ActiveSupport::Notifications.unsubscribe(subscription) if subscription
    end

    def check(body, sides)
      expected, outcome = sides.map { |side| play(side, body) }
      return unless outcome
      return if outcome == expected
      raise Failure, "plain:   #{expected.inspect}\nmanaged: #{outcome.inspect}"
    end

    def run
      passed = failed = 0
      scenarios.each do |title, body, sides|
        check(body, sides)
        passed += 1
        puts "ok - #{title}"
      rescue StandardError => e
        failed += 1
        puts "not ok - #{title}"
        puts "#{e.class}: #{e.message}\n#{(e.backtrace || []).first(12).join("\n")}".gsub(/^/, '# ')
      end
      puts "#{passed} passed, #{failed} failed"
      exit failed.zero?
    end
  end

  # Assertions; their answers can be part of a scenario's own.
  module Assertions
    def equal(actual, expected)
      raise Failure, "expected #{expected.inspect}, got #{actual.inspect}" unless actual == expected
    end

    # Whether the block raises the error of this class.
    def raises(error)
      yield
    rescue error => e
      e
    else
      raise Failure, "#{error} was not raised"
    end

    def stale(&block)
      raises(ActiveRecord::StaleObjectError, &block)
      'stale'
    end

    def sqlstate(&block)
      raises(ActiveRecord::StatementInvalid, &block).cause.result.error_field(PG::Result::PG_DIAG_SQLSTATE)
    end
  end
end
