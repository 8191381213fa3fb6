"""Plans of filtered queries: costs and all, those of the queries with the condition written by hand."""

import difflib
import re

from . import report

# Built twice, under soft delete in the schema "managed" and without in "plain".  The tables have no
# more rows than ANALYZE takes, so that both have the same statistics.
SCHEMA = """
CREATE TABLE article (id bigint PRIMARY KEY, tenant int NOT NULL, email text NOT NULL, title text NOT NULL,
    body jsonb NOT NULL, tags text[] NOT NULL, words tsvector NOT NULL, created timestamptz NOT NULL,
    views int NOT NULL, deleted_at timestamptz);
INSERT INTO article
SELECT i, i % 50, 'user' || i || '@example.org', md5(i::text), jsonb_build_object('kind', i % 200, 'by', i % 7),
    ARRAY['tag' || i % 90, 'tag' || i % 11], to_tsvector('simple', 'word' || i % 300 || ' word' || i % 17),
    '2024-01-01'::timestamptz + i * interval '1 minute', i % 1000,
    CASE WHEN hashint8(i) % 5 <> 0 THEN '2025-01-01'::timestamptz + i * interval '1 second' END
FROM generate_series(1, 20000) AS i;
CREATE UNIQUE INDEX article_email ON article (email) WHERE deleted_at IS NULL;
CREATE INDEX article_feed ON article (tenant, created) WHERE deleted_at IS NULL;
CREATE INDEX article_views ON article (views);
CREATE INDEX article_deleted ON article (deleted_at);
CREATE INDEX article_created ON article (created) INCLUDE (deleted_at);
CREATE INDEX article_title ON article (title text_pattern_ops);
CREATE INDEX article_live_email ON article (email text_pattern_ops) WHERE deleted_at IS NULL;
CREATE INDEX article_body ON article USING gin (body);
CREATE INDEX article_tags ON article USING gin (tags) WHERE deleted_at IS NULL;
CREATE INDEX article_words ON article USING gin (words);

CREATE TABLE comment (id bigint PRIMARY KEY, article_id bigint NOT NULL, stars int NOT NULL,
    removed boolean NOT NULL DEFAULT false);
INSERT INTO comment SELECT i, i * 7 % 20000 + 1, i % 5, i % 3 = 0 FROM generate_series(1, 25000) AS i;
CREATE INDEX comment_article ON comment (article_id) WHERE NOT removed;
CREATE INDEX comment_stars ON comment (stars, id);
CREATE INDEX comment_removed ON comment (removed, stars);

CREATE TABLE event (id bigint PRIMARY KEY, kind int NOT NULL, at timestamptz NOT NULL,
    removed bigint NOT NULL DEFAULT 0);
INSERT INTO event SELECT i, i % 400, '2024-01-01'::timestamptz + i * interval '1 hour',
    CASE WHEN i % 4 = 0 THEN 1735689600000000 + i ELSE 0 END FROM generate_series(1, 20000) AS i;
CREATE INDEX event_kind ON event (kind) WHERE removed = 0;
CREATE INDEX event_removed ON event (removed, at);

CREATE TABLE ledger (id bigint NOT NULL, day date NOT NULL, amount numeric NOT NULL, deleted_at timestamp)
    PARTITION BY RANGE (day);
CREATE TABLE ledger_1 PARTITION OF ledger FOR VALUES FROM ('2025-01-01') TO ('2025-04-01');
CREATE TABLE ledger_2 PARTITION OF ledger FOR VALUES FROM ('2025-04-01') TO ('2025-07-01');
CREATE TABLE ledger_3 PARTITION OF ledger FOR VALUES FROM ('2025-07-01') TO ('2025-10-01');
CREATE INDEX ledger_day ON ledger (day) WHERE deleted_at IS NULL;
INSERT INTO ledger SELECT i, '2025-01-01'::date + i % 270, i, CASE WHEN i % 2 = 0 THEN '2025-11-01'::timestamp END
    FROM generate_series(1, 20000) AS i;

CREATE VIEW popular AS SELECT id, tenant, email, views FROM article WHERE {deleted_at IS NULL AND} views > 900;
"""

TRIGRAMS = 'CREATE INDEX article_trigrams ON article USING gin (title public.gin_trgm_ops)'

TRIGGERS = """
CREATE TRIGGER soft_delete BEFORE DELETE ON article FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER soft_delete BEFORE DELETE ON comment FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('removed');
CREATE TRIGGER soft_delete BEFORE DELETE ON event FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('removed');
CREATE TRIGGER soft_delete BEFORE DELETE ON ledger FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
"""

