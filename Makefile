# orm_ext: build, install and test with PGXS.
#
#   make && make install && make installcheck     as with any PGXS extension
#   make demo                                     see it work; installs what is missing
#   make test                                     every test, on a throw-away server
#   make help                                     all targets
#
# PG_CONFIG=/path/to/pg_config picks the server to build for.

EXTENSION  = orm_ext
EXTVERSION := $(shell sed -n "s/^default_version *= *'\([^']*\)'.*/\1/p" orm_ext.control)
MODULE_big = orm_ext
OBJS       = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c)))
DATA       = $(sort $(wildcard sql/orm_ext--*.sql))
PGFILEDESC = "orm_ext - soft delete, versions, timestamps and naming inside the server"

# Tests, in the order in which they run; setup makes what the others stand on.
REGRESS        = setup status declaration follow marker_types \
	reading views cursors parallel statistics matviews \
	deleting constraints triggers final_delete stamp merge merge17 returning18 \
	mention deleted_rows partitions partition_key inheritance foreign_keys \
	privileges row_security unique_keys key_commands upsert \
	restore restore_problems restore_rights deletions deleted_by \
	version timestamps actors stale stamp_declaration stamp_paths stamp_columns \
	stamp_ddl stamp18 expected_version update_checked version_guard touch_parent \
	change_id bypass_stamps manage \
	foreign_keys_setup foreign_keys_actions foreign_keys_shapes foreign_keys_references foreign_keys_deferred \
	foreign_keys_checks foreign_keys_access foreign_keys_triggers foreign_keys_marking foreign_keys18 foreign_keys_final \
	naming_setup naming_template naming_fill naming_clash naming_check naming_follow \
	naming_audit naming_privileges naming18 \
	lint lint_rules lint_naming lint_soft_delete \
	bulk_setup bulk_upsert bulk_keys bulk_types bulk_partial bulk_options bulk_deleted \
	bulk_partitions bulk_triggers bulk_privileges bulk_errors bulk_ways bulk_single bulk_collation \
	bulk_copy bulk_copy16 bulk_copy17 bulk18 \
	batch batch_jobs batch_policies \
	purge bin_partition publication search_path
REGRESS_OPTS   = --inputdir=test
ISOLATION      = $(patsubst test/specs/%.spec,%,$(sort $(wildcard test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test --outputdir=.

# TAP tests start servers of their own, which root cannot, and need IPC::Run.
ifneq ($(wildcard test/t/*.pl),)
ifneq ($(shell id -u),0)
TAP_TESTS   = $(shell perl -MIPC::Run -e 'print 1' 2>/dev/null)
endif
endif
PROVE_TESTS = test/t/*.pl

# The server's own headers do not pass -Wextra without these; clang has no -Wclobbered.
PG_CFLAGS   = -Wall -Wextra -Werror -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers \
	-Wno-unknown-warning-option -Wno-clobbered
# Our functions are called by us alone, so they need not go through the table of symbols.
ifeq ($(shell uname -s),Linux)
PG_CFLAGS  += -fno-semantic-interposition
SHLIB_LINK += -Wl,-Bsymbolic
endif
PG_CPPFLAGS = -Isrc -DORM_EXT_VERSION='"$(EXTVERSION)"'

EXTRA_CLEAN = .built-for test/output $(EXTENSION)-*.zip postgresql-*-orm-ext_*.deb $(OBJS)

# Bitcode serves the inlining of operators into JIT code; we have none, so clang is not needed.
override with_llvm = no

ifeq ($(origin PG_CONFIG),undefined)
PG_CONFIG := $(shell test/env/pg-config)
endif
ifneq ($(PG_CONFIG),)
PGXS := $(wildcard $(shell $(PG_CONFIG) --pgxs))
endif

.DEFAULT_GOAL := all

ifneq ($(PGXS),)

all: | announce
include $(PGXS)

# Every object depends on every header: the build takes seconds, a stale object costs hours.
$(OBJS): $(wildcard src/*.h src/*/*.h) Makefile orm_ext.control .built-for

# Changes only when the tree is built for another server than last time.
.built-for: force-check
	@echo '$(EXTVERSION) $(VERSION) $(includedir_server) $(PG_CONFIG)' | cmp -s - $@ \
		|| echo '$(EXTVERSION) $(VERSION) $(includedir_server) $(PG_CONFIG)' > $@
force-check:

announce:
	@echo 'orm_ext $(EXTVERSION) for PostgreSQL $(VERSION) ($(PG_CONFIG))'

else

all install installcheck uninstall clean:
	@echo 'No PostgreSQL server headers found.  Either of these helps:'
	@echo '    test/env/install build                 installs them (Debian, Ubuntu)'
	@echo '    make PG_CONFIG=/path/to/pg_config      where they are somewhere else'
	@exit 1

endif

# The rest needs no PGXS: each script first installs what is missing.
N ?= 10000
DISTDIR ?= .
DISTNAME = $(EXTENSION)-$(EXTVERSION)

demo:         ## installs what is missing, starts a throw-away server, plays the showcase
	@test/demo/run

demo-stop:    ## stops the server that `make demo` left running, and removes it
	@test/demo/run stop

test:         ## every test on a throw-away server; ONLY="regress tap" runs only these
	@test/run $(ONLY)

test-matrix:  ## make test on PostgreSQL 15 to 18; MAJORS="17" runs only these
	@test/matrix $(MAJORS)

test-upgrade: ## pg_upgrade and dump/restore of a managed database through the majors that are here; MAJORS="15 17 18" builds them
	@test/upgrade/run $(MAJORS)

check-core:   ## PostgreSQL's own suites with the library loaded; BUILD=assert, sanitize, valgrind: ours on such a build
	@test/core $(MAJORS)

oracle:       ## N (default 10000) random statements against the twin schema, half as many against the model, DDL against plain PostgreSQL, transactions on foreign keys against real deletes
	@test/run oracle --selects $(N) --transactions $$(( $(N) / 2 )) --stamps $$(( $(N) / 2 )) --naming $$(( $(N) / 10 )) --upserts $$(( $(N) / 10 )) --foreign-keys $(N)

fuzz:         ## random inputs for what reads text, N seconds (default 60) for each TARGETS; needs clang
	@test/fuzz/run --seconds $(if $(filter command line,$(origin N)),$(N),60) $(TARGETS)

bench:        ## benchmarks side by side
	@test/env/install build test bench
	@test/bench/run

dist:         ## orm_ext-VERSION.zip of what is committed, as PGXN takes it
	@git -c safe.directory='*' archive --format=zip --prefix=$(DISTNAME)/ --output=$(DISTDIR)/$(DISTNAME).zip HEAD
	@echo $(DISTDIR)/$(DISTNAME).zip

deb:          ## a Debian package for each supported major whose server headers are installed
	@test/package/build-deb $(DISTDIR)

test-deb:     ## builds the package, installs, uses and purges it in Debian folders of its own; MAJORS="15 17 18"
	@test/package/install-deb $(MAJORS)

orm-table:    ## plays what every ORM can do, and writes the table of README.md
	@test/run orm --write-table

lint:         ## format, static analysis, layers, symbols, settings
	@test/lint/run

format:       ## indents the sources in place
	@test/lint/format --write

help:         ## this list
	@sed -n 's/^\([a-z-]*\): *## \(.*\)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 14

.PHONY: all announce force-check demo demo-stop test test-matrix test-upgrade check-core oracle fuzz bench orm-table dist deb test-deb lint format help
