"""Views, functions, rules and materialized views over the random tables."""

from .model import Column, Function, LIVE_TEST, Relation

INT, TEXT = Column('id', 'int'), Column('name', 'text')
SHORT = (Column('id', 'int'), Column('grp', 'int'), Column('name', 'text'), Column('qty', 'int'))
LIST = 'id, grp, name, qty'


def add(builder):
    """Adds all of them to the schema of a builder."""
    views(builder)
    writable_views(builder)
    inlined(builder)
    opaque(builder)
    scalars(builder)
    deleting(builder)
    materialized(builder)


def base(builder, names='t_a t_b t_c t_d p_range p_list p_mark t_gen t_bump'):
    """A random table that has rows to hide."""
    return builder.schema.relation(builder.rng.choice(names.split()))


def view(builder, name, columns, query, options='', tail='', **attributes):
    """CREATE VIEW; read-only unless attributes say otherwise."""
    builder.schema.both(f'CREATE VIEW {name}{options} AS {query}{tail}')
    settings = {'kind': 'view', 'writes': '', 'sampled': False, 'merge': builder.version >= 170000, 'weight': 1}
    settings.update(attributes)
    builder.schema.relations.append(Relation(name, list(columns), **settings))


def views(builder):
    """Views that a SELECT can only read."""
    rng = builder.rng
    one, two = base(builder), base(builder)
    view(builder, 'v_join', (INT, TEXT, Column('grp', 'int'), Column('other', 'int', 'id')),
         f'SELECT x.id, x.name, x.grp, y.id AS other FROM {one.name} x LEFT JOIN {two.name} y ON y.ref = x.id',
         key=None, lockable=False)
    view(builder, 'v_agg', (Column('grp', 'int'), Column('n', 'bigint', 'qty'), Column('total', 'bigint', 'qty')),
         f'SELECT grp, count(*) AS n, sum(qty) AS total FROM {base(builder).name} GROUP BY grp',
         key='grp', lockable=False)
    members = [base(builder) for _ in range(rng.randint(2, 3))]
    view(builder, 'v_union', SHORT, ' UNION ALL '.join(f'SELECT {LIST} FROM {member.name}' for member in members),
         key=None, lockable=False)
    view(builder, 'v_distinct', (TEXT, Column('flag', 'bool')),
         f'SELECT DISTINCT name, qty > 4 AS flag FROM {base(builder).name}', key=None, lockable=False)
    view(builder, 'v_window', (INT, Column('place', 'bigint', 'qty')),
         f'SELECT id, rank() OVER (PARTITION BY grp ORDER BY qty, id) AS place FROM {base(builder).name}',
         lockable=False)
    view(builder, 'v_exists', SHORT,
         f'SELECT {LIST} FROM u_one x WHERE NOT EXISTS (SELECT 1 FROM {base(builder).name} y WHERE y.ref = x.id)')


