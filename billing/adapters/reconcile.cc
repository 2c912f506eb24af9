#include "billing/adapters/reconcile.h"

#include "base/pg/types.h"
#include "billing/adapters/receipt_days.h"

namespace tidegate::billing {

namespace {

constexpr ReconcileCheck kChecks[] = {
    {"I1", "every ledger transaction sums to zero per currency and has entries",
     R"sql(SELECT json_build_object('tx', t.id, 'currency', e.currency, 'sum', sum(e.amount))
             FROM ledger_tx t LEFT JOIN ledger_entries e ON e.tx = t.id
            GROUP BY t.id, e.currency HAVING coalesce(sum(e.amount), 1) <> 0)sql"},
    {"I2", "a wallet's balance is minus the sum of its prepaid and grant entries",
     R"sql(SELECT json_build_object('wallet', w.id, 'balance', w.balance, 'ledger', coalesce(l.balance, 0))
             FROM wallets w LEFT JOIN (
                    SELECT a.wallet_id, -sum(e.amount) AS balance FROM ledger_entries e
                      JOIN ledger_accounts a ON a.id = e.account AND a.kind IN ('prepaid', 'grant') GROUP BY 1) l
               ON l.wallet_id = w.id
            WHERE w.balance <> coalesce(l.balance, 0))sql"},
    {"I3", "the revenue of a posting is the sum of the ratings and lines it posted less those it voided",
     R"sql(WITH lines AS (
             SELECT tx, sum(amount) AS amount FROM (
               SELECT posting AS tx, sum(amount) AS amount FROM usage_log WHERE posting IS NOT NULL GROUP BY 1
               UNION ALL SELECT posting, amount FROM posting_lines
               UNION ALL SELECT posting, amount FROM usage_reratings WHERE posting IS NOT NULL
               UNION ALL SELECT reversal, -old_amount FROM usage_reratings WHERE reversal IS NOT NULL
               UNION ALL SELECT tx, amount FROM usage_dropped_postings) each_kind GROUP BY 1)
           SELECT json_build_object('tx', coalesce(r.tx, l.tx), 'revenue', r.revenue, 'lines', l.amount)
             FROM (SELECT t.id AS tx, -coalesce(sum(e.amount) FILTER (WHERE a.kind = 'revenue'), 0) AS revenue
                     FROM ledger_tx t LEFT JOIN ledger_entries e ON e.tx = t.id
                     LEFT JOIN ledger_accounts a ON a.id = e.account
                    WHERE t.source_type IN ('usage_batch', 'rerating') GROUP BY t.id) r
             FULL JOIN lines l ON l.tx = r.tx
            WHERE coalesce(r.revenue, 0) <> coalesce(l.amount, 0)
           UNION ALL
           SELECT json_build_object('event', id, 'unposted', amount) FROM usage_log WHERE posting IS NULL AND amount <> 0)sql"},
    {"I4", "every event has exactly one live rating; the amount of each rating is the sum of its lines",
     R"sql(SELECT json_build_object('event', u.id, 'amount', u.amount, 'tariff', u.tariff)
             FROM usage_log u LEFT JOIN usage_tariffs t ON t.id = u.tariff LEFT JOIN price_versions v ON v.id = t.price_version
            WHERE u.amount IS DISTINCT FROM tariff_amount(u.hit, u.miss, u.output, t.hit_micro_per_1m, t.miss_micro_per_1m,
                                                          t.output_micro_per_1m, t.mod_num, t.mod_den, v.minimum_charge)
           UNION ALL
           SELECT json_build_object('event', r.event_id, 'rating', r.rating_no, 'amount', r.amount, 'voids', r.old_amount)
             FROM usage_reratings r
             LEFT JOIN usage_log u ON u.id = r.event_id
             LEFT JOIN usage_reratings b ON b.event_id = r.event_id AND b.rating_no = r.rating_no - 1
             LEFT JOIN usage_tariffs t ON t.id = r.tariff LEFT JOIN price_versions v ON v.id = t.price_version
            WHERE r.old_amount IS DISTINCT FROM CASE WHEN r.rating_no = 2 THEN u.amount ELSE b.amount END
               OR r.amount IS DISTINCT FROM tariff_amount(u.hit, u.miss, u.output, t.hit_micro_per_1m, t.miss_micro_per_1m,
                                                          t.output_micro_per_1m, t.mod_num, t.mod_den, v.minimum_charge))sql"},
    {"I5", "token counts, which are the quantities of the lines, are not negative, and reasoning is part of the output",
     R"sql(SELECT json_build_object('event', id, 'hit', hit, 'miss', miss, 'output', output, 'reasoning', reasoning)
             FROM usage_log WHERE hit < 0 OR miss < 0 OR output < 0 OR reasoning NOT BETWEEN 0 AND output)sql"},
    // The band is asked for once a minute and version, or once a second where a window does not begin on a whole
    // minute.
    {"I6", "the price version is for the model and in force at the price instant; band and rates are the book's",
     R"sql(SELECT json_build_object('event', u.id, 'price_version', t.price_version, 'band', t.band, 'priced_at', u.priced_at)
             FROM live_ratings u JOIN usage_tariffs t ON t.id = u.tariff JOIN price_versions v ON v.id = t.price_version
             JOIN usage_payers p ON p.id = u.payer JOIN usage_routes r ON r.id = u.route JOIN wallets w ON w.id = p.wallet_id
            CROSS JOIN LATERAL (SELECT CASE v.basis WHEN 'completed_at' THEN u.completed_at
                                WHEN 'started_at' THEN u.started_at ELSE u.admitted_at END AS instant,
                                u.clock_err_us * interval '1 microsecond' AS err) b
            WHERE NOT v.effective @> u.priced_at OR v.model <> r.model OR v.currency <> w.currency
               OR v.tenant NOT IN ('', p.tenant_id::text) OR v.region NOT IN ('', r.region) OR v.pool NOT IN ('', r.pool)
               OR u.priced_at NOT BETWEEN b.instant - b.err AND b.instant + b.err
           UNION ALL
           SELECT json_build_object('event', s.event, 'price_version', s.price_version, 'band', s.band, 'at', s.slot,
                                    'in_force', band_in_force(s.price_version, s.slot))
             FROM (SELECT t.price_version, t.band, date_trunc(g.unit, u.priced_at) AS slot, min(u.id::text) AS event
                     FROM live_ratings u JOIN usage_tariffs t ON t.id = u.tariff
                     JOIN (SELECT v.id, CASE WHEN EXISTS (SELECT 1 FROM price_windows w WHERE w.price_version = v.id
                                  AND (w.start_s % 60 <> 0 OR w.end_s % 60 <> 0)) THEN 'second' ELSE 'minute' END AS unit
                             FROM price_versions v) g ON g.id = t.price_version
                    GROUP BY 1, 2, 3) s
            WHERE band_in_force(s.price_version, s.slot) IS DISTINCT FROM s.band)sql"},
    {"I12", "a second implementation, in SQL, rates every event alike: version, band, instant, rates and amount to the pico",
     R"sql(WITH lines AS (
             SELECT l.event_id, max(l.micro_per_1m) FILTER (WHERE l.meter = 'input_cache_hit') AS hit_micro,
                    max(l.micro_per_1m) FILTER (WHERE l.meter = 'input_cache_miss') AS miss_micro,
                    max(l.micro_per_1m) FILTER (WHERE l.meter = 'output') AS output_micro,
                    sum(l.amount) FILTER (WHERE l.meter = 'input_cache_hit') AS hit_amount,
                    sum(l.amount) FILTER (WHERE l.meter = 'input_cache_miss') AS miss_amount,
                    sum(l.amount) FILTER (WHERE l.meter = 'output') AS output_amount,
                    coalesce(sum(l.amount) FILTER (WHERE l.meter = 'minimum_charge'), 0) AS minimum,
                    max(l.mod_num) AS mod_num, max(l.mod_den) AS mod_den,
                    bool_and((l.price_version, l.band) = (u.price_version, u.band)) AS is_consistent
               FROM rated_lines l JOIN usage_events u ON u.id = l.event_id WHERE l.rating_no = 1
              GROUP BY l.event_id)
           SELECT json_build_object('event', u.id, 'amount', u.amount, 'rerated', r.amount, 'band', u.band, 'band_rerated',
                                    r.band, 'priced_at', u.priced_at, 'priced_at_rerated', r.priced_at)
             FROM usage_events u LEFT JOIN rerate('usage_events') r ON r.id = u.id LEFT JOIN lines l ON l.event_id = u.id
            WHERE (u.amount, u.band, u.priced_at) IS DISTINCT FROM (r.amount, r.band, r.priced_at)
               OR l.is_consistent IS DISTINCT FROM true
               OR (l.hit_micro, l.miss_micro, l.output_micro) IS DISTINCT FROM (r.hit_micro, r.miss_micro, r.output_micro)
               OR (l.mod_num, l.mod_den) IS DISTINCT FROM (r.mod_num, r.mod_den)
               OR (l.hit_amount, l.miss_amount, l.output_amount, l.minimum)
                  IS DISTINCT FROM (r.hit_amount, r.miss_amount, r.output_amount, r.minimum_top_up))sql"},
    {"I7", "a grant's consumption is the sum of its uses, none after its expiry, and what is left of it is its account",
     R"sql(SELECT json_build_object('grant', g.id, 'consumed', g.consumed, 'uses', coalesce(sum(u.amount), 0),
                                    'late', count(*) FILTER (WHERE u.used_at >= g.expires_at))
             FROM grants g LEFT JOIN grant_uses u ON u.grant_id = g.id
            GROUP BY g.id
           HAVING g.consumed <> coalesce(sum(u.amount), 0) OR count(*) FILTER (WHERE u.used_at >= g.expires_at) > 0
           UNION ALL
           SELECT json_build_object('grant', g.id, 'left', g.amount - g.consumed - g.lapsed, 'ledger', coalesce(-sum(e.amount), 0))
             FROM grants g LEFT JOIN ledger_accounts a ON a.grant_id = g.id LEFT JOIN ledger_entries e ON e.account = a.id
            GROUP BY g.id HAVING g.amount - g.consumed - g.lapsed <> coalesce(-sum(e.amount), 0))sql"},
    {"I8", "what a wallet has leased is what its leases hold unspent",
     R"sql(SELECT json_build_object('wallet', w.id, 'leased', w.leased, 'held', coalesce(l.held, 0))
             FROM wallets w LEFT JOIN (
                    SELECT wallet_id, sum(amount - consumed) AS held FROM leases
                     WHERE state IN ('open', 'draining', 'quarantined') GROUP BY 1) l ON l.wallet_id = w.id
            WHERE w.leased <> coalesce(l.held, 0))sql"},
    {"I9", "the sequences of an epoch are 1..n without gap or overlap, and n events came of them",
     R"sql(SELECT json_build_object('gateway', e.gateway_id, 'epoch', e.epoch, 'applied_through', e.applied_through,
                                    'in_batches', coalesce(b.n, 0), 'last', b.last, 'events', coalesce(u.n, 0))
             FROM epochs e
             LEFT JOIN (SELECT gateway_id, epoch, sum(upper(seqs) - lower(seqs)) AS n, min(lower(seqs)) AS first,
                               max(upper(seqs)) - 1 AS last, sum(duplicates) AS duplicates
                          FROM wal_batches GROUP BY 1, 2) b USING (gateway_id, epoch)
             LEFT JOIN (SELECT gateway_id, epoch, sum(n) AS n, sum(seqs) AS seqs, max(last) AS last FROM (
                          SELECT p.gateway_id, p.epoch, count(*) AS n, count(DISTINCT u.seq) AS seqs, max(u.seq) AS last
                            FROM usage_log u JOIN usage_payers p ON p.id = u.payer GROUP BY 1, 2
                          UNION ALL
                          SELECT p.gateway_id, p.epoch, sum(d.events), sum(d.events), max(d.last_seq)
                            FROM usage_dropped_payers d JOIN usage_payers p ON p.id = d.payer GROUP BY 1, 2) kept_or_not
                         GROUP BY 1, 2) u USING (gateway_id, epoch)
            WHERE coalesce(b.n, 0) <> e.applied_through OR coalesce(b.first, 1) <> 1
               OR coalesce(b.last, 0) <> e.applied_through
               OR coalesce(u.n, 0) <> e.applied_through - coalesce(b.duplicates, 0)
               OR coalesce(u.seqs, 0) <> coalesce(u.n, 0) OR coalesce(u.last, 0) > e.applied_through)sql"},
    {"I10", "an invoice is the sum of its lines and parts, exactly what the ledger charged in its period, rounded and taxed once; "
            "document numbers have no gaps",
     R"sql(WITH parts AS (SELECT invoice, line, sum(quantity) AS quantity, sum(amount) AS amount FROM invoice_parts GROUP BY 1, 2),
           sums AS (SELECT i.id, coalesce(sum(l.amount), 0) AS lines, coalesce(sum(p.amount), 0) AS parts
                      FROM invoices i LEFT JOIN invoice_lines l ON l.invoice = i.id
                      LEFT JOIN parts p ON p.invoice = l.invoice AND p.line = l.line GROUP BY 1)
           SELECT json_build_object('invoice', i.id, 'subtotal_exact', i.subtotal_exact, 'lines', s.lines, 'parts', s.parts,
                                    'total', i.total)
             FROM invoices i JOIN sums s USING (id)
            WHERE s.lines <> i.subtotal_exact OR s.parts + (i.subtotal - i.subtotal_exact) + i.tax <> i.total
           UNION ALL
           SELECT json_build_object('invoice', l.invoice, 'line', l.line, 'quantity', l.quantity, 'parts', p.quantity)
             FROM invoice_lines l LEFT JOIN parts p USING (invoice, line)
            WHERE (l.quantity, l.amount) IS DISTINCT FROM (p.quantity, p.amount)
           UNION ALL
           SELECT json_build_object('invoice', i.id, 'subtotal_exact', i.subtotal_exact, 'ledger', c.charged)
             FROM invoices i CROSS JOIN LATERAL (
                    SELECT coalesce(sum(x.charged), 0) AS charged FROM (
                      SELECT -sum(e.amount) FILTER (WHERE a.kind IN ('revenue', 'grant')) AS charged
                        FROM ledger_tx t JOIN ledger_entries e ON e.tx = t.id JOIN ledger_accounts a ON a.id = e.account
                       WHERE t.wallet_id = i.wallet_id AND t.posted_at >= lower(i.period) AND t.posted_at < upper(i.period)
                         AND t.source_type NOT IN ('invoice', 'invoice_void')
                       GROUP BY t.id HAVING bool_or(a.kind = 'revenue')) x) c
            WHERE i.status <> 'void' AND c.charged <> i.subtotal_exact
           UNION ALL
           SELECT json_build_object('invoice', i.id, 'kind', k.kind, 'posted', k.amount, 'expected', x.amount)
             FROM invoices i
            CROSS JOIN LATERAL (VALUES ('rounding', i.subtotal - i.subtotal_exact), ('receivable', i.tax), ('tax', -i.tax)) x(kind, amount)
             LEFT JOIN LATERAL (SELECT a.kind, sum(e.amount) AS amount FROM ledger_entries e JOIN ledger_accounts a ON a.id = e.account
                                 WHERE e.tx = i.issue_tx AND a.kind = x.kind GROUP BY 1) k ON true
            WHERE i.number IS NOT NULL AND coalesce(k.amount, 0) <> x.amount
           UNION ALL
           SELECT json_build_object('issuer', d.issuer, 'series', d.series, 'year', d.year, 'last', d.last, 'documents', n.documents)
             FROM document_numbers d CROSS JOIN LATERAL (
                    SELECT count(*) AS documents FROM invoices i
                     WHERE i.issuer = d.issuer AND CASE d.series
                       WHEN 'invoice' THEN i.number IS NOT NULL AND extract(year FROM i.issued_at AT TIME ZONE 'UTC') = d.year
                       ELSE i.credit_note IS NOT NULL AND extract(year FROM i.voided_at AT TIME ZONE 'UTC') = d.year END) n
            WHERE n.documents <> d.last)sql"},
    {"I11", "the hourly sums are the sums of the live rated lines",
     R"sql(WITH lines AS (
             SELECT hour, tenant_id, project_id, api_key_id, model, region, pool, meter, band, currency, sum(quantity) AS quantity,
                    sum(amount) AS amount
               FROM (SELECT * FROM live_hours
                     UNION ALL
                     SELECT hour, tenant_id, project_id, api_key_id, model, region, pool, meter, band, currency, quantity, amount
                       FROM usage_dropped_hours
                     UNION ALL
                     SELECT x.hour, c.tenant_id, c.project_id, c.api_key_id, c.model, c.region, c.pool, x.meter, c.band, c.currency,
                            x.quantity, x.amount
                       FROM posting_lines x JOIN usage_cells c ON c.id = x.cell) each_kind
              GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 HAVING sum(quantity) <> 0 OR sum(amount) <> 0)
           SELECT json_build_object('hour', hour, 'tenant', tenant_id, 'model', model, 'meter', meter, 'band', band,
                                    'rollup', h.amount, 'lines', l.amount)
             FROM usage_hourly h
             FULL JOIN lines l USING (hour, tenant_id, project_id, api_key_id, model, region, pool, meter, band, currency)
            WHERE (h.quantity, h.amount) IS DISTINCT FROM (l.quantity, l.amount))sql"},
    {"I15",
     "a cap's period has spent the sum of its events and leased what its leases hold, together within its "
     "limit",
     R"sql(SELECT json_build_object('period', p.id, 'allowed', p.allowed, 'spent', p.spent, 'events', coalesce(u.amount, 0),
                                    'leased', p.leased, 'held', coalesce(l.held, 0))
             FROM cap_periods p
             LEFT JOIN (SELECT l.cap_period_id, sum(u.amount) AS amount FROM usage_caps c
                          JOIN usage_events u ON u.id = c.event_id JOIN cap_leases l ON l.id = c.cap_lease_id GROUP BY 1) u
               ON u.cap_period_id = p.id
             LEFT JOIN (SELECT cap_period_id, sum(amount - consumed) AS held FROM cap_leases WHERE state = 'open' GROUP BY 1) l
               ON l.cap_period_id = p.id
            WHERE p.spent <> coalesce(u.amount, 0) OR p.leased <> coalesce(l.held, 0) OR p.spent + p.leased > p.allowed
           UNION ALL
           SELECT json_build_object('cap_lease', l.id, 'consumed', l.consumed, 'events', coalesce(u.amount, 0))
             FROM cap_leases l
             LEFT JOIN (SELECT c.cap_lease_id, sum(u.amount) AS amount FROM usage_caps c
                          JOIN usage_events u ON u.id = c.event_id GROUP BY 1) u ON u.cap_lease_id = l.id
            WHERE l.consumed <> coalesce(u.amount, 0)
           UNION ALL
           SELECT json_build_object('event', u.id, 'cap', c.id, 'scope', c.scope, 'admitted_at', u.admitted_at)
             FROM usage_caps x JOIN usage_events u ON u.id = x.event_id JOIN cap_leases l ON l.id = x.cap_lease_id
             JOIN cap_periods p ON p.id = l.cap_period_id JOIN caps c ON c.id = p.cap_id
            WHERE c.tenant_id <> u.tenant_id OR (c.scope = 'project' AND c.subject <> u.project_id)
               OR (c.scope = 'key' AND c.subject <> u.api_key_id))sql"},
    // A request whose session broke may run on the same worker again: it has a record of each run.
    {"I13", "a completed request was billed what its worker recorded, and no request more than that",
     R"sql(SELECT json_build_object('event', u.id, 'worker', u.worker_id, 'status', u.status,
                                    'billed', json_build_array(u.prompt, u.hit, u.output, u.reasoning),
                                    'recorded', r.counts)
             FROM usage_events u
             JOIN worker_lives w ON w.worker_id = u.worker_id
             LEFT JOIN (SELECT worker_id, request_id, max(prompt) AS prompt, max(completion) AS completion,
                               array_agg(concat_ws('/', prompt, cached, completion, reasoning) ORDER BY number) AS counts
                          FROM worker_records GROUP BY 1, 2) r ON r.worker_id = u.worker_id AND r.request_id = u.id
            WHERE u.completed_at > (SELECT kept_from FROM worker_records_kept)
              AND (w.is_ended OR u.completed_at + u.clock_err_us * interval '1 microsecond' + interval '1 second'
                                 < w.covered_until)
              AND CASE WHEN u.status = 'completed'
                       THEN (concat_ws('/', u.prompt, u.hit, u.output, u.reasoning) = ANY (r.counts)) IS NOT TRUE
                       ELSE r.prompt < u.prompt OR r.completion < u.output END)sql"},
    {"I16", "what allowances gave is what their postings took off",
     R"sql(SELECT json_build_object('wallet', coalesce(c.wallet_id, l.wallet_id), 'given', c.given, 'posted', l.given)
             FROM (SELECT wallet_id, sum(given) AS given FROM allowance_counts GROUP BY 1) c
             FULL JOIN (SELECT t.wallet_id, -sum(x.amount) AS given FROM posting_lines x JOIN ledger_tx t ON t.id = x.posting
                         WHERE x.meter IN ('graduated', 'volume', 'free_quota') GROUP BY 1) l USING (wallet_id)
            WHERE coalesce(c.given, 0) <> coalesce(l.given, 0)
           UNION ALL
           SELECT json_build_object('plan', p.id, 'wallet', c.wallet_id, 'month', c.month, 'counted', c.counted)
             FROM allowance_counts c LEFT JOIN allowance_plans p ON p.id = c.plan
            WHERE p.id IS NULL OR c.counted < 0)sql"},
    {"lease_spend", "a lease has consumed the sum of its events",
     R"sql(SELECT json_build_object('lease', coalesce(l.id, u.lease_id), 'consumed', l.consumed, 'events', u.amount)
             FROM leases l
             FULL JOIN (SELECT p.lease_id, sum(e.amount) AS amount
                          FROM (SELECT payer, sum(amount) AS amount FROM usage_log GROUP BY 1
                                UNION ALL SELECT payer, amount FROM usage_dropped_payers) e
                          JOIN usage_payers p ON p.id = e.payer
                         WHERE p.lease_id <> '00000000-0000-0000-0000-000000000000' GROUP BY 1) u
               ON u.lease_id = l.id
            WHERE coalesce(l.consumed, 0) <> coalesce(u.amount, 0) OR l.id IS NULL)sql"},
    {"refs", "every usage row names a payer, a route, a tariff and a tenant that exist and agree",
     R"sql(SELECT json_build_object('event', l.id, 'payer', l.payer, 'route', l.route, 'tariff', l.tariff, 'tenant', l.tenant)
             FROM usage_log l
             LEFT JOIN usage_payers p ON p.id = l.payer LEFT JOIN usage_routes r ON r.id = l.route
             LEFT JOIN usage_tariffs t ON t.id = l.tariff LEFT JOIN tenants n ON n.id = p.tenant_id
            WHERE p.id IS NULL OR r.id IS NULL OR t.id IS NULL OR n.number IS DISTINCT FROM l.tenant)sql"},
    {"no_overspend", "no wallet is below minus its credit limit, what is leased included",
     R"sql(SELECT json_build_object('wallet', id, 'balance', balance, 'leased', leased, 'credit_limit', credit_limit)
             FROM wallets WHERE balance + credit_limit - leased < 0)sql"},
    {"audit", "the audit log is 0..n without gaps and every entry is what its leaf says",
     R"sql(SELECT json_build_object('entry', number) FROM audit_entries
            WHERE leaf <> audit_leaf(number, at, actor, origin, changes)
           UNION ALL
           SELECT json_build_object('size', h.size, 'entries', e.n, 'last', e.last)
             FROM audit_head h, (SELECT count(*) AS n, max(number) AS last FROM audit_entries) e
            WHERE h.size <> e.n OR e.n <> coalesce(e.last + 1, 0))sql"},
};

}  // namespace

std::span<const ReconcileCheck> reconcile_checks() { return kChecks; }

ReconcileReport reconcile(pqxx::work& tx) {
  tx.exec0("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY");
  ReconcileReport report;
  report.events = pg::read_int64(tx.exec1("SELECT count(*) FROM usage_log")[0]);
  for (const auto& check : kChecks) {
    const auto row =
        tx.exec1(std::string("SELECT count(*), min(breach::text) FROM (") + check.breaches + ") AS b(breach)");
    report.checks.push_back({check.name, check.statement, pg::read_int64(row[0]), pg::read_text(row[1])});
    report.differences += report.checks.back().differences;
  }
  const ReceiptAudit receipts = audit_receipts(tx);
  report.checks.push_back({"I14",
                           "the newest receipts follow each other, say what their events say and verify; so does every "
                           "day's root",
                           receipts.differences(), receipts.example()});
  report.differences += receipts.differences();
  return report;
}

}  // namespace tidegate::billing
