CREATE FUNCTION refuse_account_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'an account''s status may not change from % to %', OLD.status, NEW.status
        USING ERRCODE = 'check_violation';
END
$$;

CREATE TRIGGER accounts_status BEFORE UPDATE OF status ON accounts
FOR EACH ROW WHEN (
    (OLD.status, NEW.status) NOT IN (
        ('pending', 'connected'), ('connected', 'active'), ('connected', 'failed'), ('failed', 'connected')
    )
)
EXECUTE FUNCTION refuse_account_status();
