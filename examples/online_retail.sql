-- One event per invoice of the UCI "Online Retail" data set (Daqing Chen, UCI Machine Learning Repository, CC BY 4.0).
--
--     rapport import online_retail.parquet --sql examples/online_retail.sql
--
-- Sales are `Order Completed`. A cancellation is an invoice of its own, with a C before its number, that does not say
-- which sale it takes back; so it is an `Order Refunded` of the order of its own number: revenue less refunded over all
-- orders is the file's sum of quantity x price.
-- Products carry sku, price and quantity and no name: the longest invoice has 675 lines, and with names it would
-- exceed the 32 KB that an event may have. For the same reason a quantity of 1, the default, is left out.
-- Prices are DECIMAL and stay exact. An invoice without a customer gets an anonymous id of its own.
-- The file's times have no zone and are taken as UTC; an invoice that spans two minutes counts from the first.
WITH invoice AS (
    SELECT
        InvoiceNo AS number,
        InvoiceNo LIKE 'C%' AS cancelled,
        any_value(CustomerID) AS customer,
        min(InvoiceDate) AS invoiced_at,
        any_value(Country) AS country,
        sum(Quantity * UnitPrice) AS amount,
        list(
            {
                sku: StockCode,
                price: UnitPrice,
                quantity: nullif(if(InvoiceNo LIKE 'C%', -Quantity, Quantity), 1)
            }
            ORDER BY StockCode, Quantity, UnitPrice
        ) AS products
    FROM source
    GROUP BY InvoiceNo
)

SELECT
    'track' AS type,
    if(cancelled, 'Order Refunded', 'Order Completed') AS event,
    customer::VARCHAR AS user_id,
    if(customer IS NULL, 'invoice-' || number, NULL) AS anonymous_id,
    'online-retail-' || number AS message_id,
    invoiced_at AS "timestamp",
    {
        order_id: number,
        revenue: if(cancelled, NULL, amount),
        total: if(cancelled, -amount, NULL),
        currency: 'GBP',
        country: country,
        products: products
    } AS properties,
    {channel: 'web'} AS context
FROM invoice
ORDER BY invoiced_at, number
