-- How a version came: sent, found inside of another version, or brought back from an earlier one. And on which page of a
-- passage a word stands.

alter table carrel.document_version
    add column origin text not null default 'upload' check (origin in ('upload', 'member', 'restore')),
    -- No foreign key: what it came from may be erased, and it came from there all the same.
    add column origin_version_id uuid,
    add constraint document_version_origin check ((origin = 'upload') = (origin_version_id is null));

-- What is known of those that came before this column.
update carrel.document_version v
set origin = 'member', origin_version_id = (d.metadata -> 'found_in' ->> 'version_id')::uuid
from carrel.document d
where d.id = v.document_id
  and d.metadata -> 'found_in' ->> 'version_id' ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
  and v.created_by ->> 'kind' = 'job';

update carrel.document_version v
set origin = 'restore', origin_version_id = a.subject
from carrel.audit_entry a
where a.workspace_id = v.workspace_id
  and a.action = 'restore_version'
  and a.subject is not null
  and a.details ->> 'version' = v.id::text;

-- Where within a passage the next pages begin: pairs of code points from its start and numbers; null when it lies on one
-- page, and for passages that were stored before.
alter table carrel.passage add column page_breaks jsonb;
