-- Large collections are removed in two steps: out of sight in the request, cleared by a job in batches. And what deletion
-- has to look up for every row gets an index, so that its cost grows with what is deleted and not with what is kept.

alter table carrel.collection add column removed_at timestamptz;

-- A removed collection gives its name back at once. The new index stands before the old constraint goes.
create unique index collection_name_free on carrel.collection (workspace_id, name) where removed_at is null;
alter table carrel.collection drop constraint collection_name_unique;
alter index carrel.collection_name_free rename to collection_name_unique;

create index collection_removed on carrel.collection (workspace_id) where removed_at is not null;

-- The wall hides what is removed: search, lists and uploads begin with this table, so none of them can forget it. Only
-- the transactions that remove and clear see through, and say so.
alter policy workspace_wall on carrel.collection
    using (
        workspace_id = (select carrel.current_workspace())
        and (removed_at is null or (select current_setting('carrel.sees_removed', true)) = 'yes')
    )
    with check (workspace_id = (select carrel.current_workspace()));

-- Deleting a version asks which document has it as the current one; without this, every document is looked at each time.
create index document_current_version on carrel.document (current_version_id) where current_version_id is not null;

-- Deleting a passage asks for its vectors in every generation, so the passage comes first.
alter table carrel.embedding drop constraint embedding_pkey;
alter table carrel.embedding add primary key (passage_no, generation);