# What stands in braces is written by hand and left out where the table is under soft delete.  It
# stands first, since a plan shows conditions of equal cost in the order of the query.
QUERIES = [
    # partial indexes
    "SELECT * FROM article WHERE {deleted_at IS NULL AND} email = 'user5@example.org'",
    'SELECT * FROM article WHERE {deleted_at IS NULL AND} tenant = 7 ORDER BY created DESC LIMIT 20',
    "SELECT count(*) FROM article WHERE {deleted_at IS NULL AND} tenant = 7 AND created > '2024-01-10'",
    'SELECT tenant, max(created) FROM article {WHERE deleted_at IS NULL} GROUP BY tenant',
    # full indexes
    'SELECT * FROM article WHERE {deleted_at IS NULL AND} id = 5',
    'SELECT * FROM article WHERE {deleted_at IS NULL AND} id IN (5, 50, 500, 5000)',
    'SELECT id, views FROM article WHERE {deleted_at IS NULL AND} views BETWEEN 10 AND 20',
    "SELECT created FROM article WHERE {deleted_at IS NULL AND} created < '2024-01-02'",
    'SELECT * FROM article WHERE {deleted_at IS NULL AND} (views = 5 OR id = 9)',
    'SELECT count(*) FROM article {WHERE deleted_at IS NULL}',
    # GIN
    """SELECT * FROM article WHERE {deleted_at IS NULL AND} body @> '{"kind": 17}'""",
    "SELECT * FROM article WHERE {deleted_at IS NULL AND} tags @> ARRAY['tag7', 'tag8']",
    "SELECT * FROM article WHERE {deleted_at IS NULL AND} words @@ to_tsquery('simple', 'word5 & word6')",
    "SELECT * FROM article WHERE {deleted_at IS NULL AND} title LIKE '%c0ffee%'",
    # LIKE with a prefix, whose operators are not leakproof
    "SELECT * FROM article WHERE {deleted_at IS NULL AND} title LIKE 'abc%'",
    "SELECT email FROM article WHERE {deleted_at IS NULL AND} email LIKE 'user12%'",
    # joins
    'SELECT * FROM article a JOIN comment c ON c.article_id = a.id'
    ' WHERE {a.deleted_at IS NULL AND NOT c.removed AND} a.id = 77',
    "SELECT a.id, count(c.id) FROM article a LEFT JOIN comment c ON c.article_id = a.id {AND NOT c.removed}"
    " WHERE {a.deleted_at IS NULL AND} a.tenant = 3 GROUP BY a.id",
    'SELECT * FROM article a WHERE {deleted_at IS NULL AND} tenant = 3'
    ' AND NOT EXISTS (SELECT FROM comment c WHERE {NOT removed AND} c.article_id = a.id)',
    'SELECT * FROM article WHERE {deleted_at IS NULL AND} id IN'
    ' (SELECT article_id FROM comment WHERE {NOT removed AND} stars = 4)',
    'SELECT * FROM popular p JOIN comment c ON c.article_id = p.id WHERE {NOT c.removed AND} p.tenant = 9',
    # boolean and bigint markers
    'SELECT count(*), avg(stars) FROM comment {WHERE NOT removed}',
    'SELECT * FROM comment WHERE {NOT removed AND} stars = 2 ORDER BY id LIMIT 10',
    'SELECT * FROM comment {WHERE NOT removed} ORDER BY stars LIMIT 10',
    'SELECT * FROM event WHERE {removed = 0 AND} kind = 5',
    'SELECT * FROM event WHERE {removed = 0 AND} id = 5',
    'SELECT * FROM event {WHERE removed = 0} ORDER BY at LIMIT 10',
    # partitions, parallel plans, other statements
    "SELECT * FROM ledger WHERE {deleted_at IS NULL AND} day = '2025-05-05'",
    'SELECT day, sum(amount) FROM ledger {WHERE deleted_at IS NULL} GROUP BY day',
    '/*parallel*/ SELECT views, count(*) FROM article {WHERE deleted_at IS NULL} GROUP BY views',
    'SELECT * FROM article WHERE {deleted_at IS NULL AND} id = 5 FOR UPDATE',
    'UPDATE article SET views = views + 1 WHERE {deleted_at IS NULL AND} tenant = 7',
]

PARALLEL = 'SET min_parallel_table_scan_size = 0; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0'


def by_hand(text):
    """The text with the conditions that are written by hand."""
    return re.sub(r"{([^{}'\"]*)}", r'\1', text)


def filtered(text):
    """The text without them."""
    return re.sub(r"{([^{}'\"]*)}", '', text)


def build(server):
    """Both schemas."""
    cursor = server.connect('plans').cursor()
    cursor.execute("SELECT FROM pg_available_extensions WHERE name = 'pg_trgm'")
    has_trigrams = cursor.fetchone() is not None
    if has_trigrams:
        cursor.execute('CREATE EXTENSION pg_trgm SCHEMA public')
    for schema, spell in (('managed', filtered), ('plain', by_hand)):
        cursor.execute(f'CREATE SCHEMA {schema}; SET search_path = {schema}')
        cursor.execute(spell(SCHEMA))
        if has_trigrams:
            cursor.execute(TRIGRAMS)
    cursor.execute('SET search_path = managed')
    cursor.execute(TRIGGERS)
    cursor.execute('VACUUM ANALYZE')
    cursor.connection.close()


def explain(cursor, query):
    """The plan's lines."""
    parallel = query.startswith('/*parallel*/')
    if parallel:
        cursor.execute(PARALLEL)
    cursor.execute(f'EXPLAIN (COSTS ON) {query}')
    lines = [line for (line,) in cursor.fetchall()]
    if parallel:
        cursor.execute('RESET min_parallel_table_scan_size; RESET parallel_setup_cost; RESET parallel_tuple_cost')
    return lines


def run(server):
    """Compares the plans line by line."""
    build(server)
    ours, theirs = server.connect('plans', library=True).cursor(), server.connect('plans').cursor()
    ours.execute('SET search_path = managed')
    theirs.execute('SET search_path = plain')
    equal, notes = 0, []
    for query in QUERIES:
        plans = explain(ours, filtered(query)), explain(theirs, by_hand(query))
        if plans[0] == plans[1]:
            equal += 1
        else:
            notes += [f'other plan: {by_hand(query)}',
                      *list(difflib.unified_diff(plans[1], plans[0], 'by hand', 'orm_ext', n=10, lineterm='')), '']
    ours.connection.close()
    theirs.connection.close()
    return [report.Figure('plans with their costs that are equal', 'condition by hand', str(equal), str(len(QUERIES)),
                          '', 'all', equal == len(QUERIES), notes)]
