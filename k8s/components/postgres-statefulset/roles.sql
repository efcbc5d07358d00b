-- Run once, as superuser, in the new database. The owner of the schema makes carrel_app, carrel_queue and the services'
-- login by itself (`carrel admin migrate`); what it may not do is install an extension.
create extension if not exists vector;
\set password `cat /run/secrets/postgres/owner_password`
create role carrel_owner login createrole password :'password';
alter database carrel owner to carrel_owner;
grant all on schema public to carrel_owner;
