-- Purpose: ids of orders, and their products, by the rules of profiles/orders.py. Temporary: they take nobody's names.

CREATE TEMP MACRO whole_text(number) AS
    CASE
        WHEN number = trunc(number) AND abs(number) < 9007199254740992 THEN CAST(CAST(number AS BIGINT) AS VARCHAR)
    END;

-- An id as text: 777, 777.0 and "777" are one. NULL where it is none.
CREATE TEMP MACRO id_text(value) AS
    CASE json_type(value)
        WHEN 'VARCHAR' THEN nullif(value ->> '$', '')
        WHEN 'UBIGINT' THEN CAST(value AS VARCHAR)
        WHEN 'BIGINT' THEN CAST(value AS VARCHAR)
        WHEN 'DOUBLE' THEN whole_text(TRY_CAST(CAST(value AS VARCHAR) AS DOUBLE))
    END;

-- What a list of products says, an entry each, with what their prices and quantities come to as amounts. Its value is
-- price times quantity; it is NULL where there is no price, or where one of both cannot be read: then it is
-- `unreadable`. A missing quantity is 1.
CREATE TEMP MACRO products_of(entries, prices, quantities) AS
    list_transform(
        list_transform(
            list_transform(
                list_zip(entries, prices, quantities),
                lambda product : {
                    'key': coalesce(id_text(product[1].product_id), id_text(product[1].sku)),
                    'price': product[2],
                    'quantity': CASE WHEN product[3].stated THEN product[3].amount ELSE 1 END
                }
            ),
            lambda product : {
                'key': product.key,
                'has_price': product.price.stated,
                'quantity': product.quantity,
                'value': TRY_CAST(TRY(product.price.amount * product.quantity) AS DECIMAL(30, 12))
            }
        ),
        lambda product : {
            'key': product.key,
            'quantity': product.quantity,
            'value': product.value,
            'unreadable': (product.has_price AND product.value IS NULL) OR product.quantity IS NULL
        }
    );

CREATE TEMP MACRO sum_of_values(products) AS
    CAST(list_sum(list_transform(products, lambda product : product.value)) AS DECIMAL(38, 6));

CREATE TEMP MACRO any_unreadable(products) AS
    coalesce(list_bool_or(list_transform(products, lambda product : product.unreadable)), false);
