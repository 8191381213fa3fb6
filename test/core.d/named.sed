# Names by which statements of the regression suite go, and what they are here.

# alter_table: a key of (id, name)
s/\<at_partitioned_id_name_key\>/at_partitioned_id_key/

# create_index: an index on an expression
s/\<concur_heap_expr_idx\>/concur_heap_f2_idx/

# foreign_key: foreign keys of two columns.  Those that PostgreSQL derives from them for partitions of
# the referenced table go by all columns, and lose a digit, since the name without it is free; on 18
# they go by the name of the key
s/\<fk_partitioned_fk_a_b_fkey\>/fk_partitioned_fk_a_fkey/
s/\<ref_f1_f2_fkey\>/ref_f1_fkey/
s/\<ref_f1_f2_fkey1\>/ref_f1_f2_fkey/
s/\<ref_f1_f2_fkey_1\>/ref_f1_fkey_1/
s/\<fk_r_p_id_p_jd_fkey_1\>/fk_r_p_id_fkey_1/
s/\<fk_r_p_id_p_jd_fkey\>/fk_r_p_id_fkey/
s/\<fk_r_p_id_p_jd_fkey1\>/fk_r_p_id_p_jd_fkey/

# indexing: indexes on expressions, one of each partition
s/\<\(idxpart[0-9]*\)_expr_idx\>/\1_a_idx/g

# inherit: a key of (val1, val2)
s/\<test_constraints_val1_val2_key\>/test_constraints_val1_key/
