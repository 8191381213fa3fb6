-- A forum with articles: self-references, many-to-many, polymorphic and composite keys,
-- expression indexes, names that are as long as they may be.

CREATE TABLE members (
	id bigserial PRIMARY KEY,
	login text NOT NULL UNIQUE,
	email text NOT NULL,
	locale varchar(5) NOT NULL DEFAULT 'en',
	trust_level smallint NOT NULL DEFAULT 0 CHECK (trust_level BETWEEN 0 AND 4),
	invited_by bigint REFERENCES members ON DELETE SET NULL,
	joined_on date NOT NULL DEFAULT current_date,
	left_on date,
	CHECK (left_on >= joined_on)
);
CREATE UNIQUE INDEX ON members (lower(email));
CREATE INDEX ON members (invited_by);
CREATE INDEX ON members (joined_on DESC) WHERE left_on IS NULL;

CREATE TABLE circles (
	id serial PRIMARY KEY,
	name text NOT NULL UNIQUE,
	owner_id bigint NOT NULL REFERENCES members
);
CREATE INDEX ON circles (owner_id);

CREATE TABLE circle_members (
	circle_id int REFERENCES circles ON DELETE CASCADE,
	member_id bigint REFERENCES members ON DELETE CASCADE,
	since timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (circle_id, member_id)
);
CREATE INDEX ON circle_members (member_id);

CREATE TABLE boards (
	id serial PRIMARY KEY,
	parent_id int REFERENCES boards,
	position int NOT NULL DEFAULT 0 CHECK (position >= 0),
	slug text NOT NULL,
	title text NOT NULL CHECK (title <> ''),
	read_by int REFERENCES circles,
	UNIQUE (parent_id, slug),
	UNIQUE (parent_id, position),
	CHECK (id <> parent_id)
);

CREATE TABLE threads (
	id bigserial PRIMARY KEY,
	board_id int NOT NULL REFERENCES boards,
	author_id bigint NOT NULL REFERENCES members,
	title text NOT NULL,
	pinned_until timestamptz,
	reply_count int NOT NULL DEFAULT 0,
	labels text[] NOT NULL DEFAULT '{}',
	UNIQUE (board_id, title)
);
CREATE INDEX ON threads (board_id, pinned_until DESC NULLS LAST);
CREATE INDEX ON threads (author_id) INCLUDE (title);
CREATE INDEX ON threads USING gin (labels);
CREATE INDEX ON threads ((reply_count / 10), board_id);

CREATE TABLE posts (
	id bigserial PRIMARY KEY,
	thread_id bigint NOT NULL REFERENCES threads ON DELETE CASCADE,
	author_id bigint NOT NULL REFERENCES members,
	reply_to bigint REFERENCES posts,
	number int NOT NULL,
	body text NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now(),
	UNIQUE (thread_id, number),
	UNIQUE (thread_id, id),
	FOREIGN KEY (thread_id, reply_to) REFERENCES posts (thread_id, id)
);
CREATE INDEX ON posts (author_id);
CREATE INDEX ON posts (reply_to);
CREATE INDEX ON posts (created_at);
CREATE INDEX ON posts USING gin (to_tsvector('simple', body));

ALTER TABLE threads ADD COLUMN best_post bigint UNIQUE,
	ADD FOREIGN KEY (id, best_post) REFERENCES posts (thread_id, id) DEFERRABLE INITIALLY DEFERRED;

CREATE TABLE revisions (
	post_id bigint REFERENCES posts ON DELETE CASCADE,
	number int,
	editor_id bigint NOT NULL REFERENCES members,
	body text NOT NULL,
	PRIMARY KEY (post_id, number)
);

CREATE TABLE tags (
	id serial PRIMARY KEY,
	name text NOT NULL,
	synonym_of int REFERENCES tags
);
CREATE UNIQUE INDEX ON tags (lower(name));

CREATE TABLE threads_tags (
	thread_id bigint NOT NULL REFERENCES threads,
	tag_id int NOT NULL REFERENCES tags,
	UNIQUE (thread_id, tag_id),
	UNIQUE (tag_id, thread_id)
);

CREATE TABLE reactions (
	member_id bigint REFERENCES members,
	target_type text,
	target_id bigint,
	kind text NOT NULL CHECK (kind IN ('like', 'laugh', 'thanks')),
	PRIMARY KEY (member_id, target_type, target_id, kind)
);
CREATE INDEX ON reactions (target_type, target_id);

CREATE TABLE private_messages (
	id bigserial PRIMARY KEY,
	sender_id bigint NOT NULL REFERENCES members,
	recipient_id bigint NOT NULL REFERENCES members,
	sent_at timestamptz NOT NULL DEFAULT now(),
	read_at timestamptz,
	CHECK (sender_id <> recipient_id),
	CHECK (read_at >= sent_at)
);
CREATE INDEX ON private_messages (sender_id, sent_at);
CREATE INDEX ON private_messages (recipient_id, sent_at);
CREATE INDEX ON private_messages (recipient_id) WHERE read_at IS NULL;

CREATE TABLE thread_subscription_notification_preferences_of_members (
	member_id bigint REFERENCES members,
	thread_id bigint REFERENCES threads,
	delivery_channel_for_immediate_notifications text
		CHECK (delivery_channel_for_immediate_notifications IN ('mail', 'push')),
	delivery_channel_for_collected_notifications text UNIQUE,
	PRIMARY KEY (member_id, thread_id)
);
CREATE INDEX ON thread_subscription_notification_preferences_of_members (thread_id);
CREATE INDEX ON thread_subscription_notification_preferences_of_members
	(delivery_channel_for_immediate_notifications, delivery_channel_for_collected_notifications);

CREATE TABLE suspensions (
	member_id bigint NOT NULL REFERENCES members,
	during tstzrange NOT NULL CHECK (NOT isempty(during)),
	imposed_by bigint NOT NULL REFERENCES members,
	EXCLUDE USING gist (during WITH &&)
);

CREATE TABLE "Pages" (
	"Id" int PRIMARY KEY,
	"Parent Id" int REFERENCES "Pages",
	"größe" int CHECK ("größe" > 0),
	"Path" text UNIQUE
);
CREATE INDEX ON "Pages" ("Parent Id");

-- The two tables' first keys would have one name.
CREATE TABLE page (visit_id int UNIQUE, path text);
CREATE TABLE page_visit (id int UNIQUE, at timestamptz);
