-- Accounting as FreeRADIUS's users keep it, with the columns that a PPPoE session fills: one row per session, found by its
-- key when an update comes and by its address when a mail server asks. Stock tables have more columns and more indexes, so
-- they are no faster.
CREATE TABLE radacct (
    radacctid bigserial PRIMARY KEY,
    acctsessionid text NOT NULL,
    acctuniqueid text NOT NULL UNIQUE,
    username text,
    nasipaddress inet NOT NULL,
    nasportid text,
    acctstarttime timestamp with time zone,
    acctupdatetime timestamp with time zone,
    acctstoptime timestamp with time zone,
    framedipaddress inet,
    framedipv6prefix inet,
    delegatedipv6prefix inet,
    callingstationid text,
    class text
);
CREATE INDEX radacct_framedipaddress ON radacct (framedipaddress);
