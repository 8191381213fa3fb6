"""Giving new rows their stamps: orm_ext, and other ways to do it."""

from . import report
from .ways import NOOP, SOURCE, Way

ROWS = 4000

INSERT = f"""
INSERT INTO new_{{}} (id, tenant, title, body, price, active, quantity)
SELECT id + $n * {ROWS}, tenant, title, body, price, active, quantity FROM source
"""

DEFAULTS = """
ALTER TABLE {table} ALTER created_at SET DEFAULT now(), ALTER updated_at SET DEFAULT now(),
    ALTER version_id SET DEFAULT 1;
"""

STAMP = """
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW
    EXECUTE FUNCTION orm_ext.stamp('created=created_at', 'updated=updated_at', 'version=version_id');
"""

PLPGSQL = """
CREATE FUNCTION fill_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.created_at := COALESCE(NEW.created_at, now());
    NEW.updated_at := COALESCE(NEW.updated_at, now());
    NEW.version_id := COALESCE(NEW.version_id, 1);
    RETURN NEW;
END $$;
CREATE TRIGGER stamps BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION fill_row();
"""

WAYS = {
    'stamp': Way('stamp()', STAMP, preloaded=True),
    'given': Way('stamp(), defaults', DEFAULTS + STAMP, preloaded=True),
    'defaults': Way('defaults', DEFAULTS),
    'noop': Way('defaults, C trigger that does nothing', DEFAULTS + NOOP),
    'plpgsql': Way('PL/pgSQL trigger', PLPGSQL),
}


def run(server):
    """Counts the insertion of rows without stamps, and of rows that have them from defaults."""
    cursor = server.connect('inserts').cursor()
    cursor.execute(SOURCE.format(ROWS))
    for name, way in WAYS.items():
        way.create(server, cursor, f'new_{name}', ROWS)
    cursor.connection.close()
    with server.counting() as counter:
        counts = {name: counter.count('inserts', INSERT.format(name), way.preloaded, repetitions=1, warm=1)
                  for name, way in WAYS.items()}
    return [report.counted(f'INSERT of {ROWS:,} rows', WAYS[way].name, counts['stamp'], counts[way])
            for way in ('defaults', 'noop', 'plpgsql')] + [
        report.counted(f'INSERT of {ROWS:,} rows with stamps', WAYS[way].name, counts['given'], counts[way])
        for way in ('defaults', 'noop')]
