-- Purpose: mart.data_quality: what events state and Rapport cannot use: one row an amount of an order.
-- Needs: order_event

CREATE TABLE mart.data_quality AS
SELECT
    'unreadable_amount' AS problem,
    unreadable.field,
    unreadable.value ->> '$' AS value,
    name AS event_name,
    order_id,
    message_id,
    profile_id,
    occurred_at,
    source
FROM (
    SELECT
        *,
        unnest(
            list_concat(
                CASE WHEN revenue_is_unreadable THEN [{'field': 'revenue', 'value': revenue}] END,
                CASE WHEN total_is_unreadable THEN [{'field': 'total', 'value': total}] END,
                CASE WHEN is_blank THEN [{'field': 'total', 'value': CAST('""' AS JSON)}] END,
                CASE WHEN has_other_products THEN [{'field': 'products', 'value': product_list}] END,
                list_transform(
                    list_filter(range(1, len(products) + 1), lambda number : products[number].unreadable),
                    lambda number : {'field': 'products', 'value': json_extract(product_list, '$[*]')[number]}
                )
            )
        ) AS unreadable
    FROM order_event
    WHERE name <> 'Order Cancelled'
    AND (revenue_is_unreadable OR total_is_unreadable OR is_blank OR has_other_products OR any_unreadable(products))
)
ORDER BY occurred_at, message_id;

COMMENT ON TABLE mart.data_quality IS 'What events state and cannot be used: one row an amount of an order';
COMMENT ON COLUMN mart.data_quality.problem IS
    'unreadable_amount: an amount that is none, or that could be two, such as 1,234';
COMMENT ON COLUMN mart.data_quality.field IS 'Property that states it: revenue, total, or products';
COMMENT ON COLUMN mart.data_quality.value IS 'What it states, as text; of products the one product';
COMMENT ON COLUMN mart.data_quality.event_name IS 'Name of the event';
COMMENT ON COLUMN mart.data_quality.order_id IS 'The order, as in mart.fct_order';
COMMENT ON COLUMN mart.data_quality.message_id IS 'The event';
COMMENT ON COLUMN mart.data_quality.profile_id IS 'Today''s profile of its identifier';
COMMENT ON COLUMN mart.data_quality.occurred_at IS 'When the event occurred, UTC';
COMMENT ON COLUMN mart.data_quality.source IS 'What it came from: the name of a file, or stdin';