def writable_views(builder):
    """Auto-updatable views, and one each with rules and INSTEAD OF triggers."""
    rng, schema = builder.rng, builder.schema
    whole = base(builder, 't_a t_b t_c p_range')
    view(builder, 'v_plain', whole.columns, f'SELECT * FROM {whole.name}', marker=whole.marker, writes='iud',
         partition_key=None, fixed=whole.fixed, unique=whole.unique)
    view(builder, 'v_cols', SHORT, f'SELECT {LIST} FROM {base(builder, "t_a t_b t_c t_d").name} WHERE qty < 8',
         writes='iud')
    view(builder, 'v_barrier', SHORT, f'SELECT {LIST} FROM {base(builder).name} WHERE coalesce(grp, 0) < 6',
         ' WITH (security_barrier)', writes='ud')
    view(builder, 'v_check', SHORT, f'SELECT {LIST} FROM {base(builder, "t_a t_b t_c t_d").name} WHERE qty >= 2',
         tail=f' WITH {rng.choice(("LOCAL", "CASCADED"))} CHECK OPTION', writes='iud')
    view(builder, 'v_nested', (INT, TEXT, Column('qty', 'int')), 'SELECT id, name, qty FROM v_plain WHERE qty > 0',
         writes='ud')
    view(builder, 'v_mixed', (INT, TEXT, Column('other', 'text', 'name')),
         'SELECT v.id, v.name, x.name AS other FROM v_plain v LEFT JOIN v_barrier x ON x.grp = v.qty',
         key=None, lockable=False)
    alive = base(builder, 't_a t_b t_c t_d p_range p_list')
    live = LIVE_TEST[alive.marker.type].format(alive.marker.name)
    view(builder, 'v_alive', SHORT, f'SELECT {LIST} FROM {alive.name} WHERE {live}', writes='ud')
    computed = (INT, Column('title', 'text', 'name'), Column('qty', 'int'), Column('twice', 'int', 'qty'))
    view(builder, 'v_expression', computed,
         f'SELECT id, upper(name) AS title, qty, qty * 2 AS twice FROM {base(builder).name}', writes='d')
    view(builder, 'v_invoker', SHORT, f'SELECT {LIST} FROM {base(builder, "t_a t_c t_rls").name}',
         ' WITH (security_invoker)', writes='ud')

    ruled = base(builder, 't_a t_b t_c t_d')
    view(builder, 'v_rule', SHORT, f'SELECT {LIST} FROM {ruled.name}', writes='ud', merge=False)
    schema.both(
        f"""CREATE RULE del AS ON DELETE TO v_rule DO INSTEAD
            DELETE FROM {ruled.name} WHERE id = OLD.id RETURNING id, grp, name, qty""",
        f"""CREATE RULE upd AS ON UPDATE TO v_rule DO INSTEAD
            UPDATE {ruled.name} SET grp = NEW.grp, name = NEW.name, qty = NEW.qty
            WHERE id = OLD.id RETURNING id, grp, name, qty""")
    triggered = base(builder, 't_a t_b t_c t_d')
    view(builder, 'v_trigger', SHORT, f'SELECT {LIST} FROM {triggered.name}', writes='d', lockable=False)
    schema.both(
        f"""CREATE FUNCTION instead_of_delete() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                DELETE FROM {triggered.name} WHERE id = OLD.id;
                IF NOT FOUND THEN RETURN NULL; END IF;
                RETURN OLD;
            END $$""",
        'CREATE TRIGGER del INSTEAD OF DELETE ON v_trigger FOR EACH ROW EXECUTE FUNCTION instead_of_delete()')


def inlined(builder):
    """SQL functions whose body the planner pulls into the query."""
    schema, whole = builder.schema, base(builder)
    schema.both(
        f"""CREATE FUNCTION f_rows(int) RETURNS SETOF {whole.name} LANGUAGE sql STABLE
            AS 'SELECT * FROM {whole.name} WHERE grp = $1'""",
        f"""CREATE FUNCTION f_all() RETURNS SETOF {whole.name} LANGUAGE sql STABLE PARALLEL SAFE
            AS 'SELECT * FROM {whole.name}'""",
        f"""CREATE FUNCTION f_atomic(g int) RETURNS TABLE (id int, grp int, name text, qty int) LANGUAGE sql STABLE
            BEGIN ATOMIC SELECT {LIST} FROM {base(builder).name} x WHERE x.grp >= g; END""",
        f"""CREATE FUNCTION f_join() RETURNS TABLE (id int, grp int, name text, qty int) LANGUAGE sql STABLE AS
            'SELECT x.id, y.grp, x.name, y.qty FROM {base(builder).name} x
             LEFT JOIN {base(builder).name} y ON y.ref = x.id'""",
        f"""CREATE FUNCTION f_view() RETURNS TABLE (id int, grp int, name text, qty int) LANGUAGE sql STABLE
            BEGIN ATOMIC SELECT {LIST} FROM v_cols UNION ALL SELECT {LIST} FROM {base(builder).name}; END""")
    schema.functions += [
        Function('f_rows', ('grp',), whole.columns), Function('f_all', (), whole.columns),
        Function('f_atomic', ('grp',), SHORT), Function('f_join', (), SHORT), Function('f_view', (), SHORT),
    ]


