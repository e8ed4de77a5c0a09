-- Purpose: say in the database what the mart tables and columns are; `rapport query --tables` shows it.

COMMENT ON TABLE mart.bridge_identity IS 'Every identifier ever seen and the profile it belongs to today';
COMMENT ON COLUMN mart.bridge_identity.identifier_type IS 'user_id, email, phone, anonymous_id ...';
COMMENT ON COLUMN mart.bridge_identity.identifier_value IS 'Normalized value';
COMMENT ON COLUMN mart.bridge_identity.profile_id IS 'Today''s profile';
COMMENT ON COLUMN mart.bridge_identity.linked_at IS
    'When it came to this profile: the deciding merge or split, else first seen, UTC';

COMMENT ON VIEW mart.fct_event IS 'Every applied event once, with today''s profile of its identifier';
COMMENT ON COLUMN mart.fct_event.message_id IS 'messageId of the call, or one made from its content';
COMMENT ON COLUMN mart.fct_event.type IS 'track, identify, page, screen, group or alias';
COMMENT ON COLUMN mart.fct_event.name IS 'A track''s event name; a page''s or screen''s own name; else NULL';
COMMENT ON COLUMN mart.fct_event.channel IS
    'context.channel: web, mobile, email, chat, social, store, phone, support, survey, server, crm';
COMMENT ON COLUMN mart.fct_event.occurred_at IS 'When it happened, UTC, corrected for clock skew';
COMMENT ON COLUMN mart.fct_event.received_at IS 'When Rapport accepted it, UTC';
COMMENT ON COLUMN mart.fct_event.identifier_type IS
    'Type of the strongest identifier: user_id, email, phone, anonymous_id ...';
COMMENT ON COLUMN mart.fct_event.identifier_value IS 'Its normalized value';
COMMENT ON COLUMN mart.fct_event.profile_id IS 'Today''s profile of this identifier';
COMMENT ON COLUMN mart.fct_event.properties IS 'The call''s properties as they were sent, JSON';
COMMENT ON COLUMN mart.fct_event.traits IS 'The call''s traits as they were sent, JSON';
COMMENT ON COLUMN mart.fct_event.context IS 'The call''s context as it was sent, JSON';
COMMENT ON COLUMN mart.fct_event.group_id IS 'groupId of a group call';
COMMENT ON COLUMN mart.fct_event.source IS 'Where it came from: a file, an import, a write key';

COMMENT ON TABLE mart.fct_order IS 'One row an order id, from Order Completed, Updated, Refunded and Cancelled';
COMMENT ON COLUMN mart.fct_order.order_id IS 'properties.order_id, else the message id';
COMMENT ON COLUMN mart.fct_order.profile_id IS 'Today''s profile of the newest placement, else of the newest refund';
COMMENT ON COLUMN mart.fct_order.occurred_at IS 'When it was first placed, UTC';
COMMENT ON COLUMN mart.fct_order.updated_at IS 'Its newest event, UTC';
COMMENT ON COLUMN mart.fct_order.status IS
    'completed, partly_refunded, refunded, cancelled, or unplaced: refunds of an order never seen';
COMMENT ON COLUMN mart.fct_order.revenue IS
    'Amount by its newest placement: revenue, else total, else the sum of products';
COMMENT ON COLUMN mart.fct_order.refunded IS
    'Refunds summed up; the whole amount where it was cancelled or refunded without an amount';
COMMENT ON COLUMN mart.fct_order.currency IS 'Currency of the newest placement';
COMMENT ON COLUMN mart.fct_order.lines IS 'Number of product lines';
COMMENT ON COLUMN mart.fct_order.channel IS 'Channel of the newest placement';
COMMENT ON COLUMN mart.fct_order.products IS 'Product lines, JSON';

COMMENT ON TABLE mart.dim_customer IS 'One row a customer (a profile with at least one event)';
COMMENT ON COLUMN mart.dim_customer.profile_id IS 'Stable id of the profile';
COMMENT ON COLUMN mart.dim_customer.first_seen IS 'First occurred_at, UTC';
COMMENT ON COLUMN mart.dim_customer.last_seen IS 'Last occurred_at, UTC';
COMMENT ON COLUMN mart.dim_customer.event_count IS 'Applied events';
COMMENT ON COLUMN mart.dim_customer.order_count IS 'Orders completed or updated, in any currency';
COMMENT ON COLUMN mart.dim_customer.revenue IS 'Gross order amounts in the main currency';
COMMENT ON COLUMN mart.dim_customer.refunded IS 'Refunds and cancellations in the main currency';
COMMENT ON COLUMN mart.dim_customer.net_revenue IS 'revenue less refunded';
COMMENT ON COLUMN mart.dim_customer.currency IS 'Main currency: that of most orders';
COMMENT ON COLUMN mart.dim_customer.revenue_by_currency IS
    'Gross amount per currency; the empty text stands for none stated';
COMMENT ON COLUMN mart.dim_customer.first_order_at IS 'First order placed, UTC';
COMMENT ON COLUMN mart.dim_customer.last_order_at IS 'Last order placed, UTC';
COMMENT ON COLUMN mart.dim_customer.traits IS 'Traits from identify calls, JSON; per name the newest';
COMMENT ON COLUMN mart.dim_customer.email IS 'E-mail address sighted last';
COMMENT ON COLUMN mart.dim_customer.phone IS 'Phone number sighted last, E.164';
COMMENT ON COLUMN mart.dim_customer.user_id IS 'User id sighted last';
COMMENT ON COLUMN mart.dim_customer.identifier_count IS 'How many identifiers belong to this profile';
COMMENT ON COLUMN mart.dim_customer.channels IS 'Channels used, by name';
COMMENT ON COLUMN mart.dim_customer.first_channel IS 'Channel of the first event';
COMMENT ON COLUMN mart.dim_customer.last_channel IS 'Channel of the last event';
COMMENT ON COLUMN mart.dim_customer.last_event IS 'Name, else type, of the last event';

