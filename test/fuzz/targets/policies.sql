-- orm_ext.trigger_policies() for whatever bytes pg_trigger.tgargs may hold.
-- Fields: the function, the bytes.
CREATE PROCEDURE run(input text)
LANGUAGE plpgsql
AS $$
DECLARE
	f text[] := fuzz.fields(input, 2);
	p record;
BEGIN
	FOR p IN SELECT * FROM orm_ext.trigger_policies(
		format('orm_ext.%s()', fuzz.pick(f[1], 'stamp', 'version', 'timestamps', 'soft_delete', 'touch_parent'))::regprocedure,
		fuzz.bytes(f[2]))
	LOOP
		ASSERT convert_from(convert_to(p.policy || p."column" || array_to_string(p.options, ','), 'UTF8'), 'UTF8') IS NOT NULL, 'not UTF-8';
	END LOOP;
END
$$;
