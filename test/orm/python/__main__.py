"""Runs the SQLAlchemy tests: ORM_EXT_DRIVER=psycopg2 python3 test/orm/python

Needs the databases sqlalchemy_<driver>_plain and sqlalchemy_<driver>_managed,
the latter with the extension, and for names those of naming_database.py;
test/orm/run makes them.
"""

import importlib
import sys
import unittest

import twin


def main():
    for name in ('sqlalchemy', twin.DRIVER):
        # psycopg2 appends what it was built with.
        version = importlib.import_module(name).__version__.split()[0]
        print('# %s %s' % (name, version))

    patterns = ['test_*.py', 'async_*.py' if twin.IS_ASYNC else 'psycopg_*.py']
    suite = unittest.TestSuite(
        unittest.TestLoader().discover(sys.path[0], pattern)
        for pattern in patterns)
    result = unittest.TextTestRunner(stream=sys.stdout).run(suite)
    for database in twin.twins():
        database.dispose()

    # Of a test that has several parts, more than one may have failed.
    failed = len({getattr(test, 'test_case', test)
                  for test, _ in result.failures + result.errors})
    passed = result.testsRun - len(result.skipped) - failed
    print('%d passed, %d failed' % (passed, failed))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
