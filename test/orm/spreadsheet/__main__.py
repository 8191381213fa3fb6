r"""Tables that people keep in a spreadsheet: csv files, by psql's \copy.

Needs the database spreadsheet_managed; test/orm/run makes it.  The files are
written as spreadsheets save them: by a byte order mark or none, semicolons or
commas, lines that end in CR LF, quotes only where they have to be, empty cells
for nothing.  What a file leaves in products is compared with what COPY into a
temporary table and INSERT ... ON CONFLICT leave in twins.
"""

import csv
import os
import re
import subprocess
import sys
import tempfile
import unittest

DATABASE = 'spreadsheet_managed'
HERE = os.path.dirname(os.path.abspath(__file__))

HEADER = ['sku', 'name', 'price', 'stock', 'released', 'note']
CELLS = [
    ['pot', 'Pot', '21.50', '3', '2026-02-28', ''],
    ['mug', 'Mug; blue, "big"', '4', '0', '', 'two\r\nlines'],
    ['cup', 'Cup', '5.00', '10', '', 'fragile'],
    ['jug', ' Jug \u2615 ', '9.99', '7', '1999-12-31', '#N/A'],
    ['lid', "Lid, 'flat'", '2.5', '8', '', ''],
]
OPTIONS = "on_conflict 'update', conflict_columns (sku)"


class PsqlError(Exception):
    """With what psql said."""


def psql(*commands):
    result = subprocess.run(
        ['psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-v', 'VERBOSITY=verbose',
         '-d', DATABASE] + [part for command in commands
                            for part in ('-c', command)],
        text=True, capture_output=True, stdin=subprocess.DEVNULL)
    if result.returncode:
        raise PsqlError(result.stderr)
    return result.stdout.strip()


class Sheet:
    """A file, saved in one of the usual ways."""

    def __init__(self, rows, delimiter=';', encoding='utf-8', end='\r\n'):
        self.delimiter = delimiter
        with tempfile.NamedTemporaryFile(
                'w', suffix='.csv', newline='', encoding=encoding,
                delete=False) as file:
            csv.writer(file, delimiter=delimiter,
                       lineterminator=end).writerows(rows)
        self.name = file.name

    def options(self, header='match', more=''):
        return "FORMAT csv, HEADER %s, DELIMITER '%s'%s" % (
            header, self.delimiter, more and ', ' + more)

    def load(self, columns=HEADER, upsert=OPTIONS, where='true', source=None,
             **options):
        """Upserts it; returns inserted, updated, unchanged, skipped."""
        return psql(
            r"\copy products (%s) FROM %s WITH (%s, %s) WHERE %s" % (
                ', '.join(columns), source or "'%s'" % self.name,
                self.options(**options), upsert, where),
            'SELECT inserted, updated, unchanged, skipped'
            '  FROM orm_ext.last_bulk_result()')

    def load_twin(self, columns=HEADER, **options):
        """As it is done by hand."""
        names = ', '.join(columns)
        psql('CREATE TEMPORARY TABLE sheet AS SELECT %s FROM twins'
             ' WITH NO DATA' % names,
             r"\copy sheet FROM '%s' WITH (%s)" % (
                 self.name, self.options(**options)),
             'INSERT INTO twins (%s) SELECT * FROM sheet'
             ' ON CONFLICT (sku) DO UPDATE SET (%s) = ROW(%s)' % (
                 names, ', '.join(columns[1:]),
                 ', '.join('excluded.' + name for name in columns[1:])))


class SpreadsheetTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        psql('SELECT reset_products()')

    def tearDown(self):
        self.assertEqual(psql('SELECT * FROM differences'), '')

    def sheet(self, *args, **kwargs):
        sheet = Sheet(*args, **kwargs)
        self.addCleanup(os.unlink, sheet.name)
        return sheet

    def fails(self, sqlstate, message, work, *args, **kwargs):
        with self.assertRaises(PsqlError) as caught:
            work(*args, **kwargs)
        self.assertRegex(str(caught.exception), 'ERROR:  %s' % sqlstate)
        self.assertRegex(str(caught.exception), re.compile(message, re.S))

    def check(self, sheet, counts='2|2|1|0', **options):
        self.assertEqual(sheet.load(**options), counts)
        sheet.load_twin(**options)

    def test_semicolons(self):
        self.check(self.sheet([HEADER] + CELLS))
        # Saved again, nothing touched.
        self.check(self.sheet([HEADER] + CELLS), '0|0|5|0')

    def test_commas(self):
        self.check(self.sheet([HEADER] + CELLS, delimiter=',', end='\n'))

    def test_tabs(self):
        self.check(self.sheet([HEADER] + CELLS, delimiter='\t'))

    def test_encoding(self):
        sheet = self.sheet([HEADER, ['cup', 'K\xfcbel', '5', '10', '', '']],
                           encoding='latin-1')
        self.check(sheet, '0|1|0|0', more="ENCODING 'latin1'")
        self.assertEqual(
            psql("SELECT name FROM products WHERE sku = 'cup'"), 'K\xfcbel')

    def test_empty_cells_are_null(self):
        sheet = self.sheet([['sku', 'note'], ['cup', ''], ['lid', '']])
        self.assertEqual(sheet.load(['sku', 'note']), '0|1|1|0')
        psql("UPDATE twins SET note = NULL WHERE sku = 'cup'")

    def test_some_columns_in_another_order(self):
        """What the file does not have stays as it is, or is the default."""
        columns = ['stock', 'name', 'sku']
        rows = [['11', 'Cup', 'cup'], ['5', 'Mug', 'mug']]
        sheet = self.sheet([columns] + rows)
        self.assertEqual(sheet.load(columns), '1|1|0|0')
        psql("UPDATE twins SET stock = 11 WHERE sku = 'cup'",
             "INSERT INTO twins (stock, name, sku) VALUES (5, 'Mug', 'mug')")

    def test_a_header_that_does_not_match(self):
        sheet = self.sheet([['sku', 'Price', 'name'], ['cup', '5', 'Cup']])
        self.fails('22P04', '"Price"', sheet.load, ['sku', 'price', 'name'])
        self.assertEqual(
            sheet.load(['sku', 'price', 'name'], header='on'), '0|0|1|0')

    def test_byte_order_mark(self):
        """Part of the first cell to PostgreSQL: skip the header, or it."""
        sheet = self.sheet([HEADER] + CELLS, encoding='utf-8-sig')
        self.fails('22P04', 'sku', sheet.load)
        self.check(sheet, header='on')
        self.assertEqual(
            sheet.load(source="PROGRAM 'tail -c +4 %s'" % sheet.name),
            '0|0|5|0')

    def test_the_same_product_twice(self):
        rows = [['mug', 'Mug', '1'], ['cup', 'Cup', '5.00'],
                ['mug', 'Mug, later', '2']]
        columns = ['sku', 'name', 'price']
        sheet = self.sheet([columns] + rows)
        self.assertEqual(sheet.load(columns), '1|0|1|1')
        self.fails('21000', 'mug', sheet.load, columns,
                   upsert=OPTIONS + ", on_duplicate 'error'")
        self.fails('21000', '', sheet.load_twin, columns)
        self.sheet([columns] + rows[1:]).load_twin(columns)

    def test_a_cell_that_cannot_be(self):
        """The place is told as COPY does."""
        def fails(cell, column, **broken):
            row = dict(zip(HEADER, CELLS[0]), **broken)
            sheet = self.sheet([HEADER, CELLS[2], row.values()])
            self.fails('22', 'COPY products, line 3, column %s: "%s"' % (
                column, re.escape(cell)), sheet.load)

        fails('21,50', 'price', price='21,50')
        fails('31.02.2026', 'released', released='31.02.2026')
        fails('3 pieces', 'stock', stock='3 pieces')

    def test_a_row_that_must_not_be(self):
        broken = ['x', 'X', '-1', '1', '', '']
        self.fails('23514', 'row 2',
                   self.sheet([HEADER, CELLS[0], broken]).load)
        nameless = ['x', '', '1', '1', '', '']
        self.fails('23502', 'row 1', self.sheet([HEADER, nameless]).load)

    def test_empty_lines_at_the_end(self):
        """As spreadsheets leave them where cells were cleared."""
        sheet = self.sheet([HEADER] + CELLS + [[''] * 6])
        self.fails('23502', 'sku', sheet.load)
        self.assertEqual(sheet.load(where='sku IS NOT NULL'), '2|2|1|0')
        self.sheet([HEADER] + CELLS).load_twin()

    def test_only_prices(self):
        """A price list must not touch anything else, nor add products."""
        columns = ['sku', 'name', 'price']
        sheet = self.sheet([columns, ['cup', 'CUP!', '6'],
                            ['pot', 'Pot', '20']])
        self.assertEqual(
            sheet.load(columns, upsert=OPTIONS + ', update_columns (price)'),
            '0|1|1|0')
        psql("UPDATE twins SET price = 6 WHERE sku = 'cup'")

    def test_what_was_exported(self):
        r"""\copy to, edited, and back; by primary key, with all columns."""
        with tempfile.TemporaryDirectory() as folder:
            name = os.path.join(folder, 'products.csv')
            psql(r"\copy products TO '%s' WITH (FORMAT csv, HEADER)" % name)
            with open(name, encoding='utf-8', newline='') as file:
                content = file.read()
            with open(name, 'w', encoding='utf-8', newline='') as file:
                file.write(content.replace('30.00', '33.00'))
            self.assertEqual(
                psql(r"\copy products FROM '%s' WITH (FORMAT csv,"
                     " HEADER match, on_conflict 'update')" % name,
                     'SELECT inserted, updated, unchanged, skipped'
                     '  FROM orm_ext.last_bulk_result()'), '0|1|3|0')
        psql("UPDATE twins SET price = 33 WHERE sku = 'pan'")


def main():
    version = subprocess.run(['psql', '--version'], text=True,
                             capture_output=True).stdout
    print('# psql %s' % version.split()[2])
    psql(r'\i %s' % os.path.join(HERE, '..', 'products.sql'))
    suite = unittest.TestLoader().loadTestsFromModule(sys.modules[__name__])
    result = unittest.TextTestRunner(stream=sys.stdout).run(suite)
    failed = len(result.failures) + len(result.errors)
    print('%d passed, %d failed' % (result.testsRun - failed, failed))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
