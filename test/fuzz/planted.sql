-- Planted faults, for test/fuzz/run --self-test.  The setting fuzz.fault picks one.

CREATE PROCEDURE run(input text)
LANGUAGE plpgsql
AS $$
BEGIN
	ASSERT fuzz.planted(input, current_setting('fuzz.fault'));
END
$$;
