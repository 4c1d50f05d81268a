CREATE TRIGGER accounts_status BEFORE UPDATE OF status ON accounts
WHEN (OLD.status, NEW.status) NOT IN (
    VALUES ('pending', 'connected'), ('connected', 'active'), ('connected', 'failed'), ('failed', 'connected')
)
BEGIN
    SELECT RAISE(ABORT, 'an account''s status may not change this way');
END;