def opaque(builder):
    """Functions that run their own plans."""
    schema, whole = builder.schema, base(builder)
    schema.both(
        f"""CREATE FUNCTION f_volatile(int) RETURNS SETOF {whole.name} LANGUAGE sql VOLATILE
            AS 'SELECT * FROM {whole.name} WHERE grp = $1'""",
        f"""CREATE FUNCTION f_plpgsql(g int) RETURNS TABLE (id int, grp int, name text, qty int)
            LANGUAGE plpgsql STABLE AS $$
            #variable_conflict use_column
            BEGIN
                RETURN QUERY SELECT {LIST} FROM {base(builder).name} WHERE grp = g;
                RETURN QUERY SELECT {LIST} FROM v_barrier WHERE qty > g;
            END $$""",
        f"""CREATE FUNCTION f_loop(g int) RETURNS SETOF int LANGUAGE plpgsql STABLE AS $$
            DECLARE item record;
            BEGIN
                FOR item IN SELECT * FROM {base(builder).name} WHERE qty >= g ORDER BY id LOOP
                    RETURN NEXT item.id;
                END LOOP;
            END $$""",
        f"""CREATE FUNCTION f_dynamic(g int) RETURNS SETOF int LANGUAGE plpgsql STABLE AS $$
            BEGIN
                RETURN QUERY EXECUTE 'SELECT id FROM {base(builder).name} WHERE grp = $1' USING g;
            END $$""")
    schema.functions += [
        Function('f_volatile', ('grp',), whole.columns), Function('f_plpgsql', ('grp',), SHORT),
        Function('f_loop', ('qty',), (Column('f_loop', 'int', 'id'),)),
        Function('f_dynamic', ('grp',), (Column('f_dynamic', 'int', 'id'),)),
    ]


def scalars(builder):
    """Functions that return one value."""
    schema = builder.schema
    schema.both(
        f"""CREATE FUNCTION s_count(int) RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
            AS 'SELECT count(*) FROM {base(builder).name} WHERE grp = $1'""",
        f"""CREATE FUNCTION s_name(i int) RETURNS text LANGUAGE sql STABLE
            RETURN (SELECT max(name) FROM {base(builder).name} WHERE ref = i)""",
        f"""CREATE FUNCTION s_sum(g int) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
            DECLARE total bigint;
            BEGIN
                SELECT sum(qty) INTO total FROM {base(builder).name} WHERE grp = g;
                RETURN total;
            END $$""")
    schema.scalars += [Function('s_count', ('grp',), (), 'bigint'), Function('s_name', ('id',), (), 'text'),
                       Function('s_sum', ('grp',), (), 'bigint')]