COMMENT ON VIEW mart.fct_trigger IS 'Every trigger: what was to be done for a customer, and why now';
COMMENT ON COLUMN mart.fct_trigger.trigger_id IS 'Deterministic: receivers act once per id';
COMMENT ON COLUMN mart.fct_trigger.rule IS 'Rule name';
COMMENT ON COLUMN mart.fct_trigger.version IS 'Version of the rule that acted';
COMMENT ON COLUMN mart.fct_trigger.profile_id IS 'Customer at the time it fired';
COMMENT ON COLUMN mart.fct_trigger.run_key IS 'What tells the runs of one rule for one customer apart';
COMMENT ON COLUMN mart.fct_trigger.action IS 'send, alert or webhook';
COMMENT ON COLUMN mart.fct_trigger.payload IS 'What to do it with, JSON';
COMMENT ON COLUMN mart.fct_trigger.fired_at IS 'When the rule fired, UTC, by the clock of its run';
COMMENT ON COLUMN mart.fct_trigger.event_at IS 'occurred_at of the event that started the run, UTC';

COMMENT ON VIEW mart.fct_rule_decision IS 'What rules decided, one row a matched run';
COMMENT ON COLUMN mart.fct_rule_decision.rule IS 'Rule name';
COMMENT ON COLUMN mart.fct_rule_decision.version IS 'Version of the rule that acted';
COMMENT ON COLUMN mart.fct_rule_decision.profile_id IS 'Customer at the time of the decision';
COMMENT ON COLUMN mart.fct_rule_decision.run_key IS 'What tells the runs of one rule for one customer apart';
COMMENT ON COLUMN mart.fct_rule_decision.message_id IS 'The event that led to it';
COMMENT ON COLUMN mart.fct_rule_decision.verdict IS
    'fired, shadow (would have), repeated (this run key has fired before) or missed (reopened too late)';
COMMENT ON COLUMN mart.fct_rule_decision.detail IS 'Why, in words';
COMMENT ON COLUMN mart.fct_rule_decision.decided_at IS 'When it was decided, UTC, by the clock of its run';

COMMENT ON TABLE mart.fct_identity_decision IS
    'Why identifiers became one person or did not: merges, refusals, splits, dropped identifiers';
COMMENT ON COLUMN mart.fct_identity_decision.decision IS 'Number, in order; NULL for a drop';
COMMENT ON COLUMN mart.fct_identity_decision.kind IS 'merge, refuse, split or drop (an identifier not used)';
COMMENT ON COLUMN mart.fct_identity_decision.winner IS
    'Profile that holds all afterwards; after a split the one that stays';
COMMENT ON COLUMN mart.fct_identity_decision.loser IS
    'Profile that was absorbed or refused; after a split the one that left';
COMMENT ON COLUMN mart.fct_identity_decision.reason IS 'Why; for a drop: blocked, malformed or too_long';
COMMENT ON COLUMN mart.fct_identity_decision.message_id IS 'The event that led to it';
COMMENT ON COLUMN mart.fct_identity_decision.decided_at IS 'When it was decided, UTC';
COMMENT ON COLUMN mart.fct_identity_decision.winner_identifier IS 'Root key of the winner';
COMMENT ON COLUMN mart.fct_identity_decision.loser_identifier IS 'Root key of the loser';
COMMENT ON COLUMN mart.fct_identity_decision.a IS 'Identifier key that was asked about or dropped';
COMMENT ON COLUMN mart.fct_identity_decision.b IS 'The other one';
COMMENT ON COLUMN mart.fct_identity_decision.moved IS 'Keys whose profile changed';

COMMENT ON VIEW mart.fct_rejected IS 'Refused input: where, why, and the original';
COMMENT ON COLUMN mart.fct_rejected.rejected_at IS 'When it was refused, UTC';
COMMENT ON COLUMN mart.fct_rejected.stage IS 'accept or identify';
COMMENT ON COLUMN mart.fct_rejected.code IS 'Error code: see the documentation';
COMMENT ON COLUMN mart.fct_rejected.field IS 'Where in the input; empty for the whole';
COMMENT ON COLUMN mart.fct_rejected.value IS 'The offending value, shortened';
COMMENT ON COLUMN mart.fct_rejected.expectation IS 'What would have been accepted';
COMMENT ON COLUMN mart.fct_rejected.source IS 'Where it came from';
COMMENT ON COLUMN mart.fct_rejected.payload IS 'The original as text; base64 where it is not UTF-8 or holds NUL';
COMMENT ON COLUMN mart.fct_rejected.payload_bytes IS 'The original bytes; above 64 KiB their beginning';
COMMENT ON COLUMN mart.fct_rejected.payload_length IS 'Length of the whole original in bytes';
COMMENT ON COLUMN mart.fct_rejected.payload_sha256 IS
    'SHA-256 of the whole original; empty where payload_bytes is whole';
COMMENT ON COLUMN mart.fct_rejected.rejection_id IS 'From the content: the same refusal twice is here once';
