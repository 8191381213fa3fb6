# Names by which statements of the regression suite go, and what they are here.

# create_index: an index on an expression
s/\<concur_heap_expr_idx\>/concur_heap_f2_idx/

# indexing: indexes on expressions, one of each partition
s/\<\(idxpart[0-9]*\)_expr_idx\>/\1_a_idx/g