def deleting(builder):
    """Functions that delete, and say how many rows there were."""
    schema, tables = builder.schema, 't_a t_b t_c t_d p_range p_list t_gen'
    schema.both(
        f"""CREATE FUNCTION d_sql(int) RETURNS SETOF int LANGUAGE sql
            AS 'DELETE FROM {base(builder, tables).name} WHERE grp = $1 RETURNING id'""",
        f"""CREATE FUNCTION d_atomic(g int) RETURNS SETOF text LANGUAGE sql
            BEGIN ATOMIC DELETE FROM {base(builder, tables).name} x WHERE x.grp = g RETURNING x.name; END""",
        f"""CREATE FUNCTION d_count(g int) RETURNS text LANGUAGE plpgsql AS $$
            DECLARE n bigint; first boolean;
            BEGIN
                DELETE FROM {base(builder, tables).name} WHERE grp = g;
                GET DIAGNOSTICS n = ROW_COUNT;
                first := FOUND;
                PERFORM 1 FROM {base(builder, tables).name} WHERE grp = g;
                RETURN n || ' ' || first || ' ' || FOUND;
            END $$""",
        *(d_loop(base(builder, tables).name), d_current(base(builder, tables).name)),
        f"""CREATE FUNCTION d_returning(g int) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS $$
            DECLARE item record; total bigint := 0; k int;
            BEGIN
                FOR item IN DELETE FROM {base(builder, tables).name} WHERE grp = g RETURNING * LOOP
                    total := total + item.id;
                END LOOP;
                WITH d AS (DELETE FROM {base(builder, tables).name} WHERE qty = g RETURNING id)
                SELECT count(*) INTO k FROM d;
                RETURN total || ' ' || k;
            END $$""",
        f"""CREATE FUNCTION d_twice(g int) RETURNS text LANGUAGE plpgsql AS $$
            DECLARE a int; b int; c int;
            BEGIN
                DELETE FROM {base(builder, tables).name} WHERE id = g * 5 + 1 RETURNING id INTO a;
                EXECUTE 'DELETE FROM {base(builder, tables).name} WHERE qty = $1' USING g;
                GET DIAGNOSTICS b = ROW_COUNT;
                BEGIN
                    DELETE FROM {base(builder, tables).name} WHERE ref = g;
                    GET DIAGNOSTICS c = ROW_COUNT;
                    PERFORM 1 / (g % 2);
                EXCEPTION WHEN division_by_zero THEN
                    c := -c;
                END;
                RETURN (a IS NULL) || ' ' || b || ' ' || c;
            END $$""",
        f"""CREATE FUNCTION u_count(g int) RETURNS text LANGUAGE plpgsql AS $$
            DECLARE n bigint;
            BEGIN
                UPDATE {base(builder, tables).name} SET qty = qty % 8 + 1 WHERE grp = g;
                GET DIAGNOSTICS n = ROW_COUNT;
                RETURN n || ' ' || FOUND;
            END $$""")
    schema.actions += [Function(name, ('grp',), ()) for name in
                       ('d_sql', 'd_atomic', 'd_count', 'd_loop', 'd_current', 'd_returning', 'd_twice', 'u_count')]
    schema.both(f"""CREATE FUNCTION peek() RETURNS bigint LANGUAGE plpgsql SET orm_ext.deleted_rows = 'show' AS $$
                    BEGIN
                        RETURN s_sum(3) + s_count(2) + (SELECT count(*) FROM {base(builder, tables).name});
                    END $$""")


def d_loop(table):
    """Deletes row by row, by key, and counts how many a second attempt still finds."""
    return f"""CREATE FUNCTION d_loop(g int) RETURNS text LANGUAGE plpgsql AS $$
            DECLARE item record; n int := 0; again int := 0; k int;
            BEGIN
                FOR item IN SELECT * FROM {table} WHERE grp = g ORDER BY id LOOP
                    DELETE FROM {table} WHERE id = item.id;
                    GET DIAGNOSTICS k = ROW_COUNT;
                    n := n + k;
                    DELETE FROM {table} WHERE id = item.id;
                    GET DIAGNOSTICS k = ROW_COUNT;
                    again := again + k;
                END LOOP;
                RETURN n || ' ' || again;
            END $$"""


def d_current(table):
    """Deletes through a cursor's position."""
    return f"""CREATE FUNCTION d_current(g int) RETURNS text LANGUAGE plpgsql AS $$
            DECLARE c CURSOR FOR SELECT * FROM {table} WHERE grp = g FOR UPDATE; n int := 0; k int;
            BEGIN
                FOR item IN c LOOP
                    DELETE FROM {table} WHERE CURRENT OF c;
                    GET DIAGNOSTICS k = ROW_COUNT;
                    n := n + k;
                END LOOP;
                RETURN n || ' ' || FOUND;
            END $$"""


def materialized(builder):
    """A materialized view: what REFRESH stores are the live rows."""
    builder.schema.both(f'CREATE MATERIALIZED VIEW mv AS SELECT {LIST} FROM {base(builder).name} WHERE qty > 0')
    builder.schema.relations.append(Relation('mv', list(SHORT), kind='matview', writes='', lockable=False))
    builder.schema.matviews.append('mv')
