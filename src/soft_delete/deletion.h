/*-------------------------------------------------------------------------
 *
 * deletion.h
 *		What tells one deletion from another.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ORM_DELETION_H
#define ORM_DELETION_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "policy.h"

/* A deletion, as the marker of one of its rows tells it. */
typedef struct OrmDeletion
{
	bool		has_stamp;		/* or the transaction is all there is */
	bool		local;			/* the stamp is a timestamp without time zone */
	int			precision;		/* of the stamp, in digits of a second */
	Timestamp	stamp;
	TransactionId transaction;	/* that marked the row */
} OrmDeletion;

/* Values that a marker may have, from one to the other. */
typedef struct OrmMarkerRange
{
	Datum		from;
	Datum		to;
} OrmMarkerRange;

/* As many as there may be for one deletion: quarters of 16 hours, either way. */
#define ORM_MARKER_RANGES 129

extern OrmDeletion orm_deletion_at(TimestampTz stamp);
extern OrmDeletion orm_deletion_of(const OrmMarker *marker, Datum value,
								   TransactionId transaction);
extern bool orm_deletion_time(const OrmMarker *marker, Datum value, TimestampTz *stamp);
extern bool orm_deletion_is_stamped(const OrmDeletion *deletion, const OrmMarker *marker);
extern int	orm_deletion_ranges(const OrmDeletion *deletion, const OrmMarker *marker,
								OrmMarkerRange *ranges);

#endif							/* ORM_DELETION_H */
