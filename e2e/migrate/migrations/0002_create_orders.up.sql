CREATE TABLE orders (
    id          bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint  NOT NULL REFERENCES customers (id),
    total_cents integer NOT NULL CHECK (total_cents >= 0)
);
CREATE INDEX orders_customer_id ON orders (customer_id);
