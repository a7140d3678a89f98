-- +goose Up
-- +goose StatementBegin
CREATE FUNCTION lower_email() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.email := lower(NEW.email);
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER lower_email BEFORE INSERT OR UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION lower_email();

-- +goose Down
DROP TRIGGER lower_email ON customers;
DROP FUNCTION lower_email();
